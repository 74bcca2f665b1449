//! An index of a ring: which place a reservation has in it, in eight bytes each.
//!
//! Open addressing with 32 bits of the hash beside the place, so that looking for what is not there, which every new reservation
//! does, touches one line of a table that fits a cache, and never the ring.

use std::hash::{BuildHasher, BuildHasherDefault};

use super::entry::ReservationId;
use super::hashing::Fold;

/// Twice the ring at its fullest, so that what collides stays near.
const SLOTS: usize = super::resolved::MAX_REMEMBERED * 2;
const MASK: u32 = {
    assert!(SLOTS.is_power_of_two() && SLOTS <= 1 << 31, "a mask of 32 bits covers every slot");
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let mask = (SLOTS - 1) as u32;
    mask
};

/// Hash above, place plus one below; zero is free.
#[derive(Debug)]
pub(super) struct Places {
    slots: Vec<u64>,
}

impl Default for Places {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS] }
    }
}

impl Places {
    /// The place of an id, of those with its hash the first that `is_it`.
    pub(super) fn find(&self, id: ReservationId, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.slot_of(tag(id), is_it).and_then(|slot| place(self.at(slot)))
    }

    /// Notes the place of an id that is not there.
    pub(super) fn insert(&mut self, id: ReservationId, place: u32) {
        let tag = tag(id);
        let mut slot = tag & MASK;
        while self.at(slot) != 0 {
            slot = next(slot);
        }
        self.put(slot, (u64::from(tag) << 32) | u64::from(place.saturating_add(1)));
    }

    /// Forgets the place of an id, and closes the gap.
    pub(super) fn remove(&mut self, id: ReservationId, of: u32) {
        let Some(mut hole) = self.slot_of(tag(id), |place| place == of) else {
            return;
        };
        let mut slot = next(hole);
        while self.at(slot) != 0 {
            let home = home(self.at(slot));
            // It may move back to the hole unless it begins behind it.
            if (slot.wrapping_sub(home) & MASK) >= (slot.wrapping_sub(hole) & MASK) {
                self.put(hole, self.at(slot));
                hole = slot;
            }
            slot = next(slot);
        }
        self.put(hole, 0);
    }

    fn slot_of(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut slot = tag & MASK;
        loop {
            let entry = self.at(slot);
            let place = place(entry)?;
            if entry >> 32 == u64::from(tag) && is_it(place) {
                return Some(slot);
            }
            slot = next(slot);
        }
    }

    fn at(&self, slot: u32) -> u64 {
        usize::try_from(slot).ok().and_then(|slot| self.slots.get(slot)).copied().unwrap_or(0)
    }

    fn put(&mut self, slot: u32, entry: u64) {
        if let Some(place) = usize::try_from(slot).ok().and_then(|slot| self.slots.get_mut(slot)) {
            *place = entry;
        }
    }
}

fn tag(id: ReservationId) -> u32 {
    let hash = BuildHasherDefault::<Fold>::default().hash_one(id);
    u32::try_from(hash >> 32).unwrap_or(0)
}

fn home(entry: u64) -> u32 {
    u32::try_from(entry >> 32).unwrap_or(0) & MASK
}

fn place(entry: u64) -> Option<u32> {
    u32::try_from(entry & u64::from(u32::MAX)).unwrap_or(0).checked_sub(1)
}

const fn next(slot: u32) -> u32 {
    slot.wrapping_add(1) & MASK
}
