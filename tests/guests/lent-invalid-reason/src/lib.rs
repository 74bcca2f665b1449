//! Leaves a reason whose unit is none of the contract's.

use plain_policy::{Guest, hostile_to, lent};

struct LentInvalidReason;

impl Guest for LentInvalidReason {}

fn evaluate() -> u64 {
    if hostile_to(lent::number_at(&lent::BUDGET, 40)) {
        lent::BUDGET.put(56 + 4, &[9]);
        return 4;
    }
    lent::budget_evaluate::<LentInvalidReason>()
}

plain_policy::export!(only the component of LentInvalidReason as budget);
plain_policy::lend!(budget: lent::BUDGET_LAYOUT, lent::budget_area, evaluate);
