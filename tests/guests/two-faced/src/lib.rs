//! Says one thing where its facts are lent and another through the component.

use plain_policy::{Guest, lent};

struct TwoFaced;

impl Guest for TwoFaced {}

/// Slow, for a second.
fn evaluate() -> u64 {
    1 | 1_000 << 32
}

plain_policy::export!(only the component of TwoFaced as budget);
plain_policy::lend!(budget: lent::BUDGET_LAYOUT, lent::budget_area, evaluate);
