//! What one policy said about one dispatch: an enumeration for each kind, so that a verdict that makes no
//! sense for a kind cannot be expressed.

use serde::{Deserialize, Serialize};

use crate::{PolicyKind, ScopeKind, Symbol, Symbols, Tier, money::Nanodollars};

/// What the two numbers of a reason count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum Unit {
    #[default]
    None,
    Count,
    Nanodollars,
    Milliseconds,
    Tokens,
    Permille,
}

/// Why: a name and two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reason {
    /// What was looked at.
    pub code: Symbol,
    /// What the numbers count.
    pub unit: Unit,
    /// What it was.
    pub actual: u64,
    /// What it may be.
    pub limit: u64,
}

impl Reason {
    /// A reason that is only a name.
    #[must_use]
    pub const fn named(code: Symbol) -> Self {
        Self { code, unit: Unit::None, actual: 0, limit: 0 }
    }

    /// For people: `run-cost: 14.20 USD of 10.00 USD`.
    #[must_use]
    pub fn display(&self, symbols: &Symbols) -> String {
        self.unit.display(&symbols.display(self.code), self.actual, self.limit)
    }
}

impl Unit {
    /// For people: a code and its two numbers in this unit, as in `run-cost: 14.20 USD of 10.00 USD`.
    #[must_use]
    pub fn display(self, code: &str, actual: u64, limit: u64) -> String {
        let number = |number: u64| match self {
            Self::None => String::new(),
            Self::Count => number.to_string(),
            Self::Nanodollars => Nanodollars::new(number).to_string(),
            Self::Milliseconds => format!("{}.{:03} s", number / 1000, number % 1000),
            Self::Tokens => format!("{number} tokens"),
            Self::Permille => format!("{}.{} %", number / 10, number % 10),
        };
        match self {
            Self::None => code.to_owned(),
            _ => format!("{code}: {} of {}", number(actual), number(limit)),
        }
    }
}

/// How an engaged switch treats what already runs; ordered by strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwitchMode {
    /// Nothing new starts; what runs may end.
    Drain,
    /// Open streams are cut as well.
    Cut,
}

/// What a tripping policy wants covered, in terms of the dispatch that tripped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TripSelector {
    /// All dispatches.
    Everything,
    /// Those of this dispatch's scope of that kind.
    Scope(ScopeKind),
    /// Those of a model.
    Model(Symbol),
    /// Those of a task type.
    TaskType(Symbol),
}

/// A switch that a policy wants engaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trip {
    /// What it covers.
    pub selector: TripSelector,
    /// How it treats what runs.
    pub mode: SwitchMode,
    /// When it ends by itself.
    pub time_to_live_ms: u64,
    /// The evidence.
    pub reason: Reason,
}

/// What one policy said, or that it could not say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "one for each kind")]
pub enum Verdict {
    KillSwitch(KillSwitchVerdict),
    RetryCeiling(RetryCeilingVerdict),
    Routing(RoutingVerdict),
    Budget(BudgetVerdict),
    /// It could not be evaluated; what that means is its configuration's word.
    Failed(EvaluationFailure, OnError),
}

/// Of a kill switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum KillSwitchVerdict {
    Proceed,
    Stop(Reason),
    Trip(Trip),
}

/// Of a retry ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum RetryCeilingVerdict {
    Proceed,
    RaiseFloor(Tier),
    BackOff { milliseconds: u32 },
    HoldForHuman(Reason),
    Refuse(Reason),
}

/// Of a routing policy. The index is one of the dispatch's candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum RoutingVerdict {
    UseCandidate(u32),
    NoOpinion,
    Refuse(Reason),
}

/// Of a budget policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum BudgetVerdict {
    Proceed,
    Slow { milliseconds: u32 },
    CapOutput { tokens: u32 },
    HoldForApproval(Reason),
    Refuse(Reason),
}

/// Why a policy could not be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluationFailure {
    /// It used up its fuel.
    OutOfFuel,
    /// It ran past its deadline.
    DeadlineExceeded,
    /// It trapped: a panic, an unreachable instruction, a bad memory access, too deep a recursion.
    Trapped,
    /// What it returned is not of the contract: an invalid value, or a result past its size.
    InvalidResult,
    /// A routing policy chose no candidate that was offered.
    CandidateOutOfRange,
    /// A routing policy chose a candidate below the floor.
    BelowFloor,
    /// No instance of it could be made.
    NoInstance,
    /// It failed too often, is left alone for a while, and no earlier version stands in.
    Quarantined,
}

impl EvaluationFailure {
    /// For people and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfFuel => "out-of-fuel",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Trapped => "trapped",
            Self::InvalidResult => "invalid-result",
            Self::CandidateOutOfRange => "candidate-out-of-range",
            Self::BelowFloor => "below-floor",
            Self::NoInstance => "no-instance",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What it means that a policy could not be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// The last version that was good is asked instead; without one the dispatch is refused.
    LastGood,
    /// The dispatch is refused; a routing policy has no opinion.
    #[default]
    Refuse,
    /// The policy is passed over.
    Proceed,
}

impl Verdict {
    /// The word of the contract, for tables and records.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::KillSwitch(KillSwitchVerdict::Proceed)
            | Self::RetryCeiling(RetryCeilingVerdict::Proceed)
            | Self::Budget(BudgetVerdict::Proceed) => "proceed",
            Self::KillSwitch(KillSwitchVerdict::Stop(_)) => "stop",
            Self::KillSwitch(KillSwitchVerdict::Trip(_)) => "trip",
            Self::RetryCeiling(RetryCeilingVerdict::RaiseFloor(_)) => "raise-floor",
            Self::RetryCeiling(RetryCeilingVerdict::BackOff { .. }) => "back-off",
            Self::RetryCeiling(RetryCeilingVerdict::HoldForHuman(_)) => "hold-for-human",
            Self::RetryCeiling(RetryCeilingVerdict::Refuse(_))
            | Self::Routing(RoutingVerdict::Refuse(_))
            | Self::Budget(BudgetVerdict::Refuse(_)) => "refuse",
            Self::Routing(RoutingVerdict::UseCandidate(_)) => "use-candidate",
            Self::Routing(RoutingVerdict::NoOpinion) => "no-opinion",
            Self::Budget(BudgetVerdict::Slow { .. }) => "slow",
            Self::Budget(BudgetVerdict::CapOutput { .. }) => "cap-output",
            Self::Budget(BudgetVerdict::HoldForApproval(_)) => "hold-for-approval",
            Self::Failed(..) => "failed",
        }
    }

    /// The reason it carries.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::KillSwitch(KillSwitchVerdict::Stop(reason) | KillSwitchVerdict::Trip(Trip { reason, .. }))
            | Self::RetryCeiling(RetryCeilingVerdict::HoldForHuman(reason) | RetryCeilingVerdict::Refuse(reason))
            | Self::Routing(RoutingVerdict::Refuse(reason))
            | Self::Budget(BudgetVerdict::HoldForApproval(reason) | BudgetVerdict::Refuse(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// The kind of policy that can say this; nothing for a failure, which any can have.
    #[must_use]
    pub const fn kind(&self) -> Option<PolicyKind> {
        match self {
            Self::KillSwitch(_) => Some(PolicyKind::KillSwitch),
            Self::RetryCeiling(_) => Some(PolicyKind::RetryCeiling),
            Self::Routing(_) => Some(PolicyKind::Routing),
            Self::Budget(_) => Some(PolicyKind::Budget),
            Self::Failed(..) => None,
        }
    }
}
