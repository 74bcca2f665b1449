//! How long decisions took, in buckets: three atomic additions for each, where a histogram behind a lock would make the threads
//! that decide wait for each other.

use std::sync::atomic::{AtomicU64, Ordering};

/// The first bucket's bound; each next one is twice the one before.
const FIRST_NS: u64 = 250;
/// Up to 32.8 ms, beyond what the deadlines of four policies allow; what takes longer is counted without a bound.
const BUCKETS: usize = 18;

/// A histogram of nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    counts: [AtomicU64; BUCKETS + 1],
    sum_ns: AtomicU64,
}

impl Durations {
    pub(crate) fn observe(&self, nanoseconds: u32) {
        let nanoseconds = u64::from(nanoseconds);
        let doublings = u64::BITS - (nanoseconds.saturating_sub(1) / FIRST_NS).leading_zeros();
        let bucket = usize::try_from(doublings).map_or(BUCKETS, |doublings| doublings.min(BUCKETS));
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The bound of each bucket in seconds and how many are in it alone.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bound = |bucket: usize| match bucket {
            BUCKETS => f64::INFINITY,
            bucket => seconds(FIRST_NS << bucket),
        };
        self.counts.iter().enumerate().map(|(at, count)| (bound(at), count.load(Ordering::Relaxed))).collect()
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        seconds(self.sum_ns.load(Ordering::Relaxed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers; 2^53 ns are 104 days of deciding")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        for (nanoseconds, bound) in [
            (0, 250e-9),
            (250, 250e-9),
            (251, 500e-9),
            (500, 500e-9),
            (501, 1e-6),
            (1_000, 1e-6),
            (32_768_000, 0.032_768),
            (32_768_001, f64::INFINITY),
            (u32::MAX, f64::INFINITY),
        ] {
            let durations = Durations::default();
            durations.observe(nanoseconds);
            let held: Vec<f64> =
                durations.buckets().iter().filter(|(_, count)| *count > 0).map(|(bound, _)| *bound).collect();
            let same = held.len() == 1 && (held[0] == bound || (held[0] - bound).abs() <= bound * 1e-9);
            assert!(same, "{nanoseconds}: {held:?}");
        }
    }
}
