//! How reservations ended, as far back as memory goes; storage knows the rest.

use std::collections::VecDeque;
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

/// How many are kept in memory: ten minutes of a hundred dispatches a second.
const CAPACITY: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct ResolvedReservations {
    by_id: ByReservation<Resolved>,
    order: VecDeque<ReservationId>,
}

impl ResolvedReservations {
    pub(super) fn get(&self, id: ReservationId) -> Option<&Resolved> {
        self.by_id.get(&id)
    }

    pub(super) fn insert(&mut self, id: ReservationId, resolved: Resolved) {
        if self.by_id.insert(id, resolved).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}
