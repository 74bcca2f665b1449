//! Panics with a message of a megabyte.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

struct LongPanic;

impl Guest for LongPanic {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        panic!("{}", "no! ".repeat(1 << 18));
    }
}

plain_policy::export!(LongPanic as budget);
