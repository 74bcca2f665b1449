//! Behaves: says every fact that it was handed, as one number. Two lanes that hand over the same facts hear the same number; a
//! policy that looks at some of them would not notice that two others had changed places.

use plain_policy::types::{Candidate, Dispatch, Reason, ScopeState, Unit};
use plain_policy::{
    BudgetFacts, BudgetVerdict, Description, Guest, KillSwitchFacts, KillSwitchVerdict, RetryCeilingFacts,
    RetryCeilingVerdict, RoutingFacts, RoutingVerdict, description,
};

struct EveryFact;

/// FNV-1a of 64 bits over eight bytes at once: another order is another number.
struct Sum(u64);

impl Sum {
    fn of(dispatch: Dispatch) -> Self {
        let Dispatch { now, waited_ms, task_type, stage, priority, approved } = dispatch;
        Self(0xcbf2_9ce4_8422_2325).and(&[
            now,
            waited_ms.into(),
            task_type.into(),
            stage.into(),
            priority as u64,
            approved.into(),
        ])
    }

    fn and(mut self, numbers: &[u64]) -> Self {
        for number in numbers {
            self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
        self
    }

    fn said(self) -> Reason {
        Reason { code: 0, unit: Unit::Count, actual: self.0, limit: 0 }
    }
}

impl Guest for EveryFact {
    /// It wants to be asked for, so that it is not taken for a policy by someone who checks every file here.
    fn describe() -> Description {
        let configuration_schema =
            r#"{ "type": "object", "required": ["as"], "properties": { "as": { "const": "every-fact" } } }"#;
        Description {
            name: "every-fact".to_owned(),
            configuration_schema: configuration_schema.to_owned(),
            ..description()
        }
    }

    fn kill_switch(facts: KillSwitchFacts) -> KillSwitchVerdict {
        let KillSwitchFacts {
            dispatch,
            moment,
            covered,
            covered_reason,
            run_cost,
            run_spend_per_minute,
            scope_spend_per_minute,
            fastest_scope,
            task_type_p95,
            finished_runs,
        } = facts;
        let sum = Sum::of(dispatch).and(&[
            moment as u64,
            covered as u64,
            covered_reason.into(),
            run_cost,
            run_spend_per_minute,
            scope_spend_per_minute,
            fastest_scope as u64,
            task_type_p95,
            finished_runs.into(),
        ]);
        KillSwitchVerdict::Stop(sum.said())
    }

    fn retry_ceiling(facts: RetryCeilingFacts) -> RetryCeilingVerdict {
        let RetryCeilingFacts {
            dispatch,
            attempts,
            streak,
            streak_elapsed_ms,
            since_failure_ms,
            fast_failures,
            rejections,
            failed_tier,
            repetition,
            repetitions,
            input_tokens,
        } = facts;
        let sum = Sum::of(dispatch).and(&[
            attempts.into(),
            streak.into(),
            streak_elapsed_ms,
            since_failure_ms,
            fast_failures.into(),
            rejections.into(),
            failed_tier as u64,
            repetition as u64,
            repetitions.into(),
            input_tokens,
        ]);
        RetryCeilingVerdict::Refuse(sum.said())
    }

    fn routing(facts: RoutingFacts) -> RoutingVerdict {
        let RoutingFacts {
            dispatch,
            floor,
            requested_tier,
            requested_model,
            sticky,
            affordable,
            rejections,
            input_tokens,
            candidates,
        } = facts;
        let mut sum = Sum::of(dispatch).and(&[
            floor as u64,
            requested_tier as u64,
            requested_model.into(),
            sticky.is_some().into(),
            sticky.unwrap_or(0).into(),
            affordable,
            rejections.into(),
            input_tokens,
        ]);
        for candidate in candidates {
            let Candidate { model, backend, tier, health, hosting, warm, free_slots, estimated_cost } = candidate;
            sum = sum.and(&[model.into(), backend.into(), tier as u64, health as u64, hosting as u64]);
            sum = sum.and(&[warm.into(), free_slots.into(), estimated_cost]);
        }
        RoutingVerdict::Refuse(sum.said())
    }

    fn budget(facts: BudgetFacts) -> BudgetVerdict {
        let BudgetFacts { dispatch, model, tier, estimated_cost, output_tokens, scopes } = facts;
        let mut sum = Sum::of(dispatch).and(&[model.into(), tier as u64, estimated_cost, output_tokens]);
        for scope in scopes {
            let ScopeState { kind, owner, spent, reserved, limit, hard, window_end, utilisation_permille } = scope;
            sum = sum.and(&[kind as u64, owner.into(), spent, reserved, limit, hard, window_end]);
            sum = sum.and(&[utilisation_permille.into()]);
        }
        BudgetVerdict::Refuse(sum.said())
    }
}

plain_policy::export!(EveryFact as kill_switch, retry_ceiling, routing, budget);
