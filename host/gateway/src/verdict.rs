//! What a decision means for the caller: go, wait, or one problem that says why not.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tollgate_core::{
    Decision, Dispatch, Outcome, Permit, PolicyKind, Reason, Refusal, RoutingVerdict, Source, Switch, Tier, Trail,
    TrailEntry, Unit, Verdict,
};
use tollgate_ledger::book;
use tollgate_runtime::Stopped;

use crate::accounts::{Accounts, Unreserved};
use crate::approvals::Held;
use crate::call::{Call, ledger_failed};
use crate::formats::{NextAction, Problem};
use crate::{Gateway, Times};

/// What is to be done.
pub(crate) enum Next {
    Go(Permit),
    Wait(Duration),
    /// A human has to say yes.
    Hold(Box<Held>),
}

/// How long a call may be kept waiting in all, and that it still has someone waiting for it.
pub(crate) struct Patience {
    left: Duration,
    waited: Duration,
    /// For reservations of others to end.
    queue_left: Duration,
    caller_left: CancellationToken,
}

/// How long one wait in the queue lasts at most: an end that came just before it began is not missed for long.
const QUEUE_STEP: Duration = Duration::from_millis(50);

impl Patience {
    pub(crate) const fn new(times: Times, caller_left: CancellationToken) -> Self {
        Self { left: times.longest_wait, waited: Duration::ZERO, queue_left: times.queue, caller_left }
    }

    pub(crate) const fn waited(&self) -> Duration {
        self.waited
    }

    /// Waits until a reservation has ended, or a little; whether there was patience left for it.
    pub(crate) async fn queue(&mut self, accounts: &Accounts) -> bool {
        let step = self.queue_left.min(QUEUE_STEP);
        if step.is_zero() {
            return false;
        }
        self.queue_left = self.queue_left.saturating_sub(step);
        accounts.wait_for_an_end(step).await;
        true
    }

    /// Waits as long as a verdict says; refuses at once what is longer than the patience that is left.
    pub(crate) async fn wait(&mut self, wait: Duration) -> Result<(), Problem> {
        let Some(left) = self.left.checked_sub(wait) else {
            let seconds = wait.as_secs().saturating_add(1);
            return Err(Problem::new(
                429,
                "slowed-down",
                "it would wait longer than a connection is kept",
                NextAction::RetryAfter(seconds),
            ));
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.caller_left.cancelled() => return Err(caller_left()),
        }
        (self.left, self.waited) = (left, self.waited.saturating_add(wait));
        Ok(())
    }

    /// Waits until the caller leaves.
    pub(crate) async fn caller_leaves(&self) {
        self.caller_left.cancelled().await;
    }

    /// Nothing is sent for a caller that has left.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.caller_left.is_cancelled() { Err(caller_left()) } else { Ok(()) }
    }
}

/// Nobody reads this.
pub(crate) fn caller_left() -> Problem {
    Problem::new(499, "caller-left", "the caller has left", NextAction::Stop)
}

/// What the decision says is to be done.
pub(crate) fn act_on(gateway: &Gateway, call: &Call, dispatch: &Dispatch, decision: Decision) -> Result<Next, Problem> {
    // A switch holds whatever the policies are: an operator's word must not depend on a plugin that is in shadow.
    if let Some(switch) = gateway.host.switches().cover(dispatch) {
        gateway.accounts.count_refused(dispatch);
        return Err(with_decision(switched_off(gateway, switch, dispatch.now_ms), call));
    }
    let floor = decision.floor;
    let problem = match decision.outcome {
        Outcome::Proceed(permit) => match not_as_asked(gateway, call, dispatch, &decision.trail) {
            None => return Ok(Next::Go(permit)),
            Some(problem) => problem,
        },
        Outcome::Slow { milliseconds, .. } => return Ok(Next::Wait(Duration::from_millis(u64::from(milliseconds)))),
        Outcome::Hold { by, reason } => {
            let words = reason.display(gateway.host.symbols());
            let needs = call.least_worst_case(gateway, dispatch, floor);
            let held = Held {
                problem: attributed(gateway, approval_needed(&words), by, Some(&reason)),
                policy: by_name(gateway, by).to_string(),
                rule: gateway.host.symbols().display(reason.code).to_string(),
                reason: words,
                needs,
            };
            return Ok(Next::Hold(Box::new(held)));
        }
        Outcome::Refuse { cause: Refusal::NoCandidate, .. }
            if let Some(tier) = call.identity.tier
                && dispatch.candidates.is_empty() =>
        {
            unknown_tier(tier)
        }
        Outcome::Refuse { by, cause } => refused(gateway, dispatch, floor, by, cause),
    };
    gateway.accounts.count_refused(dispatch);
    Err(with_decision(problem, call))
}

/// Why it does not go to a model that nobody chose in the place of the one it asked for: that is not there, or switched off. A caller
/// that asks for a tier has chosen, too.
fn not_as_asked(gateway: &Gateway, call: &Call, dispatch: &Dispatch, trail: &Trail) -> Option<Problem> {
    let chooses = |said: &TrailEntry| matches!(said.verdict, Verdict::Routing(RoutingVerdict::UseCandidate(_)));
    if call.identity.tier.is_some() || trail.iter().any(|said| !said.shadow && chooses(said)) {
        return None;
    }
    let Some(asked) = dispatch.candidates.iter().find(|candidate| candidate.model == dispatch.requested_model) else {
        return Some(unknown_model(call));
    };
    let board = gateway.host.switches();
    let switch = board.cover_of_candidate(asked, dispatch.now_ms)?;
    Some(switched_off(gateway, switch, dispatch.now_ms))
}

/// No model has the tier that the caller chose, and none will by itself.
fn unknown_tier(tier: Tier) -> Problem {
    let detail = format!("no backend that speaks this format serves a model of the tier `{tier}` that can take this");
    Problem::new(404, "unknown-model", detail, NextAction::ChangeRequest)
}

fn unknown_model(call: &Call) -> Problem {
    let detail = format!(
        "no backend that speaks this format serves `{}` at a known price, and no policy is in force that chooses another model; \
         `GET /v1/models` says which there are",
        call.request.model
    );
    Problem::new(404, "unknown-model", detail, NextAction::ChangeRequest)
}

fn approval_needed(reason: &str) -> Problem {
    let detail = format!("a human has to approve this: {reason}");
    Problem::new(409, "approval-needed", detail, NextAction::AskForApproval)
}

/// Somebody approved it, and not by as much as a ceiling of the ledger asks for: they are asked for more.
pub(crate) fn above_the_ceiling(refusal: &book::Refusal) -> Held {
    let left = refusal.standing.headroom();
    let reason = format!("`{}` has {left} left, and this can cost {}", refusal.account, refusal.amount);
    let needs = refusal.amount.saturating_sub(left);
    let problem = approval_needed(&reason).with("policy", "ledger").with("budget", &*refusal.budget);
    let problem = problem.with("remaining", left.to_string()).with("owner", refusal.owner.as_deref());
    Held { problem, policy: "ledger".to_owned(), rule: refusal.budget.to_string(), reason, needs }
}

/// A kill switch says that it must not go on, in the middle of it.
pub(crate) fn stopped(gateway: &Gateway, stopped: &Stopped) -> Problem {
    let symbols = gateway.host.symbols();
    Problem::new(503, "stopped", stopped.reason.display(symbols), NextAction::Stop)
        .with("policy", &*stopped.policy)
        .with("rule", &*symbols.display(stopped.reason.code))
}

fn refused(gateway: &Gateway, dispatch: &Dispatch, floor: Tier, by: Source, cause: Refusal) -> Problem {
    let words = |reason: &Reason| reason.display(gateway.host.symbols());
    let (problem, reason) = match &cause {
        Refusal::Policy(reason) => (by_policy(dispatch, floor, by, words(reason)), Some(reason)),
        Refusal::PolicyFailed(failure) => {
            let detail = format!("a policy could not be evaluated: {}", failure.as_str());
            (Problem::new(503, "policy-failed", detail, NextAction::Stop), None)
        }
        Refusal::ModelsSwitchedOff(reason) => {
            let detail = format!("every model it could go to is switched off: {}", words(reason));
            (Problem::new(503, "switched-off", detail, NextAction::Stop), Some(reason))
        }
        Refusal::NoCandidate => {
            let detail = "no backend that speaks this format can take it now";
            (Problem::new(503, "no-candidate", detail, NextAction::RetryAfter(5)), None)
        }
        Refusal::NoCandidateAtFloor => {
            let detail = "no model of the tier that its failures ask for can take it";
            (Problem::new(403, "no-candidate-at-floor", detail, NextAction::Stop), None)
        }
        Refusal::TooManyFacts => (
            Problem::new(
                500,
                "too-many-facts",
                "more candidates or budgets apply than a dispatch can have",
                NextAction::Stop,
            ),
            None,
        ),
    };
    attributed(gateway, problem, by, reason)
}

fn by_policy(dispatch: &Dispatch, floor: Tier, by: Source, detail: String) -> Problem {
    let Source::Policy(_, kind) = by else {
        return Problem::new(403, "refused", detail, NextAction::Stop);
    };
    match kind {
        PolicyKind::KillSwitch => Problem::new(503, "stopped", detail, NextAction::Stop),
        PolicyKind::RetryCeiling => Problem::new(403, "retry-ceiling", detail, NextAction::Stop),
        // What a task has failed of raises the tier that it asks for, above what the backends of its format may have.
        PolicyKind::Routing if floor > Tier::Low => {
            let detail = format!("{detail}: the task needs a model of the tier `{floor}` or above");
            Problem::new(403, "no-route", detail, NextAction::Stop)
        }
        PolicyKind::Routing => Problem::new(403, "no-route", detail, NextAction::Stop),
        PolicyKind::Budget => {
            let ends = dispatch
                .accounts
                .iter()
                .max_by_key(|account| account.utilisation_permille())
                .map(|account| account.window_end_ms);
            over_budget(detail, ends.unwrap_or(u64::MAX), dispatch.now_ms)
        }
    }
}

/// A budget that starts anew can be waited for; one that does not needs money.
fn over_budget(detail: String, window_end_ms: u64, now_ms: u64) -> Problem {
    if window_end_ms == u64::MAX {
        return Problem::new(402, "budget-exceeded", detail, NextAction::Stop);
    }
    let seconds = window_end_ms.saturating_sub(now_ms).div_ceil(1_000).max(1);
    Problem::new(429, "quota-exceeded", detail, NextAction::RetryAfter(seconds)).with("reset_ms", window_end_ms)
}

/// The ledger's own word, which no policy can lift.
pub(crate) fn unreserved(gateway: &Gateway, call: &Call, dispatch: &Dispatch, unreserved: &Unreserved) -> Problem {
    gateway.accounts.count_refused(dispatch);
    let problem = match unreserved {
        Unreserved::Failed(error) => ledger_failed(gateway, error),
        Unreserved::Refused(refusal) => {
            let book::Standing { window_end_ms, .. } = refusal.standing;
            let left = refusal.standing.headroom();
            let detail = format!("`{}` has {left} left, and this can cost {}", refusal.account, refusal.amount);
            over_budget(detail, window_end_ms, dispatch.now_ms)
                .with("policy", "ledger")
                .with("budget", &*refusal.budget)
                .with("remaining", left.to_string())
                .with("owner", refusal.owner.as_deref())
        }
    };
    with_decision(problem, call)
}

/// A switch covers it.
pub(crate) fn switched_off(gateway: &Gateway, switch: &Switch, now_ms: u64) -> Problem {
    let reason = switch.reason.display(gateway.host.symbols());
    let seconds = switch.expires_ms.map(|end| end.saturating_sub(now_ms).div_ceil(1_000));
    let next = seconds.map_or(NextAction::Stop, NextAction::StayAwayFor);
    Problem::new(503, "switched-off", format!("stopped by {}: {reason}", switch.author), next)
        .with("rule", &*gateway.host.symbols().display(switch.reason.code))
}

fn by_name(gateway: &Gateway, by: Source) -> Arc<str> {
    match by {
        Source::Host => "host".into(),
        Source::Policy(policy, _) => gateway.host.policy_name(policy),
    }
}

fn attributed(gateway: &Gateway, problem: Problem, by: Source, reason: Option<&Reason>) -> Problem {
    let problem = problem.with("policy", &*by_name(gateway, by));
    let Some(reason) = reason else { return problem };
    let problem = problem.with("rule", &*gateway.host.symbols().display(reason.code));
    if reason.unit == Unit::None { problem } else { problem.with("actual", reason.actual).with("limit", reason.limit) }
}

pub(crate) fn with_decision(problem: Problem, call: &Call) -> Problem {
    problem.with("decision_id", call.decision_name())
}
