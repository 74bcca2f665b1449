//! Room for the bodies of requests: so many bytes for all that are under way. A request for which there is none is turned away before
//! its body is read, so that many large ones at once cost their callers a retry and not the machine its memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is taken at least, in bytes.
const UNIT: usize = 1 << 10;

#[derive(Debug)]
pub(crate) struct Room {
    units: Arc<Semaphore>,
}

/// Room that a request has taken; given back when it is dropped.
#[derive(Debug)]
#[must_use = "without it the body it is for is not counted"]
pub(crate) struct Taken(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS))) }
    }

    /// Takes room for a body; one that does not say how long it is may become as long as any.
    pub(crate) fn take(&self, told: Option<u64>, most: usize) -> Option<Taken> {
        let most = most as u64;
        let units = told.map_or(most, |told| told.min(most)).div_ceil(UNIT as u64);
        let taken = Arc::clone(&self.units).try_acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX));
        taken.ok().map(Taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_does_not_say_its_length_takes_the_most_it_may() {
        let room = Room::new(10 << 10);
        let first = room.take(Some(4 << 10), 8 << 10);
        assert!(first.is_some());
        assert!(room.take(None, 8 << 10).is_none());
        let second = room.take(Some(u64::MAX), 6 << 10);
        assert!(second.is_some(), "one that is too long is told so when it is read, and takes no more than it may");
        assert!(room.take(Some(1), 8 << 10).is_none());
        drop(first);
        assert!(room.take(Some(1), 8 << 10).is_some());
    }
}
