//! Traps, as each of the four kinds.

use core::arch::wasm32::unreachable;

use plain_policy::{
    BudgetFacts, BudgetVerdict, Guest, KillSwitchFacts, KillSwitchVerdict, RetryCeilingFacts, RetryCeilingVerdict,
    RoutingFacts, RoutingVerdict,
};

struct TrapInEvaluate;

impl Guest for TrapInEvaluate {
    fn kill_switch(_: KillSwitchFacts) -> KillSwitchVerdict {
        unreachable()
    }

    fn retry_ceiling(_: RetryCeilingFacts) -> RetryCeilingVerdict {
        unreachable()
    }

    fn routing(_: RoutingFacts) -> RoutingVerdict {
        unreachable()
    }

    fn budget(_: BudgetFacts) -> BudgetVerdict {
        unreachable()
    }
}

plain_policy::export!(TrapInEvaluate as kill_switch, retry_ceiling, routing, budget);
