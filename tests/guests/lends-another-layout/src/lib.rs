//! Lends facts in a layout that no host writes.

use plain_policy::{Guest, lent};

struct LendsAnotherLayout;

impl Guest for LendsAnotherLayout {}

plain_policy::export!(only the component of LendsAnotherLayout as budget);
plain_policy::lend!(budget: lent::BUDGET_LAYOUT + 1, lent::budget_area, lent::budget_evaluate::<LendsAnotherLayout>);
