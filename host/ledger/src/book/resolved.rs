//! How reservations ended, as far back as memory goes; storage knows the rest.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::fmt;

use tollgate_core::Nanodollars;

use super::budget::Path;
use super::entry::{ReservationId, Windows};
use super::hashing::ByReservation;

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
    ring: VecDeque<(ReservationId, Resolved)>,
    /// How many have left the ring.
    left: u64,
    /// Counted from the first that ever ended.
    places: ByReservation<u64>,
}

impl ResolvedReservations {
    pub(super) fn get(&self, id: ReservationId) -> Option<&Resolved> {
        let place = self.places.get(&id)?.checked_sub(self.left)?;
        self.ring.get(usize::try_from(place).ok()?).map(|(_, resolved)| resolved)
    }

    pub(super) fn insert(&mut self, id: ReservationId, resolved: Resolved) {
        let next = self.left.saturating_add(u64::try_from(self.ring.len()).unwrap_or(u64::MAX));
        match self.places.entry(id) {
            Entry::Occupied(place) => {
                let place = place.get().checked_sub(self.left).and_then(|place| usize::try_from(place).ok());
                if let Some((_, known)) = place.and_then(|place| self.ring.get_mut(place)) {
                    *known = resolved;
                }
                return;
            }
            Entry::Vacant(place) => {
                place.insert(next);
            }
        }
        if self.ring.len() >= MAX_REMEMBERED
            && let Some((oldest, _)) = self.ring.pop_front()
        {
            self.places.remove(&oldest);
            self.left = self.left.saturating_add(1);
        }
        self.ring.push_back((id, resolved));
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
        let found = |resolved: &ResolvedReservations, id| resolved.get(ReservationId(id)).map(|known| known.resolution);
        let many = u64::try_from(MAX_REMEMBERED).unwrap();
        for number in 0..many + 10 {
            resolved.insert(ReservationId(u128::from(number)), of(number));
        }
        assert_eq!(found(&resolved, 9), None);
        assert_eq!(found(&resolved, 10), Some(Resolution::Posted(Nanodollars::new(10))));
        resolved.insert(ReservationId(10), of(7));
        assert_eq!(found(&resolved, 10), Some(Resolution::Posted(Nanodollars::new(7))), "replaced where it was");
        assert_eq!((resolved.ring.len(), resolved.places.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
    }
}
