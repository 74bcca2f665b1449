//! A decision in words: what programs read as JSON. Timings stay out, so that the same decision is the same
//! bytes.

use serde::Serialize;
use tollgate_core::{
    BudgetVerdict, Decision, Dispatch, KillSwitchVerdict, Outcome, Reason, Refusal, RetryCeilingVerdict,
    RoutingVerdict, Source, Symbol, Tier, Unit, Verdict,
};
use tollgate_runtime::Host;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DecisionView {
    pub(crate) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_cap: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<ReasonView>,
    pub(crate) floor: Tier,
    pub(crate) generation: u64,
    pub(crate) verdicts: Vec<VerdictView>,
}

/// A reason for programs (`code`, `actual`, `limit`, `unit`) and for people (`text`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReasonView {
    pub(crate) code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actual: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    pub(crate) unit: Unit,
    /// Who answers for the budget that bound, where the policy names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerdictView {
    pub(crate) policy: String,
    pub(crate) kind: &'static str,
    pub(crate) verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<ReasonView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shadow: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) last_good: bool,
    pub(crate) fuel: u64,
}

impl ReasonView {
    pub(crate) fn of(reason: &Reason, dispatch: &Dispatch, host: &Host) -> Self {
        let number = |number| (reason.unit != Unit::None).then_some(number);
        let name = host.symbols().display(reason.code).to_string();
        let owner = names_an_owner(reason, dispatch).then(|| name.clone());
        let text = reason.display(host.symbols());
        Self {
            actual: number(reason.actual),
            limit: number(reason.limit),
            unit: reason.unit,
            text: if owner.is_some() { format!("the budget of {text}") } else { text },
            code: if owner.is_some() { BUDGET.to_owned() } else { name },
            owner,
        }
    }

    fn named(code: &str) -> Self {
        let text = code.replace('-', " ");
        Self { code: code.to_owned(), actual: None, limit: None, unit: Unit::None, owner: None, text }
    }
}

/// The code of a reason that names who answers for the budget, which is no code.
pub(crate) const BUDGET: &str = "budget";

/// A budget policy refuses in the name of a budget's owner: then the reason's name is theirs.
pub(crate) fn names_an_owner(reason: &Reason, dispatch: &Dispatch) -> bool {
    reason.unit == Unit::Nanodollars
        && reason.code != Symbol::UNKNOWN
        && dispatch.accounts.iter().any(|account| account.owner == reason.code)
}

impl DecisionView {
    pub(crate) fn of(decision: &Decision, dispatch: &Dispatch, host: &Host) -> Self {
        let mut view = Self {
            outcome: decision.outcome.word(),
            model: None,
            backend: None,
            tier: None,
            output_cap: None,
            wait_ms: None,
            by: None,
            reason: None,
            floor: decision.floor,
            generation: decision.generation,
            verdicts: decision.trail.iter().map(|entry| verdict(entry, dispatch, host)).collect(),
        };
        let by = |source: Source| {
            Some(match source {
                Source::Host => "host".to_owned(),
                Source::Policy(policy, _) => host.policy_name(policy).to_string(),
            })
        };
        match &decision.outcome {
            Outcome::Proceed(permit) => {
                view.output_cap = permit.output_cap();
                let candidate = dispatch.candidates.get(permit.candidate() as usize);
                let name = |symbol| host.symbols().display(symbol).to_string();
                view.model = candidate.map(|candidate| name(candidate.model));
                view.backend = candidate.map(|candidate| name(candidate.backend));
                view.tier = candidate.map(|candidate| candidate.tier);
            }
            Outcome::Slow { milliseconds, by: source } => {
                view.wait_ms = Some(*milliseconds);
                view.by = by(*source);
            }
            Outcome::Hold { by: source, reason } => {
                view.by = by(*source);
                view.reason = Some(ReasonView::of(reason, dispatch, host));
            }
            Outcome::Refuse { by: source, cause } => {
                view.by = by(*source);
                view.reason = Some(match cause {
                    Refusal::Policy(reason) | Refusal::ModelsSwitchedOff(reason) => {
                        ReasonView::of(reason, dispatch, host)
                    }
                    Refusal::PolicyFailed(failure) => ReasonView::named(failure.as_str()),
                    other => ReasonView::named(other.as_str()),
                });
            }
        }
        view
    }
}

fn verdict(entry: &tollgate_core::TrailEntry, dispatch: &Dispatch, host: &Host) -> VerdictView {
    VerdictView {
        policy: host.policy_name(entry.policy).to_string(),
        kind: entry.kind.as_str(),
        verdict: entry.verdict.word(),
        detail: detail(&entry.verdict, dispatch, host),
        reason: entry.verdict.reason().map(|reason| ReasonView::of(&reason, dispatch, host)),
        shadow: entry.shadow,
        last_good: entry.last_good,
        fuel: entry.fuel,
    }
}

/// What the verdict carries beside its reason.
fn detail(verdict: &Verdict, dispatch: &Dispatch, host: &Host) -> Option<String> {
    match verdict {
        Verdict::KillSwitch(KillSwitchVerdict::Trip(trip)) => {
            Some(format!("{:?} for {} s", trip.mode, trip.time_to_live_ms / 1000).to_lowercase())
        }
        Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(tier)) => Some(tier.to_string()),
        Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds })
        | Verdict::Budget(BudgetVerdict::Slow { milliseconds }) => Some(format!("{milliseconds} ms")),
        Verdict::Routing(RoutingVerdict::UseCandidate(index)) => dispatch
            .candidates
            .get(*index as usize)
            .map(|candidate| host.symbols().display(candidate.model).to_string()),
        Verdict::Budget(BudgetVerdict::CapOutput { tokens }) => Some(format!("{tokens} tokens")),
        Verdict::Failed(failure, _) => Some(failure.as_str().to_owned()),
        _ => None,
    }
}
