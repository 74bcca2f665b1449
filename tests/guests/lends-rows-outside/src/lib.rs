//! Lends rows that begin inside of its memory and end outside.

use plain_policy::{Guest, lent};

struct LendsRowsOutside;

impl Guest for LendsRowsOutside {}

fn area() -> u32 {
    let pages = core::arch::wasm32::memory_size(0);
    let area = lent::budget_area();
    lent::BUDGET.put(48, &(pages as u32 * 65_536 - 8).to_le_bytes());
    area
}

plain_policy::export!(only the component of LendsRowsOutside as budget);
plain_policy::lend!(budget: lent::BUDGET_LAYOUT, area, lent::budget_evaluate::<LendsRowsOutside>);
