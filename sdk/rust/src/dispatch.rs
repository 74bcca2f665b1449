//! What policies are told: the dispatch itself, candidates and accounts.

use crate::{Health, Hosting, Nanodollars, Priority, ScopeKind, Span, Symbol, Tier, Timestamp};

/// Derives what the native test kit needs to read facts from a file; a guest carries none of it.
macro_rules! facts {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
        pub struct $name { $($fields)* }
    };
}
pub(crate) use facts;

/// What every kind of policy is told about the dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Dispatch {
    /// When the decision is made. Policies have no clock: this is the only one.
    pub now: Timestamp,
    /// How long this dispatch was already kept waiting by slow and back-off verdicts.
    pub waited: Span,
    /// What kind of task it is; [`Symbol::UNKNOWN`] where nobody said, or no configuration mentions it.
    pub task_type: Symbol,
    /// The pipeline step.
    pub stage: Symbol,
    /// How much it matters to the one who sent it.
    pub priority: Priority,
    /// A human approved this run or task, and the approval has not ended.
    pub approved: bool,
}

/// Now is the first of January 2026, priority is normal; nothing else is known.
impl Default for Dispatch {
    fn default() -> Self {
        Self {
            now: Timestamp::from_milliseconds(1_767_225_600_000),
            waited: Span::ZERO,
            task_type: Symbol::UNKNOWN,
            stage: Symbol::UNKNOWN,
            priority: Priority::Normal,
            approved: false,
        }
    }
}

/// A model on a backend, as the host offers it for this dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(default, deny_unknown_fields))]
#[repr(C)]
pub struct Candidate {
    /// The model.
    pub model: Symbol,
    /// What serves it.
    pub backend: Symbol,
    /// The class of capability the model belongs to.
    pub tier: Tier,
    /// Whether the backend can take the dispatch now.
    pub health: Health,
    /// Where the backend runs.
    pub hosting: Hosting,
    /// It holds the prompt cache of this run, task and stage.
    pub warm: bool,
    /// Slots free now; [`Candidate::UNBOUNDED`] for remote backends without a bound.
    pub free_slots: u32,
    /// What the dispatch is expected to cost there; a warm candidate's prefix is priced as cache reads, any
    /// other's as cache writes.
    pub estimated_cost: Nanodollars,
}

impl Candidate {
    /// The free slots of a backend without a bound.
    pub const UNBOUNDED: u32 = u32::MAX;
}

/// A healthy remote candidate of the low tier that costs nothing.
impl Default for Candidate {
    fn default() -> Self {
        Self {
            model: Symbol::UNKNOWN,
            backend: Symbol::UNKNOWN,
            tier: Tier::Low,
            health: Health::Healthy,
            hosting: Hosting::Remote,
            warm: false,
            free_slots: Self::UNBOUNDED,
            estimated_cost: Nanodollars::ZERO,
        }
    }
}

/// A budget's account on one scope of the dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(from = "crate::test::Account"))]
#[repr(C)]
pub struct ScopeState {
    /// What kind of scope it is.
    pub kind: ScopeKind,
    /// Who answers for this budget, as the configuration names them.
    pub owner: Symbol,
    /// Settled in this window.
    pub spent: Nanodollars,
    /// Held for dispatches that are under way, without this one.
    pub reserved: Nanodollars,
    /// What the window allows.
    pub limit: Nanodollars,
    /// The ceiling that the ledger enforces by itself; never below `limit`.
    pub hard: Nanodollars,
    /// When the window ends.
    pub window_end: Timestamp,
    /// `spent + reserved` in thousandths of `limit`; saturates.
    pub utilisation_permille: u32,
}

impl ScopeState {
    /// Settled, held, and what this dispatch would add; at most [`Nanodollars::MAX`].
    #[must_use]
    pub const fn with(&self, estimated_cost: Nanodollars) -> Nanodollars {
        self.spent.saturating_add(self.reserved).saturating_add(estimated_cost)
    }
}
