//! Declares more memory than a guest may have.

use std::hint::black_box;

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

/// Twice the default bound; zeroes take no room in the file.
static HOARD: [u8; 32 << 20] = [0; 32 << 20];

struct LargeMemory;

impl Guest for LargeMemory {
    fn budget(facts: BudgetFacts) -> BudgetVerdict {
        let place = black_box(facts.output_tokens as usize % HOARD.len());
        BudgetVerdict::CapOutput(u32::from(black_box(&HOARD)[place]))
    }
}

plain_policy::export!(LargeMemory as budget);
