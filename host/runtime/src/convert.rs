//! Between the words of the core and those that wasmtime generates from the contract, in one place.

use tollgate_core::{
    Account, BudgetVerdict, Candidate, Dispatch, Health, Hosting, KillSwitchVerdict, Priority, Reason, Repetition,
    RetryCeilingVerdict, RoutingVerdict, Ruling, ScopeKind, SwitchMode, Symbol, Tier, Trip, TripSelector, Unit,
};

use crate::bindings::{budget, kill_switch, plugin, retry_ceiling, routing, types};

/// Maps the cases of one enumeration to those of another of the same names.
macro_rules! same_cases {
    ($name:ident: $from:ty => $to:ty { $($case:ident),+ $(,)? }) => {
        #[inline]
        pub(crate) const fn $name(from: $from) -> $to {
            match from { $(<$from>::$case => <$to>::$case),+ }
        }
    };
}

same_cases!(tier_to_guest: Tier => types::Tier { Low, Middle, Premium });
same_cases!(tier_from_guest: types::Tier => Tier { Low, Middle, Premium });
same_cases!(priority_to_guest: Priority => types::Priority { Low, Normal, High });
same_cases!(health_to_guest: Health => types::Health { Healthy, Degraded, Down });
same_cases!(hosting_to_guest: Hosting => types::Hosting { Remote, Local });
same_cases!(scope_kind_to_guest: ScopeKind => types::ScopeKind { Organisation, Team, Project, WorkItem, Run, User, Key });
same_cases!(scope_kind_from_guest: types::ScopeKind => ScopeKind { Organisation, Team, Project, WorkItem, Run, User, Key });
same_cases!(unit_from_guest: types::Unit => Unit { None, Count, Nanodollars, Milliseconds, Tokens, Permille });
same_cases!(mode_from_guest: types::SwitchMode => SwitchMode { Drain, Cut });
same_cases!(repetition_to_guest: Repetition => retry_ceiling::Repetition { None, SameFailure, TimedOutContext, OutputLimit, SameProposal });
same_cases!(event_from_guest: plugin::CounterEvent => tollgate_core::CounterEvent { Dispatch, Success, Failure, Rejection, Unproductive, Refusal });

/// When a kill switch is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a dispatch.
    Dispatch,
    /// A stream is under way, and has grown since it was last looked at.
    Extend,
    /// The real cost is known.
    Post,
}

same_cases!(moment_to_guest: Moment => kill_switch::Moment { Dispatch, Extend, Post });

pub(crate) const fn counter_by_from_guest(by: plugin::CounterScope) -> tollgate_core::CounterBy {
    use tollgate_core::CounterBy::{Scope, Task};
    match by {
        plugin::CounterScope::Task => Task,
        plugin::CounterScope::Organisation => Scope(ScopeKind::Organisation),
        plugin::CounterScope::Team => Scope(ScopeKind::Team),
        plugin::CounterScope::Project => Scope(ScopeKind::Project),
        plugin::CounterScope::WorkItem => Scope(ScopeKind::WorkItem),
        plugin::CounterScope::Run => Scope(ScopeKind::Run),
        plugin::CounterScope::User => Scope(ScopeKind::User),
        plugin::CounterScope::Key => Scope(ScopeKind::Key),
    }
}

#[inline]
const fn dispatch(dispatch: &Dispatch) -> types::Dispatch {
    types::Dispatch {
        now: dispatch.now_ms,
        waited_ms: dispatch.waited_ms,
        task_type: dispatch.task_type.as_u32(),
        stage: dispatch.stage.as_u32(),
        priority: priority_to_guest(dispatch.priority),
        approved: dispatch.approved,
    }
}

#[inline]
pub(crate) fn kill_switch_facts(ruling: &Ruling<'_>, moment: Moment) -> kill_switch::Facts {
    let facts = ruling.dispatch();
    let (covered, covered_reason) = match ruling.cover() {
        None => (kill_switch::Cover::None, Symbol::UNKNOWN),
        Some((SwitchMode::Drain, reason)) => (kill_switch::Cover::Drain, reason),
        Some((SwitchMode::Cut, reason)) => (kill_switch::Cover::Cut, reason),
    };
    kill_switch::Facts {
        dispatch: dispatch(facts),
        moment: moment_to_guest(moment),
        covered,
        covered_reason: covered_reason.as_u32(),
        run_cost: facts.spending.run_cost.as_u64(),
        run_spend_per_minute: facts.spending.run_per_minute.as_u64(),
        scope_spend_per_minute: facts.spending.scope_per_minute.as_u64(),
        fastest_scope: scope_kind_to_guest(facts.spending.fastest_scope),
        task_type_p95: facts.spending.task_type_p95.as_u64(),
        finished_runs: facts.spending.finished_runs,
    }
}

#[inline]
pub(crate) const fn retry_ceiling_facts(facts: &Dispatch) -> retry_ceiling::Facts {
    let attempts = &facts.attempts;
    retry_ceiling::Facts {
        dispatch: dispatch(facts),
        attempts: attempts.failed,
        streak: attempts.streak,
        streak_elapsed_ms: attempts.streak_elapsed_ms,
        since_failure_ms: attempts.since_failure_ms,
        fast_failures: attempts.fast_failures,
        rejections: attempts.rejections,
        failed_tier: match attempts.failed_tier {
            None => retry_ceiling::FailedTier::None,
            Some(Tier::Low) => retry_ceiling::FailedTier::Low,
            Some(Tier::Middle) => retry_ceiling::FailedTier::Middle,
            Some(Tier::Premium) => retry_ceiling::FailedTier::Premium,
        },
        repetition: repetition_to_guest(attempts.repetition),
        repetitions: attempts.repetitions,
        input_tokens: facts.input_tokens,
    }
}

/// The rows that go with [`routing_facts`].
#[inline]
pub(crate) fn candidates(ruling: &Ruling<'_>) -> impl Iterator<Item = types::Candidate> {
    ruling.usable_candidates().map(|(_, offered)| candidate(offered))
}

/// Without the candidates, which go as rows.
#[inline]
pub(crate) fn routing_facts(ruling: &Ruling<'_>) -> routing::Facts {
    let facts = ruling.dispatch();
    routing::Facts {
        dispatch: dispatch(facts),
        floor: tier_to_guest(ruling.floor()),
        requested_tier: match facts.requested_tier {
            None => routing::RequestedTier::None,
            Some(Tier::Low) => routing::RequestedTier::Low,
            Some(Tier::Middle) => routing::RequestedTier::Middle,
            Some(Tier::Premium) => routing::RequestedTier::Premium,
        },
        requested_model: facts.requested_model.as_u32(),
        sticky: facts.sticky.and_then(|index| ruling.usable_place(index)),
        affordable: facts.affordable().as_u64(),
        rejections: facts.attempts.rejections,
        input_tokens: facts.input_tokens,
        candidates: Vec::new(),
    }
}

/// The rows that go with [`budget_facts`].
#[inline]
pub(crate) fn scopes(ruling: &Ruling<'_>) -> impl Iterator<Item = types::ScopeState> {
    ruling.dispatch().accounts.iter().map(scope_state)
}

/// Without the scopes, which go as rows.
#[inline]
pub(crate) fn budget_facts(ruling: &Ruling<'_>) -> budget::Facts {
    let facts = ruling.dispatch();
    let chosen = ruling.chosen();
    budget::Facts {
        dispatch: dispatch(facts),
        model: chosen.map_or(Symbol::UNKNOWN, |candidate| candidate.model).as_u32(),
        tier: tier_to_guest(chosen.map_or(ruling.floor(), |candidate| candidate.tier)),
        estimated_cost: ruling.estimated_cost().as_u64(),
        output_tokens: facts.output_tokens,
        scopes: Vec::new(),
    }
}

#[inline]
const fn candidate(candidate: &Candidate) -> types::Candidate {
    types::Candidate {
        model: candidate.model.as_u32(),
        backend: candidate.backend.as_u32(),
        tier: tier_to_guest(candidate.tier),
        health: health_to_guest(candidate.health),
        hosting: hosting_to_guest(candidate.hosting),
        warm: candidate.warm,
        free_slots: candidate.free_slots,
        estimated_cost: candidate.estimated_cost.as_u64(),
    }
}

#[inline]
fn scope_state(account: &Account) -> types::ScopeState {
    types::ScopeState {
        kind: scope_kind_to_guest(account.kind),
        owner: account.owner.as_u32(),
        spent: account.spent.as_u64(),
        reserved: account.reserved.as_u64(),
        limit: account.limit.as_u64(),
        hard: account.hard.as_u64(),
        window_end: account.window_end_ms,
        utilisation_permille: account.utilisation_permille(),
    }
}

const fn reason(reason: types::Reason) -> Reason {
    Reason {
        code: Symbol::from_u32(reason.code),
        unit: unit_from_guest(reason.unit),
        actual: reason.actual,
        limit: reason.limit,
    }
}

pub(crate) const fn kill_switch_verdict(verdict: kill_switch::Verdict) -> KillSwitchVerdict {
    match verdict {
        kill_switch::Verdict::Proceed => KillSwitchVerdict::Proceed,
        kill_switch::Verdict::Stop(why) => KillSwitchVerdict::Stop(reason(why)),
        kill_switch::Verdict::Trip(trip) => KillSwitchVerdict::Trip(Trip {
            selector: match trip.selector {
                types::Selector::Everything => TripSelector::Everything,
                types::Selector::Scope(kind) => TripSelector::Scope(scope_kind_from_guest(kind)),
                types::Selector::Model(model) => TripSelector::Model(Symbol::from_u32(model)),
                types::Selector::TaskType(task_type) => TripSelector::TaskType(Symbol::from_u32(task_type)),
            },
            mode: mode_from_guest(trip.mode),
            time_to_live_ms: trip.time_to_live_ms,
            reason: reason(trip.reason),
        }),
    }
}

pub(crate) const fn retry_ceiling_verdict(verdict: retry_ceiling::Verdict) -> RetryCeilingVerdict {
    match verdict {
        retry_ceiling::Verdict::Proceed => RetryCeilingVerdict::Proceed,
        retry_ceiling::Verdict::RaiseFloor(tier) => RetryCeilingVerdict::RaiseFloor(tier_from_guest(tier)),
        retry_ceiling::Verdict::BackOff(milliseconds) => RetryCeilingVerdict::BackOff { milliseconds },
        retry_ceiling::Verdict::HoldForHuman(why) => RetryCeilingVerdict::HoldForHuman(reason(why)),
        retry_ceiling::Verdict::Refuse(why) => RetryCeilingVerdict::Refuse(reason(why)),
    }
}

/// The guest's index counts usable candidates; the verdict's counts those of the dispatch. One that names none
/// stays out of range.
pub(crate) fn routing_verdict(verdict: &routing::Verdict, ruling: &Ruling<'_>) -> RoutingVerdict {
    match verdict {
        routing::Verdict::NoOpinion => RoutingVerdict::NoOpinion,
        routing::Verdict::Refuse(why) => RoutingVerdict::Refuse(reason(*why)),
        routing::Verdict::UseCandidate(place) => use_candidate(*place, ruling),
    }
}

/// The candidate of the dispatch that has this place among the usable ones.
#[inline]
pub(crate) fn use_candidate(place: u32, ruling: &Ruling<'_>) -> RoutingVerdict {
    RoutingVerdict::UseCandidate(ruling.usable_index(place).unwrap_or(u32::MAX))
}

pub(crate) const fn budget_verdict(verdict: budget::Verdict) -> BudgetVerdict {
    match verdict {
        budget::Verdict::Proceed => BudgetVerdict::Proceed,
        budget::Verdict::Slow(milliseconds) => BudgetVerdict::Slow { milliseconds },
        budget::Verdict::CapOutput(tokens) => BudgetVerdict::CapOutput { tokens },
        budget::Verdict::HoldForApproval(why) => BudgetVerdict::HoldForApproval(reason(why)),
        budget::Verdict::Refuse(why) => BudgetVerdict::Refuse(reason(why)),
    }
}
