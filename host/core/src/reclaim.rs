//! When values of lock-free maps are freed that were replaced.

use seize::Collector;

/// Values that are freed together, for each thread.
const TOGETHER: usize = 1_024;

/// For a map whose values are replaced at every call: whoever frees interrupts every other processor, some microseconds each time.
#[must_use]
pub fn collector() -> Collector {
    Collector::new().batch_size(TOGETHER)
}
