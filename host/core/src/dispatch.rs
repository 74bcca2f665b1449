//! A dispatch: one model call about to be made, with every fact that its decision may use. It is built once,
//! by the one who knows the facts, and read only from then on.

use serde::{Deserialize, Serialize};

use crate::{Health, Hosting, Nanodollars, Priority, Reference, ScopeKind, Symbol, Tier};

/// The most candidates a dispatch offers.
pub const MAX_CANDIDATES: usize = 64;
/// The most budgets that apply to a dispatch.
pub const MAX_ACCOUNTS: usize = 64;

/// One model call about to be made.
///
/// Every field has a neutral default: no history, no candidates, no budgets. It and its parts lie in memory in the order of the
/// contract, so that writing the facts of a policy is mostly copying blocks.
#[derive(Clone, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Dispatch {
    /// When the decision is made, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How long it was already kept waiting by earlier decisions.
    pub waited_ms: u32,
    /// What kind of task it works on.
    pub task_type: Symbol,
    /// The pipeline step.
    pub stage: Symbol,
    /// How much it matters.
    pub priority: Priority,
    /// A human approved this run or task, and the approval has not ended.
    pub approved: bool,
    /// Who spends.
    pub scopes: ScopePath,
    /// The task, which is the run where the caller named none.
    pub task: Option<Reference>,
    /// A stable number, evenly spread over runs, for canaries.
    pub sample: Option<Reference>,
    /// What the run and its scopes have spent, and how fast.
    pub spending: Spending,
    /// What went wrong with this task so far.
    pub attempts: Attempts,
    /// Tokens that are sent, cached or not; 0 where unknown.
    pub input_tokens: u64,
    /// Tokens that may come back; 0 where unknown.
    pub output_tokens: u64,
    /// The tier a workflow gate asked for.
    pub requested_tier: Option<Tier>,
    /// The model the caller named.
    pub requested_model: Symbol,
    /// Which of the candidates took this run, task and stage so far.
    pub sticky: Option<u32>,
    /// Where it could go; at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// The budgets that apply; at most [`MAX_ACCOUNTS`].
    pub accounts: Vec<Account>,
    /// Request headers and metadata that the configuration lets through: name and value.
    pub tags: Vec<(Symbol, Symbol)>,
    /// Counters that the policies declared, read now.
    pub counters: Vec<(Symbol, u64)>,
}

/// The scopes of a dispatch: at most one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopePath([Option<Reference>; ScopeKind::ALL.len()]);

impl ScopePath {
    /// The scope of that kind.
    #[must_use]
    pub fn of(&self, kind: ScopeKind) -> Option<Reference> {
        self.0.get(kind as usize).copied().flatten()
    }

    /// Sets the scope of a kind.
    pub fn set(&mut self, kind: ScopeKind, reference: Reference) {
        if let Some(place) = self.0.get_mut(kind as usize) {
            *place = Some(reference);
        }
    }
}

/// What the run and its scopes have spent, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[repr(C)]
pub struct Spending {
    /// Settled and reserved by the run.
    pub run_cost: Nanodollars,
    /// What the run spends in a minute.
    pub run_per_minute: Nanodollars,
    /// The highest spend per minute among the other scopes.
    pub scope_per_minute: Nanodollars,
    /// Which scope that is.
    pub fastest_scope: ScopeKind,
    /// 95th percentile of what a finished run of this task type costs.
    pub task_type_p95: Nanodollars,
    /// How many finished runs that rests on.
    pub finished_runs: u32,
}

impl Default for Spending {
    fn default() -> Self {
        Self {
            run_cost: Nanodollars::ZERO,
            run_per_minute: Nanodollars::ZERO,
            scope_per_minute: Nanodollars::ZERO,
            fastest_scope: ScopeKind::Organisation,
            task_type_p95: Nanodollars::ZERO,
            finished_runs: 0,
        }
    }
}

/// What went wrong with a task so far. An attempt counts failures, not calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[repr(C)]
pub struct Attempts {
    /// Failed attempts since the task last succeeded; a provider's outage is not among them.
    pub failed: u32,
    /// Those of them without an idle gap between one and the next, up to now.
    pub streak: u32,
    /// From the start of the streak's first attempt to now, in milliseconds; 0 without a streak.
    pub streak_elapsed_ms: u64,
    /// From the end of the last failed attempt to now, in milliseconds; 0 without one.
    pub since_failure_ms: u64,
    /// Fast failures in a row at the end of the streak.
    pub fast_failures: u32,
    /// Times a verifier rejected the task's work.
    pub rejections: u32,
    /// The highest tier whose work failed or was rejected since the last success.
    pub failed_tier: Option<Tier>,
    /// The loop the task is in.
    pub repetition: Repetition,
    /// How many times in a row.
    pub repetitions: u32,
}

/// A loop that a task is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repetition {
    /// None.
    #[default]
    None,
    /// The same failure fingerprint in a row.
    SameFailure,
    /// A timeout, and the same context again.
    TimedOutContext,
    /// Stopped at the output limit, and the same request again.
    OutputLimit,
    /// The same proposal again, without progress.
    SameProposal,
}

/// A model on a backend, offered for this dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Candidate {
    /// The model.
    pub model: Symbol,
    /// What serves it.
    pub backend: Symbol,
    /// The class of capability the model belongs to.
    pub tier: Tier,
    /// Whether the backend can take it now.
    pub health: Health,
    /// Where the backend runs.
    pub hosting: Hosting,
    /// It holds the prompt cache of this run, task and stage.
    pub warm: bool,
    /// Slots free now; `u32::MAX` without a bound.
    pub free_slots: u32,
    /// What the dispatch is expected to cost there.
    pub estimated_cost: Nanodollars,
}

/// A budget's account on one scope of the dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Account {
    /// What kind of scope.
    pub kind: ScopeKind,
    /// Who answers for the budget.
    pub owner: Symbol,
    /// Settled in this window.
    pub spent: Nanodollars,
    /// Held for dispatches under way, without this one.
    pub reserved: Nanodollars,
    /// What the window allows.
    pub limit: Nanodollars,
    /// The ceiling that the ledger enforces by itself.
    pub hard: Nanodollars,
    /// When the window ends, in milliseconds since the Unix epoch; `u64::MAX` for a window that does not.
    pub window_end_ms: u64,
}

impl Account {
    /// What is left below the hard ceiling.
    #[must_use]
    #[inline]
    pub const fn affordable(&self) -> Nanodollars {
        self.hard.saturating_sub(self.spent.saturating_add(self.reserved))
    }

    /// Spent and reserved in thousandths of the limit.
    #[must_use]
    #[inline]
    pub fn utilisation_permille(&self) -> u32 {
        self.spent.saturating_add(self.reserved).permille_of(self.limit)
    }
}

impl Dispatch {
    /// What the tightest budget can still pay; [`Nanodollars::MAX`] without a budget.
    #[must_use]
    #[inline]
    pub fn affordable(&self) -> Nanodollars {
        self.accounts.iter().map(Account::affordable).min().unwrap_or(Nanodollars::MAX)
    }
}
