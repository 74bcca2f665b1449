//! What becomes of a dispatch that is held: it is told where to ask, or waits for the verdict. No byte goes to its caller before.

use std::time::Duration;

use http::HeaderMap;
use tollgate_core::{Dispatch, Nanodollars, ScopeKind};

use super::{ApprovalDocument, ApprovalState, Question};
use crate::call::Call;
use crate::formats::{NextAction, Problem};
use crate::verdict::{self, Patience};
use crate::{Gateway, clock};

/// A hold, as whoever holds says it.
pub(crate) struct Held {
    /// What the caller is told, without where to ask.
    pub(crate) problem: Problem,
    pub(crate) policy: String,
    pub(crate) rule: String,
    pub(crate) reason: String,
    /// What would be reserved, at least.
    pub(crate) needs: Nanodollars,
}

/// Asks for an approval, and waits for it where the caller wants to. When this returns without a problem, somebody said yes and
/// the dispatch is to be decided again.
pub(crate) async fn hold(
    gateway: &Gateway,
    call: &Call,
    dispatch: &Dispatch,
    held: Held,
    patience: &Patience,
) -> Result<(), Problem> {
    let waited = wait(gateway, call, held, patience).await;
    waited.map_err(|problem| {
        gateway.accounts.count_refused(dispatch);
        verdict::with_decision(problem, call)
    })
}

async fn wait(gateway: &Gateway, call: &Call, held: Held, patience: &Patience) -> Result<(), Problem> {
    // Before it is asked: a verdict that comes at once is not missed.
    let mut decisions = gateway.approvals.decisions();
    let asked = gateway.approvals.ask(&held.question(call), clock::now_ms());
    let mut document = asked.map_err(|error| {
        let detail = format!("{}; {error}", held.problem.detail);
        Problem { detail, ..held.problem.clone() }
    })?;
    let wanted = wanted_wait(&call.headers).min(gateway.settings.times.longest_hold);
    let deadline = tokio::time::sleep(wanted);
    tokio::pin!(deadline);
    loop {
        match document.state {
            ApprovalState::Approved => return Ok(()),
            ApprovalState::Denied => return Err(denied(&held.problem, &document)),
            ApprovalState::Pending if wanted.is_zero() => return Err(pending(gateway, held.problem, &document)),
            ApprovalState::Pending => {}
        }
        tokio::select! {
            _ = decisions.changed() => {}
            () = &mut deadline => return Err(pending(gateway, held.problem, &document)),
            () = gateway.draining.cancelled() => return Err(pending(gateway, held.problem, &document)),
            () = patience.caller_leaves() => return Err(verdict::caller_left()),
        }
        match gateway.approvals.get(&document.id, clock::now_ms()) {
            Some(known) => document = known,
            // What was decided was over at once.
            None => return Err(held.problem),
        }
    }
}

impl Held {
    fn question(&self, call: &Call) -> Question {
        Question {
            run: call.identity.run.clone(),
            task: call.identity.task.clone(),
            work_item: call.scope(ScopeKind::WorkItem),
            task_type: call.identity.task_type.clone(),
            policy: self.policy.clone(),
            rule: self.rule.clone(),
            reason: self.reason.clone(),
            needs: self.needs.as_u64(),
        }
    }
}

/// Where to ask, for a program and for a person.
fn pending(gateway: &Gateway, problem: Problem, document: &ApprovalDocument) -> Problem {
    let id = document.id.as_str();
    let scheme = if gateway.settings.tls.is_some() { "https" } else { "http" };
    problem
        .with("approval_id", id)
        .with("approval_url", format!("{scheme}://{}/admin/v1/approvals/{id}", gateway.admin_address))
        .with("approval_command", format!("tollgate approvals approve {id}"))
        .with("approval_ends_ms", document.ends_ms)
}

fn denied(problem: &Problem, document: &ApprovalDocument) -> Problem {
    let (by, reason) = document.verdict.as_ref().map_or(("a human", ""), |verdict| (&verdict.by, &verdict.reason));
    let detail = format!("denied by {by}: {reason}");
    let more = problem.more.clone();
    let denied = Problem { more, ..Problem::new(403, "approval-denied", detail, NextAction::Stop) };
    denied.with("approval_id", document.id.as_str()).with("denied_until_ms", document.ends_ms)
}

/// How long a caller wants to wait: `Prefer: wait=30` (RFC 7240), in seconds.
fn wanted_wait(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut waits = preferences.flat_map(|value| value.split(',')).filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| value.parse::<u64>().ok()).flatten()
    });
    // The first counts where it is there twice.
    waits.next().map_or(Duration::ZERO, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_read_as_the_header_says_it() {
        for (value, seconds) in [
            ("wait=30", 30),
            ("respond-async, WAIT = 7", 7),
            ("wait=\"9\"; x=1, wait=3", 9),
            ("wait=-1", 0),
            ("wait=1.5", 0),
            ("wait", 0),
            ("return=minimal", 0),
            ("", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            assert_eq!(wanted_wait(&headers), Duration::from_secs(seconds), "{value}");
        }
    }
}
