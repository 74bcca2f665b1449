//! Answers lent facts with a number that is no verdict: a case that is none, or bits that nothing may be in.

use plain_policy::{Guest, hostile_to, lent};

struct LentInvalidVerdict;

impl Guest for LentInvalidVerdict {}

fn evaluate() -> u64 {
    if hostile_to(lent::number_at(&lent::RETRY_CEILING, 64)) {
        // Even calls, odd calls: both are wrong.
        return if lent::number_at(&lent::RETRY_CEILING, 0).is_multiple_of(2) { 200 } else { 1 << 8 };
    }
    lent::retry_ceiling_evaluate::<LentInvalidVerdict>()
}

plain_policy::export!(only the component of LentInvalidVerdict as retry_ceiling);
plain_policy::lend!(retry_ceiling: lent::RETRY_CEILING_LAYOUT, lent::retry_ceiling_area, evaluate);
