//! Trips a switch on a kind of scope that does not exist.

use plain_policy::{Guest, hostile_to, lent};

struct LentInvalidTrip;

impl Guest for LentInvalidTrip {}

fn evaluate() -> u64 {
    if hostile_to(lent::number_at(&lent::KILL_SWITCH, 32)) {
        lent::KILL_SWITCH.put(80 + 24, &[1]);
        lent::KILL_SWITCH.put(80 + 28, &7_u32.to_le_bytes());
        return 2;
    }
    lent::kill_switch_evaluate::<LentInvalidTrip>()
}

plain_policy::export!(only the component of LentInvalidTrip as kill_switch);
plain_policy::lend!(kill_switch: lent::KILL_SWITCH_LAYOUT, lent::kill_switch_area, evaluate);
