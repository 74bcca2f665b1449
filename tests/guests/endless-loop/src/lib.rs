//! Never returns from an evaluation.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

struct EndlessLoop;

impl Guest for EndlessLoop {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        loop {
            std::hint::spin_loop();
        }
    }
}

plain_policy::export!(EndlessLoop as budget);
