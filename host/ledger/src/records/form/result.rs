//! What came of a dispatch, as it is recorded.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use tollgate_core::{
    BudgetVerdict, Decision, Dispatch, EvaluationFailure, KillSwitchVerdict, Nanodollars, OnError, Outcome,
    PolicyIndex, PolicyKind, Reason, Refusal, RetryCeilingVerdict, RoutingVerdict, ScopeKind, Source, SwitchMode,
    Symbols, Tier, TrailEntry, Trip, TripSelector, Unit, Verdict,
};

use super::{PolicySet, Word, is_default, symbol};

/// The outcome, and the verdicts that counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// `proceed`, `slow`, `hold` or `refuse`.
    pub outcome: Word,
    /// Where it goes: a place among the candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u32>,
    /// The model there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// What serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Arc<str>>,
    /// The model's tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What it is expected to cost there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_cost: Option<Nanodollars>,
    /// The most output tokens it may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_cap: Option<u32>,
    /// How long it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
    /// The policy that settled it, or `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// As which kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PolicyKind>,
    /// What kind of refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Word>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonRecord>,
    /// The lowest tier that the retry ceilings left.
    pub floor: Option<Tier>,
    /// The generation of policies that decided.
    pub generation: u64,
    /// In the order in which they were given.
    pub verdicts: Vec<VerdictRecord>,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// From the call of `decide` to its return.
    pub timer_decide_ns: u32,
}

/// Why: a name and two numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ReasonRecord {
    /// What was looked at; nothing for a name that no configuration mentions.
    #[serde(default)]
    pub code: Option<Arc<str>>,
    /// What the numbers count.
    pub unit: Unit,
    /// What it was.
    #[serde(default)]
    pub actual: u64,
    /// What it may be.
    #[serde(default)]
    pub limit: u64,
}

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// Which policy.
    pub policy: Arc<str>,
    /// As which kind it was asked.
    pub kind: PolicyKind,
    /// The word of the contract, or `failed`.
    pub verdict: Word,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonRecord>,
    /// The tier of a raised floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// How long to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
    /// The most output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
    /// The candidate to use: a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u32>,
    /// The model there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// The switch to engage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trip: Option<TripRecord>,
    /// Why it could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<EvaluationFailure>,
    /// What that meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// The last good version of the policy said it, in place of the configured one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_good: bool,
    /// Wasm instructions it spent, roughly.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fuel: u64,
    /// How long it took.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timer_evaluate_ns: u32,
}

/// A switch that a policy wanted engaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TripRecord {
    /// `everything`, `model`, `task-type`, or a kind of scope.
    pub covers: Word,
    /// Which model or task type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// How it treats what runs.
    pub mode: SwitchMode,
    /// When it ends by itself.
    pub time_to_live_ms: u64,
}

impl ReasonRecord {
    pub(super) fn of(reason: &Reason, symbols: &Symbols) -> Self {
        let Reason { code, unit, actual, limit } = *reason;
        Self { code: symbols.resolve(code), unit, actual, limit }
    }

    pub(super) fn to_reason(&self, symbols: &Symbols) -> Reason {
        let Self { ref code, unit, actual, limit } = *self;
        Reason { code: symbol(code.as_ref(), symbols), unit, actual, limit }
    }

    /// For people: `run-cost: 14.20 USD of 10.00 USD`.
    #[must_use]
    pub fn text(&self) -> String {
        self.unit.display(self.code.as_deref().unwrap_or("unknown"), self.actual, self.limit)
    }
}

/// With the text for people where people may read it.
impl Serialize for ReasonRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serializer.is_human_readable().then(|| self.text());
        let fields = if text.is_some() { 5 } else { 4 };
        let mut fields = serializer.serialize_struct("ReasonRecord", fields)?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("unit", &self.unit)?;
        fields.serialize_field("actual", &self.actual)?;
        fields.serialize_field("limit", &self.limit)?;
        if let Some(text) = text {
            fields.serialize_field("text", &text)?;
        }
        fields.end()
    }
}

impl ResultRecord {
    /// Of a decision; beside it the verdicts that changed nothing.
    #[must_use]
    pub fn of(
        decision: &Decision,
        dispatch: &Dispatch,
        symbols: &Symbols,
        policies: &PolicySet,
    ) -> (Self, Vec<VerdictRecord>) {
        let mut result = Self {
            outcome: decision.outcome.word().into(),
            floor: Some(decision.floor),
            generation: decision.generation,
            ..Self::default()
        };
        result.take_outcome(&decision.outcome, dispatch, symbols, policies);
        let mut shadow = Vec::new();
        for entry in &decision.trail {
            let to = if entry.shadow { &mut shadow } else { &mut result.verdicts };
            to.push(VerdictRecord::of(entry, dispatch, symbols, policies));
        }
        (result, shadow)
    }

    fn take_outcome(&mut self, outcome: &Outcome, dispatch: &Dispatch, symbols: &Symbols, policies: &PolicySet) {
        let reason = |reason: &Reason| Some(ReasonRecord::of(reason, symbols));
        match outcome {
            Outcome::Proceed(permit) => {
                self.candidate = Some(permit.candidate());
                self.output_cap = permit.output_cap();
                let index = usize::try_from(permit.candidate()).ok();
                if let Some(candidate) = index.and_then(|index| dispatch.candidates.get(index)) {
                    self.model = symbols.resolve(candidate.model);
                    self.backend = symbols.resolve(candidate.backend);
                    self.tier = Some(candidate.tier);
                    self.estimated_cost = Some(candidate.estimated_cost);
                }
            }
            Outcome::Slow { milliseconds, by } => {
                self.wait_ms = Some(*milliseconds);
                self.settled_by(*by, policies);
            }
            Outcome::Hold { by, reason: why } => {
                self.reason = reason(why);
                self.settled_by(*by, policies);
            }
            Outcome::Refuse { by, cause } => {
                self.refusal = Some(cause.as_str().into());
                self.reason = match cause {
                    Refusal::Policy(why) | Refusal::ModelsSwitchedOff(why) => reason(why),
                    Refusal::PolicyFailed(failure) => {
                        Some(ReasonRecord { code: Some(failure.as_str().into()), ..ReasonRecord::default() })
                    }
                    _ => None,
                };
                self.settled_by(*by, policies);
            }
        }
    }

    fn settled_by(&mut self, by: Source, policies: &PolicySet) {
        match by {
            Source::Host => self.by = Some("host".into()),
            Source::Policy(index, kind) => {
                self.by = Some(policies.name(index));
                self.kind = Some(kind);
            }
        }
    }
}

impl PolicySet {
    /// What a policy of the set is called; its place where the set is not known.
    fn name(&self, index: PolicyIndex) -> Arc<str> {
        match self.policies.get(usize::from(index.0)) {
            Some(policy) => Arc::clone(&policy.policy),
            None => format!("#{}", index.0).into(),
        }
    }
}

impl VerdictRecord {
    /// Whether it is the same verdict of the same policy, whatever it took.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let alike = |verdict: &Self| Self { fuel: 0, timer_evaluate_ns: 0, ..verdict.clone() };
        alike(self) == alike(other)
    }

    fn of(entry: &TrailEntry, dispatch: &Dispatch, symbols: &Symbols, policies: &PolicySet) -> Self {
        let mut record = Self {
            policy: policies.name(entry.policy),
            kind: entry.kind,
            verdict: entry.verdict.word().into(),
            reason: entry.verdict.reason().map(|reason| ReasonRecord::of(&reason, symbols)),
            tier: None,
            wait_ms: None,
            output_tokens: None,
            candidate: None,
            model: None,
            trip: None,
            failure: None,
            on_error: None,
            last_good: entry.last_good,
            fuel: entry.fuel,
            timer_evaluate_ns: entry.nanoseconds,
        };
        match entry.verdict {
            Verdict::KillSwitch(KillSwitchVerdict::Trip(trip)) => record.trip = Some(TripRecord::of(&trip, symbols)),
            Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(tier)) => record.tier = Some(tier),
            Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds })
            | Verdict::Budget(BudgetVerdict::Slow { milliseconds }) => record.wait_ms = Some(milliseconds),
            Verdict::Budget(BudgetVerdict::CapOutput { tokens }) => record.output_tokens = Some(tokens),
            Verdict::Routing(RoutingVerdict::UseCandidate(index)) => {
                let candidate = usize::try_from(index).ok().and_then(|index| dispatch.candidates.get(index));
                record.candidate = Some(index);
                record.model = candidate.and_then(|candidate| symbols.resolve(candidate.model));
            }
            Verdict::Failed(failure, on_error) => {
                record.failure = Some(failure);
                record.on_error = Some(on_error);
            }
            _ => {}
        }
        record
    }
}

impl TripRecord {
    fn of(trip: &Trip, symbols: &Symbols) -> Self {
        let (covers, name): (&'static str, _) = match trip.selector {
            TripSelector::Everything => ("everything", None),
            TripSelector::Scope(kind) => (ScopeKind::as_str(kind), None),
            TripSelector::Model(model) => ("model", symbols.resolve(model)),
            TripSelector::TaskType(task_type) => ("task-type", symbols.resolve(task_type)),
        };
        Self { covers: covers.into(), name, mode: trip.mode, time_to_live_ms: trip.time_to_live_ms }
    }
}
