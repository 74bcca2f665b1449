//! How reservations ended, as far back as memory goes; storage knows the rest.

use std::fmt;

use tollgate_core::Nanodollars;

use super::budget::Path;
use super::entry::{ReservationId, Windows};
use super::places::Places;

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// With the real cost.
    Posted(Nanodollars),
    /// With an estimate, which the real cost may correct.
    Estimated(Nanodollars),
    /// With an estimate that the real cost has corrected.
    Corrected(Nanodollars),
    /// Released before it was sent.
    Voided,
    /// Released because it was not sent in time.
    Expired,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Posted(cost) => write!(f, "posted at {cost}"),
            Self::Estimated(cost) => write!(f, "posted at an estimated {cost}"),
            Self::Corrected(cost) => write!(f, "corrected to {cost}"),
            Self::Voided => f.write_str("voided"),
            Self::Expired => f.write_str("expired"),
        }
    }
}

/// A reservation that has ended.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// How.
    pub resolution: Resolution,
    /// What it was charged to.
    pub path: Path,
    /// In which windows.
    pub windows: Windows,
}

/// How many ended reservations are remembered: ten minutes of a hundred dispatches a second. A reservation that is asked for
/// again after as many others ended is a new one; a settlement that is told again is still known from storage.
pub const MAX_REMEMBERED: usize = 65_536;

/// A ring of what ended, in that order, and where in it each is: the index alone is reached into at random, and small
/// enough for a cache.
#[derive(Debug, Default)]
pub(super) struct ResolvedReservations {
    ring: Vec<(ReservationId, Resolved)>,
    /// Where in a full ring the oldest is.
    oldest: usize,
    places: Places,
}

impl ResolvedReservations {
    pub(super) fn get(&self, id: ReservationId) -> Option<&Resolved> {
        self.find(id).and_then(|place| self.ring.get(place)).map(|(_, resolved)| resolved)
    }

    pub(super) fn insert(&mut self, id: ReservationId, resolved: Resolved) {
        if let Some(place) = self.find(id) {
            if let Some((_, known)) = self.ring.get_mut(place) {
                *known = resolved;
            }
            return;
        }
        if self.ring.len() < MAX_REMEMBERED {
            self.places.insert(id, u32::try_from(self.ring.len()).expect("the ring is bounded"));
            self.ring.push((id, resolved));
            return;
        }
        let place = u32::try_from(self.oldest).expect("the ring is bounded");
        if let Some(oldest) = self.ring.get_mut(self.oldest) {
            self.places.remove(oldest.0, place);
            *oldest = (id, resolved);
            self.places.insert(id, place);
        }
        self.oldest = self.oldest.saturating_add(1).checked_rem(MAX_REMEMBERED).unwrap_or(0);
    }

    fn find(&self, id: ReservationId) -> Option<usize> {
        let at = |place: u32| usize::try_from(place).ok();
        let is_it = |place| at(place).and_then(|place| self.ring.get(place)).is_some_and(|(known, _)| *known == id);
        self.places.find(id, is_it).and_then(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_the_others_found() {
        let mut resolved = ResolvedReservations::default();
        let of = |cost| Resolved {
            resolution: Resolution::Posted(Nanodollars::new(cost)),
            path: Path::restored(Vec::new()),
            windows: Windows::new(),
        };
        let found =
            |resolved: &ResolvedReservations, id: u128| resolved.get(ReservationId(id)).map(|known| known.resolution);
        let many = u64::try_from(MAX_REMEMBERED).unwrap();
        for number in 0..many + 10 {
            resolved.insert(ReservationId(u128::from(number)), of(number));
        }
        assert_eq!(found(&resolved, 9), None);
        assert_eq!(found(&resolved, 10), Some(Resolution::Posted(Nanodollars::new(10))));
        resolved.insert(ReservationId(10), of(7));
        assert_eq!(found(&resolved, 10), Some(Resolution::Posted(Nanodollars::new(7))), "replaced where it was");
        assert_eq!(resolved.ring.len(), MAX_REMEMBERED);
        // Twice around: whatever collided, each is found where it is.
        for number in many + 10..many * 3 {
            resolved.insert(ReservationId(u128::from(number)), of(number));
        }
        for number in 0..many * 3 {
            let expected = (number >= many * 2).then(|| Resolution::Posted(Nanodollars::new(number)));
            assert_eq!(found(&resolved, u128::from(number)), expected);
        }
    }
}
