//! Chains of instances, one for each thread that decides. No lock: a thread takes the chain out of its slot
//! with one atomic swap, owns it for the decision, and puts it back.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;

use crate::chain::Chain;

/// A chain that waits for its thread. A swap of one pointer, so lock-free.
type Slot = AtomicCell<Option<Box<Chain>>>;

pub(crate) struct Pool {
    slots: Box<[CachePadded<Slot>]>,
}

impl Pool {
    /// How many chains are kept. More threads than this share slots, and some of their decisions then make
    /// instances anew.
    pub(crate) const SLOTS: usize = 64;

    pub(crate) fn new() -> Self {
        Self { slots: (0..Self::SLOTS).map(|_| CachePadded::new(AtomicCell::new(None))).collect() }
    }

    /// The chain of this thread's slot; another kept one where it is in use; nothing where none is kept.
    pub(crate) fn take(&self) -> Option<Box<Chain>> {
        self.slot(own_slot()).take().or_else(|| (0..Self::SLOTS).find_map(|slot| self.slot(slot).take()))
    }

    /// Keeps the chain for this thread's next decision. Where the slot was filled meanwhile, the other chain goes to a free one.
    pub(crate) fn put(&self, chain: Box<Chain>) {
        let mut homeless = self.slot(own_slot()).swap(Some(chain));
        for slot in 0..Self::SLOTS {
            if homeless.is_none() {
                return;
            }
            if slot != own_slot() {
                homeless = self.slot(slot).swap(homeless);
            }
        }
    }

    fn slot(&self, slot: usize) -> &Slot {
        &self.slots[slot % Self::SLOTS]
    }
}

/// Threads are numbered as they come; the number picks the slot.
fn own_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let slot = NEXT.fetch_add(1, Ordering::Relaxed) % Pool::SLOTS;
            own.set(Some(slot));
            slot
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_was_put_back_is_taken_again() {
        assert!(Slot::is_lock_free());
        let pool = Pool::new();
        assert!(pool.take().is_none());
        pool.put(Box::new(Chain::new(1)));
        pool.put(Box::new(Chain::new(2)));
        assert!(pool.take().is_some());
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
    }
}
