//! Lends an area that lies outside of its memory.

use plain_policy::{Guest, lent};

struct LendsOutside;

impl Guest for LendsOutside {}

plain_policy::export!(only the component of LendsOutside as budget);
plain_policy::lend!(budget: lent::BUDGET_LAYOUT, || 0xffff_fff0, lent::budget_evaluate::<LendsOutside>);
