//! Counts its calls, and lets only every other dispatch go.

use std::sync::atomic::{AtomicU32, Ordering};

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

struct HiddenState;

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Guest for HiddenState {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            BudgetVerdict::Proceed
        } else {
            BudgetVerdict::Slow(1_000)
        }
    }
}

plain_policy::export!(HiddenState as budget);
