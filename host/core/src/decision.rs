//! The outcome of the whole chain, with its trail of verdicts, and the permit that only it can make.

use smallvec::SmallVec;

use crate::{Covered, EvaluationFailure, OnError, PolicyKind, Reason, Tier, Verdict};

/// How long a permit lasts, in milliseconds: long enough to reserve money and open a connection, too short to
/// be kept.
pub const PERMIT_LIFETIME_MS: u64 = 1_000;

/// One policy's place in its generation's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyIndex(pub u16);

/// What one policy said, and what asking it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// Which policy.
    pub policy: PolicyIndex,
    /// As which kind it was asked.
    pub kind: PolicyKind,
    /// What it said.
    pub verdict: Verdict,
    /// It was evaluated and recorded, and changes nothing.
    pub shadow: bool,
    /// The last good version of the policy said it: the one that is configured failed or is in quarantine.
    pub last_good: bool,
    /// Wasm instructions it spent, roughly (wasmtime's fuel). An instance's first evaluation may spend more than its later ones.
    pub fuel: u64,
    /// How long it took.
    pub nanoseconds: u32,
}

/// The verdicts in the order in which they were given. Four fit without an allocation.
pub type Trail = SmallVec<[TrailEntry; 4]>;

/// The outcome of the whole chain.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a decision that nobody looks at lets nothing go and stops nothing"]
pub struct Decision {
    /// What is to be done.
    pub outcome: Outcome,
    /// The lowest tier the retry ceilings left.
    pub floor: Tier,
    /// The generation of policies that decided.
    pub generation: u64,
    /// What the switches covered of the dispatch.
    pub covered: Covered,
    /// What each policy said.
    pub trail: Trail,
    /// From the call of `decide` to the last verdict.
    pub nanoseconds: u32,
}

impl Decision {
    /// Room for a decision that [`crate::Ruling::conclude_in`] has yet to make. It refuses, so that one which is handed out
    /// by mistake lets nothing go.
    #[inline]
    pub fn pending() -> Self {
        Self {
            outcome: Outcome::Refuse { by: Source::Host, cause: Refusal::NoCandidate },
            floor: Tier::Low,
            generation: 0,
            covered: Covered::default(),
            trail: Trail::new(),
            nanoseconds: 0,
        }
    }
}

impl TrailEntry {
    /// Room for what a policy is about to be asked. As long as nobody has said anything, the policy has failed.
    #[must_use]
    pub const fn unsaid(policy: PolicyIndex, kind: PolicyKind) -> Self {
        let verdict = Verdict::Failed(EvaluationFailure::NoInstance, OnError::Refuse);
        Self { policy, kind, verdict, shadow: false, last_good: false, fuel: 0, nanoseconds: 0 }
    }
}

/// What is to be done with the dispatch.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It may go.
    Proceed(Permit),
    /// It waits, and is decided again.
    Slow {
        /// How long.
        milliseconds: u32,
        /// Who asked for it.
        by: Source,
    },
    /// It waits for a human.
    Hold {
        /// Who asked for it.
        by: Source,
        /// Why.
        reason: Reason,
    },
    /// It does not go.
    Refuse {
        /// Who refused.
        by: Source,
        /// Why.
        cause: Refusal,
    },
}

/// Who settled the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host itself.
    Host,
    /// A policy.
    Policy(PolicyIndex, PolicyKind),
}

/// Why a dispatch was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The policy's own reason.
    Policy(Reason),
    /// The policy could not be evaluated, and its configuration says to refuse then.
    PolicyFailed(EvaluationFailure),
    /// A switch covers the model of every candidate.
    ModelsSwitchedOff(Reason),
    /// Nobody offered a candidate, or all are down.
    NoCandidate,
    /// No candidate at or above the floor.
    NoCandidateAtFloor,
    /// More candidates or budgets than a dispatch can have.
    TooManyFacts,
}

impl Refusal {
    /// For people and records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::PolicyFailed(_) => "policy-failed",
            Self::ModelsSwitchedOff(_) => "models-switched-off",
            Self::NoCandidate => "no-candidate",
            Self::NoCandidateAtFloor => "no-candidate-at-floor",
            Self::TooManyFacts => "too-many-facts",
        }
    }
}

impl Outcome {
    /// `proceed`, `slow`, `hold` or `refuse`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Proceed(_) => "proceed",
            Self::Slow { .. } => "slow",
            Self::Hold { .. } => "hold",
            Self::Refuse { .. } => "refuse",
        }
    }

    /// The permit, where the dispatch may go.
    #[must_use]
    pub const fn permit(&self) -> Option<&Permit> {
        match self {
            Self::Proceed(permit) => Some(permit),
            _ => None,
        }
    }
}

/// The proof that a decision let a dispatch go. Only [`crate::Ruling::conclude`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a dispatch goes upstream with its permit"]
pub struct Permit {
    candidate: u32,
    output_cap: Option<u32>,
    switch_epoch: u64,
    expires_ms: u64,
}

impl Permit {
    pub(crate) const fn new(candidate: u32, output_cap: Option<u32>, switch_epoch: u64, now_ms: u64) -> Self {
        Self { candidate, output_cap, switch_epoch, expires_ms: now_ms.saturating_add(PERMIT_LIFETIME_MS) }
    }

    /// Where the dispatch goes: an index into its candidates.
    #[must_use]
    pub const fn candidate(&self) -> u32 {
        self.candidate
    }

    /// The most output tokens it may ask for.
    #[must_use]
    pub const fn output_cap(&self) -> Option<u32> {
        self.output_cap
    }

    /// Whether it still holds at the moment of sending: no switch has changed since, and it has not expired.
    /// Where it does not, the dispatch is decided again.
    #[must_use]
    pub const fn is_live(&self, now_ms: u64, switch_epoch: u64) -> bool {
        self.switch_epoch == switch_epoch && now_ms < self.expires_ms
    }
}
