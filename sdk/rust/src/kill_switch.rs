//! Stops what must not go on: facts and verdicts of a [`KillSwitch`](crate::KillSwitch).

use crate::dispatch::{Dispatch, facts};
use crate::{Nanodollars, Reason, ScopeKind, Span, SwitchMode, Symbol};

/// When the policy is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Moment {
    /// Before a dispatch.
    #[default]
    Dispatch,
    /// A stream is under way, and has grown since it was last looked at.
    Extend,
    /// The real cost is known.
    Post,
}

facts! {
    /// What a kill switch is told.
    pub struct Facts {
        /// The dispatch.
        pub dispatch: Dispatch,
        /// When it is asked.
        pub moment: Moment,
        /// An engaged switch covers this dispatch; of several the strictest.
        pub covered: Option<SwitchMode>,
        /// Why that switch was engaged.
        pub covered_reason: Symbol,
        /// Settled and reserved by the run, this dispatch included once it is reserved.
        pub run_cost: Nanodollars,
        /// What the run spent in the last minute.
        pub run_spend_per_minute: Nanodollars,
        /// The highest spend per minute among the dispatch's other scopes.
        pub scope_spend_per_minute: Nanodollars,
        /// Which scope that is.
        pub fastest_scope: ScopeKind,
        /// 95th percentile of what a finished run of this task type costs.
        pub task_type_p95: Nanodollars,
        /// How many finished runs that percentile rests on.
        pub finished_runs: u32,
    }
}

/// Before a dispatch, nothing covered, nothing spent.
impl Default for Facts {
    fn default() -> Self {
        Self {
            dispatch: Dispatch::default(),
            moment: Moment::Dispatch,
            covered: None,
            covered_reason: Symbol::UNKNOWN,
            run_cost: Nanodollars::ZERO,
            run_spend_per_minute: Nanodollars::ZERO,
            scope_spend_per_minute: Nanodollars::ZERO,
            fastest_scope: ScopeKind::Organisation,
            task_type_p95: Nanodollars::ZERO,
            finished_runs: 0,
        }
    }
}

/// What a switch covers. Scopes are those of the dispatch that tripped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Selector {
    /// All dispatches.
    Everything,
    /// Those of this dispatch's scope of that kind.
    Scope(ScopeKind),
    /// Those for a model.
    Model(Symbol),
    /// Those of a task type.
    TaskType(Symbol),
}

/// A switch for the host to engage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Serialize))]
pub struct Trip {
    /// What it covers.
    pub selector: Selector,
    /// How it treats what already runs.
    pub mode: SwitchMode,
    /// When it ends by itself.
    pub time_to_live: Span,
    /// The evidence.
    pub reason: Reason,
}

/// What a kill switch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Verdict {
    /// No objection.
    Proceed,
    /// This dispatch ends here.
    Stop(Reason),
    /// This dispatch ends here, and the host engages a switch.
    Trip(Trip),
}

impl Verdict {
    /// This dispatch ends here.
    #[must_use]
    pub const fn stop(reason: Reason) -> Self {
        Self::Stop(reason)
    }

    /// This dispatch ends here, and so does all that the selector covers until the switch ends.
    #[must_use]
    pub const fn trip(selector: Selector, mode: SwitchMode, time_to_live: Span, reason: Reason) -> Self {
        Self::Trip(Trip { selector, mode, time_to_live, reason })
    }
}
