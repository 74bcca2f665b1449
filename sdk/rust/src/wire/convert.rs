//! From the contract's records to this crate's, and verdicts back. Field by field, so that a change of the
//! contract does not compile until someone has decided what it means here.

use std::mem::offset_of;

use super::layout::{recast, same_layout, same_words};
use super::types;
use super::{
    budget as budget_part, kill_switch as kill_switch_part, retry_ceiling as retry_ceiling_part,
    routing as routing_part,
};
use crate::{
    Candidate, Dispatch, Health, Hosting, Nanodollars, Priority, Reason, ScopeKind, ScopeState, Span, SwitchMode,
    Symbol, Tier, Timestamp, Tokens, Unit, budget, kill_switch, retry_ceiling, routing,
};

use budget_part::exports::tollgate::policy::budget as wire_budget;
use kill_switch_part::exports::tollgate::policy::kill_switch as wire_kill_switch;
use retry_ceiling_part::exports::tollgate::policy::retry_ceiling as wire_retry_ceiling;
use routing_part::exports::tollgate::policy::routing as wire_routing;

/// Enumerations that are the same on both sides.
macro_rules! same {
    ($($from:path => $to:path { $($word:ident),+ })+) => {$(
        impl From<$from> for $to {
            fn from(word: $from) -> Self {
                match word { $(<$from>::$word => Self::$word),+ }
            }
        }
    )+};
}

same! {
    types::Tier => Tier { Low, Middle, Premium }
    Tier => types::Tier { Low, Middle, Premium }
    types::Priority => Priority { Low, Normal, High }
    types::ScopeKind => ScopeKind { Organisation, Team, Project, WorkItem, Run, User, Key }
    ScopeKind => types::ScopeKind { Organisation, Team, Project, WorkItem, Run, User, Key }
    SwitchMode => types::SwitchMode { Drain, Cut }
    Unit => types::Unit { None, Count, Nanodollars, Milliseconds, Tokens, Permille }
    wire_kill_switch::Moment => kill_switch::Moment { Dispatch, Extend, Post }
}

same_words! {
    types::Tier = Tier { Low, Middle, Premium }
    types::ScopeKind = ScopeKind { Organisation, Team, Project, WorkItem, Run, User, Key }
    types::Health = Health { Healthy, Degraded, Down }
    types::Hosting = Hosting { Remote, Local }
}

same_layout! {
    types::Candidate = Candidate { model, backend, tier, health, hosting, warm, free_slots, estimated_cost }
    types::ScopeState = ScopeState { kind, owner, spent, reserved, limit, hard, window_end, utilisation_permille }
}

impl From<types::Dispatch> for Dispatch {
    fn from(dispatch: types::Dispatch) -> Self {
        let types::Dispatch { now, waited_ms, task_type, stage, priority, approved } = dispatch;
        Self {
            now: Timestamp::from_milliseconds(now),
            waited: Span::milliseconds(waited_ms.into()),
            task_type: Symbol::from_u32(task_type),
            stage: Symbol::from_u32(stage),
            priority: priority.into(),
            approved,
        }
    }
}

impl From<Reason> for types::Reason {
    fn from(reason: Reason) -> Self {
        let Reason { code, unit, actual, limit } = reason;
        Self { code: code.as_u32(), unit: unit.into(), actual, limit }
    }
}

impl From<wire_kill_switch::Facts> for kill_switch::Facts {
    fn from(facts: wire_kill_switch::Facts) -> Self {
        Self {
            dispatch: facts.dispatch.into(),
            moment: facts.moment.into(),
            covered: match facts.covered {
                wire_kill_switch::Cover::None => None,
                wire_kill_switch::Cover::Drain => Some(SwitchMode::Drain),
                wire_kill_switch::Cover::Cut => Some(SwitchMode::Cut),
            },
            covered_reason: Symbol::from_u32(facts.covered_reason),
            run_cost: Nanodollars::new(facts.run_cost),
            run_spend_per_minute: Nanodollars::new(facts.run_spend_per_minute),
            scope_spend_per_minute: Nanodollars::new(facts.scope_spend_per_minute),
            fastest_scope: facts.fastest_scope.into(),
            task_type_p95: Nanodollars::new(facts.task_type_p95),
            finished_runs: facts.finished_runs,
        }
    }
}

impl From<kill_switch::Verdict> for wire_kill_switch::Verdict {
    fn from(verdict: kill_switch::Verdict) -> Self {
        match verdict {
            kill_switch::Verdict::Proceed => Self::Proceed,
            kill_switch::Verdict::Stop(reason) => Self::Stop(reason.into()),
            kill_switch::Verdict::Trip(trip) => Self::Trip(wire_kill_switch::Trip {
                selector: match trip.selector {
                    kill_switch::Selector::Everything => types::Selector::Everything,
                    kill_switch::Selector::Scope(kind) => types::Selector::Scope(kind.into()),
                    kill_switch::Selector::Model(model) => types::Selector::Model(model.as_u32()),
                    kill_switch::Selector::TaskType(task_type) => types::Selector::TaskType(task_type.as_u32()),
                },
                mode: trip.mode.into(),
                time_to_live_ms: trip.time_to_live.as_milliseconds(),
                reason: trip.reason.into(),
            }),
        }
    }
}

impl From<wire_retry_ceiling::Facts> for retry_ceiling::Facts {
    fn from(facts: wire_retry_ceiling::Facts) -> Self {
        use retry_ceiling::Repetition;

        Self {
            dispatch: facts.dispatch.into(),
            attempts: facts.attempts,
            streak: facts.streak,
            streak_elapsed: Span::milliseconds(facts.streak_elapsed_ms),
            since_failure: Span::milliseconds(facts.since_failure_ms),
            fast_failures: facts.fast_failures,
            rejections: facts.rejections,
            failed_tier: match facts.failed_tier {
                wire_retry_ceiling::FailedTier::None => None,
                wire_retry_ceiling::FailedTier::Low => Some(Tier::Low),
                wire_retry_ceiling::FailedTier::Middle => Some(Tier::Middle),
                wire_retry_ceiling::FailedTier::Premium => Some(Tier::Premium),
            },
            repetition: match facts.repetition {
                wire_retry_ceiling::Repetition::None => None,
                wire_retry_ceiling::Repetition::SameFailure => Some(Repetition::SameFailure),
                wire_retry_ceiling::Repetition::TimedOutContext => Some(Repetition::TimedOutContext),
                wire_retry_ceiling::Repetition::OutputLimit => Some(Repetition::OutputLimit),
                wire_retry_ceiling::Repetition::SameProposal => Some(Repetition::SameProposal),
            },
            repetitions: facts.repetitions,
            input: Tokens(facts.input_tokens),
        }
    }
}

impl From<retry_ceiling::Verdict> for wire_retry_ceiling::Verdict {
    fn from(verdict: retry_ceiling::Verdict) -> Self {
        match verdict {
            retry_ceiling::Verdict::Proceed => Self::Proceed,
            retry_ceiling::Verdict::RaiseFloor(tier) => Self::RaiseFloor(tier.into()),
            retry_ceiling::Verdict::BackOff(wait) => Self::BackOff(wait.as_wait()),
            retry_ceiling::Verdict::HoldForHuman(reason) => Self::HoldForHuman(reason.into()),
            retry_ceiling::Verdict::Refuse(reason) => Self::Refuse(reason.into()),
        }
    }
}

impl From<wire_routing::Facts> for routing::Facts {
    fn from(facts: wire_routing::Facts) -> Self {
        Self {
            dispatch: facts.dispatch.into(),
            floor: facts.floor.into(),
            requested_tier: match facts.requested_tier {
                wire_routing::RequestedTier::None => None,
                wire_routing::RequestedTier::Low => Some(Tier::Low),
                wire_routing::RequestedTier::Middle => Some(Tier::Middle),
                wire_routing::RequestedTier::Premium => Some(Tier::Premium),
            },
            requested_model: Symbol::from_u32(facts.requested_model),
            sticky: facts.sticky,
            affordable: Nanodollars::new(facts.affordable),
            rejections: facts.rejections,
            input: Tokens(facts.input_tokens),
            candidates: recast(facts.candidates),
        }
    }
}

impl From<routing::Verdict> for wire_routing::Verdict {
    fn from(verdict: routing::Verdict) -> Self {
        match verdict {
            routing::Verdict::UseCandidate(index) => Self::UseCandidate(index),
            routing::Verdict::NoOpinion => Self::NoOpinion,
            routing::Verdict::Refuse(reason) => Self::Refuse(reason.into()),
        }
    }
}

impl From<wire_budget::Facts> for budget::Facts {
    fn from(facts: wire_budget::Facts) -> Self {
        Self {
            dispatch: facts.dispatch.into(),
            model: Symbol::from_u32(facts.model),
            tier: facts.tier.into(),
            estimated_cost: Nanodollars::new(facts.estimated_cost),
            output: Tokens(facts.output_tokens),
            scopes: recast(facts.scopes),
        }
    }
}

impl From<budget::Verdict> for wire_budget::Verdict {
    fn from(verdict: budget::Verdict) -> Self {
        match verdict {
            budget::Verdict::Proceed => Self::Proceed,
            budget::Verdict::Slow(wait) => Self::Slow(wait.as_wait()),
            budget::Verdict::CapOutput(tokens) => Self::CapOutput(u32::try_from(tokens.0).unwrap_or(u32::MAX)),
            budget::Verdict::HoldForApproval(reason) => Self::HoldForApproval(reason.into()),
            budget::Verdict::Refuse(reason) => Self::Refuse(reason.into()),
        }
    }
}
