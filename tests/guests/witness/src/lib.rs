//! Behaves: what the other policies of a chain say, beside a hostile one.

use plain_policy::types::{Reason, ScopeKind, Selector, SwitchMode, Tier, Unit};
use plain_policy::{
    BudgetFacts, BudgetVerdict, Description, Guest, KillSwitchFacts, KillSwitchVerdict, RetryCeilingFacts,
    RetryCeilingVerdict, RoutingFacts, RoutingVerdict, Trip, description, facts,
};

/// Its verdicts follow from the facts alone, and differ from dispatch to dispatch.
struct Witness;

const DOLLAR: u64 = 1_000_000_000;

impl Guest for Witness {
    /// It wants to be asked for, so that it is not taken for a policy by someone who checks every file here.
    fn describe() -> Description {
        let configuration_schema =
            r#"{ "type": "object", "required": ["as"], "properties": { "as": { "const": "witness" } } }"#;
        Description {
            name: "witness".to_owned(),
            configuration_schema: configuration_schema.to_owned(),
            ..description()
        }
    }

    /// Covered: stops. Above 100 dollars: trips the run. At exactly a dollar: trips what has no name.
    fn kill_switch(facts: KillSwitchFacts) -> KillSwitchVerdict {
        let reason = reason(Unit::Nanodollars, facts.run_cost, 100 * DOLLAR);
        let trip = |selector| {
            KillSwitchVerdict::Trip(Trip { selector, mode: SwitchMode::Cut, time_to_live_ms: 60_000, reason })
        };
        if !matches!(facts.covered, plain_policy::Cover::None) {
            KillSwitchVerdict::Stop(reason)
        } else if facts.run_cost > 100 * DOLLAR {
            trip(Selector::Scope(ScopeKind::Run))
        } else if facts.run_cost == DOLLAR {
            trip(Selector::TaskType(0))
        } else {
            KillSwitchVerdict::Proceed
        }
    }

    /// Three failures raise the floor, four are waited for, five refused.
    fn retry_ceiling(facts: RetryCeilingFacts) -> RetryCeilingVerdict {
        match facts.attempts {
            0..3 => RetryCeilingVerdict::Proceed,
            3 => RetryCeilingVerdict::RaiseFloor(Tier::Premium),
            4 => RetryCeilingVerdict::BackOff(u32::try_from(facts.since_failure_ms % 1_000).unwrap_or(0)),
            attempts => RetryCeilingVerdict::Refuse(reason(Unit::Count, attempts.into(), 4)),
        }
    }

    /// The dearest that is affordable, so that it differs from what the host would take.
    fn routing(facts: RoutingFacts) -> RoutingVerdict {
        (0_u32..)
            .zip(&facts.candidates)
            .filter(|(_, candidate)| candidate.estimated_cost <= facts.affordable)
            .filter(|(_, candidate)| candidate.tier as u8 >= facts.floor as u8)
            .max_by_key(|(_, candidate)| candidate.estimated_cost)
            .map_or(RoutingVerdict::NoOpinion, |(index, _)| RoutingVerdict::UseCandidate(index))
    }

    /// Above the limit: refuses. Above half of it: slows.
    fn budget(facts: BudgetFacts) -> BudgetVerdict {
        let fullest = facts.scopes.iter().map(|scope| scope.utilisation_permille).max().unwrap_or(0);
        match fullest {
            0..=500 => BudgetVerdict::Proceed,
            501..=1_000 => BudgetVerdict::Slow(fullest),
            _ => BudgetVerdict::Refuse(reason(Unit::Permille, fullest.into(), 1_000)),
        }
    }
}

fn reason(unit: Unit, actual: u64, limit: u64) -> Reason {
    // Symbols cannot be made here; the first one that a configuration names will do.
    Reason { code: u32::from(facts::resolve(1).is_some()), unit, actual, limit }
}

plain_policy::export!(Witness as kill_switch, retry_ceiling, routing, budget);
