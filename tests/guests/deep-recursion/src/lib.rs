//! Calls itself until its stack is used up.

use std::hint::black_box;

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

struct DeepRecursion;

/// Nothing of it lies in linear memory, so it is the host's stack that is used up.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    if depth == 0 { 1 } else { descend(black_box(depth) - 1).wrapping_mul(depth) ^ descend(depth / 2) }
}

impl Guest for DeepRecursion {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        black_box(descend(black_box(u64::MAX)));
        BudgetVerdict::Proceed
    }
}

plain_policy::export!(DeepRecursion as budget);
