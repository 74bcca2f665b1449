//! Health checks: what a backend says of itself, for those that are to be asked. What its answers to calls say of it counts beside
//! that, and is kept where they are sent.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tollgate_core::config::HealthCheck;

/// Checks in a row that have to fail: one that is lost says little.
const UNWELL_AFTER: u32 = 2;

/// The checks of one backend.
#[derive(Debug)]
pub(crate) struct Checks {
    check: Option<HealthCheck>,
    next_ms: AtomicU64,
    under_way: AtomicBool,
    failed: AtomicU32,
}

impl Checks {
    pub(crate) const fn new(check: Option<HealthCheck>) -> Self {
        Self { check, next_ms: AtomicU64::new(0), under_way: AtomicBool::new(false), failed: AtomicU32::new(0) }
    }

    pub(crate) fn path(&self) -> Option<&str> {
        self.check.as_ref().map(|check| &*check.path)
    }

    /// Whether it is time; whoever hears so has to tell by [`Checks::note`] what came of it.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        let Some(check) = &self.check else { return false };
        if now_ms < self.next_ms.load(Ordering::Relaxed) || self.under_way.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.next_ms.store(now_ms.saturating_add(check.interval.as_u64()), Ordering::Relaxed);
        true
    }

    /// Takes in what came of a check; whether that changes how the backend is.
    pub(crate) fn note(&self, well: bool) -> bool {
        let before = self.is_unwell();
        if well {
            self.failed.store(0, Ordering::Relaxed);
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.under_way.store(false, Ordering::Relaxed);
        before != self.is_unwell()
    }

    pub(crate) fn is_unwell(&self) -> bool {
        self.failed.load(Ordering::Relaxed) >= UNWELL_AFTER
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::Milliseconds;

    use super::*;

    #[test]
    fn a_backend_is_asked_at_its_interval_and_never_twice_at_once() {
        assert!(!Checks::new(None).is_due(u64::MAX));
        let check = HealthCheck { path: "/health".to_owned(), interval: Milliseconds::new(1_000) };
        let checks = Checks::new(Some(check));
        assert!(checks.is_due(5) && !checks.is_due(2_000), "the first has not ended");
        checks.note(true);
        assert!(!checks.is_due(1_004) && checks.is_due(1_005));
    }

    #[test]
    fn two_failures_in_a_row_are_one_too_many_and_one_answer_is_enough() {
        let checks = Checks::new(None);
        assert_eq!(
            [false, true, false, false, false, true, true].map(|well| checks.note(well)),
            [false, false, false, true, false, true, false]
        );
    }
}
