//! Takes memory until there is none.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

struct MemoryBomb;

impl Guest for MemoryBomb {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            hoard.push(std::hint::black_box(Vec::with_capacity(1 << 20)));
        }
    }
}

plain_policy::export!(MemoryBomb as budget);
