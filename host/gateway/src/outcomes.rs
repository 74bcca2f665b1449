//! `POST /tollgate/v1/outcomes`: what only the caller knows about a task, such as that its tests failed.
//!
//! Whoever may ask may report what counts against a task. That it succeeded lifts its ceilings, so only a verifier may say it: a key
//! with that right, or the admin token.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tollgate_core::{Failure, Reference, Report, Scope, ScopeKind, ScopePath, Status, Symbol, Tier};
use tollgate_ledger::calls::{CallStatus, Outcome as OutcomeRow};

use crate::formats::{NextAction, Problem};
use crate::http::{Body, json as json_answer, read_body};
use crate::keys::{Caller, Right};
use crate::{Gateway, admin, answer, call, clock, ingress};

/// The largest outcome in bytes.
const MAX_BYTES: usize = 64 << 10;

/// How long an attempt is taken to have lasted where nobody says, in milliseconds: long enough not to be a fast failure, which
/// is a sign of its own.
const UNTOLD_MS: u64 = 60_000;

/// What became of a task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    run: String,
    /// The run where nothing is said.
    task: Option<String>,
    status: Word,
    task_type: Option<String>,
    /// What it failed of, in the caller's words: the same words are the same failure.
    failure: Option<String>,
    /// What the caller calls the proposal it works on.
    proposal_key: Option<String>,
    /// Whether it changed anything.
    productive: Option<bool>,
    /// Lines of product code it added, less those it took away.
    lines_production: Option<i32>,
    /// Lines of tests, likewise.
    lines_test: Option<i32>,
    /// The tier that worked on it.
    tier: Option<Tier>,
    /// How long the attempt took, in milliseconds.
    duration_ms: Option<u64>,
    /// The run has ended.
    #[serde(default)]
    finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Success,
    Failed,
    Timeout,
    Rejected,
}

/// Takes one outcome.
pub(crate) async fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    match take(gateway, request).await {
        Ok(()) => json_answer(StatusCode::ACCEPTED, &json!({ "status": "recorded" })),
        Err(problem) => answer::problem(&problem, None),
    }
}

async fn take(gateway: &Gateway, request: Request<Incoming>) -> Result<(), Problem> {
    let admin = admin::is_authorised(gateway, request.headers());
    let caller = match admin {
        true => Caller::Anyone("admin".to_owned()),
        false => gateway.keys.caller(request.headers(), clock::now_ms()).map_err(|error| ingress::no_access(&error))?,
    };
    let body = read_body(request.into_body(), MAX_BYTES, gateway.settings.bounds.body_time).await;
    let body = body.map_err(|error| Problem::bad_request("invalid-outcome", error.to_string()))?;
    let outcome: Outcome =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request("invalid-outcome", error.to_string()))?;
    if outcome.status == Word::Success && !admin && !caller.may(Right::Verify) {
        let detail = "only a verifier may report a success: send a key with the right `verify`, or the admin token";
        return Err(Problem::new(403, "not-the-verifier", detail, NextAction::Stop));
    }
    gateway.keys.runs.outcome(&caller, &outcome.run).map_err(|error| ingress::not_its_run(&error))?;
    let report = outcome.report(gateway, caller.name());
    // Written down first: one that is refused is said again, and must not have counted.
    let noted = gateway.accounts.note_outcome(outcome.row(report.ended_ms, caller.name()));
    noted.map_err(|error| call::ledger_failed(gateway, &error))?;
    gateway.untold.outcome(report.task);
    gateway.accounts.record(&report);
    if outcome.finished {
        gateway.accounts.finish_run(Reference::of(&outcome.run));
    }
    Ok(())
}

impl Outcome {
    fn row(&self, at_ms: u64, key: &str) -> OutcomeRow {
        OutcomeRow {
            at_ms,
            run: self.run.clone(),
            task: self.task.as_ref().unwrap_or(&self.run).clone(),
            status: match self.status {
                Word::Success => CallStatus::Success,
                Word::Failed | Word::Timeout => CallStatus::Failed,
                Word::Rejected => CallStatus::Rejected,
            },
            productive: self.productive,
            lines_production: self.lines_production.map(i64::from),
            lines_test: self.lines_test.map(i64::from),
            author: key.to_owned(),
        }
    }

    fn report(&self, gateway: &Gateway, key: &str) -> Report {
        let ended_ms = clock::now_ms();
        let mut scopes = ScopePath::default();
        for scope in [Scope::new(ScopeKind::Run, self.run.as_str()), Scope::new(ScopeKind::Key, key)] {
            scopes.set(scope.kind, scope.reference());
        }
        let failure =
            Failure::Other { fingerprint: Reference::of(self.failure.as_deref().unwrap_or_default()).as_u64() };
        Report {
            task: call::task_of(&self.run, self.task.as_deref().unwrap_or(&self.run)),
            scopes,
            task_type: self.task_type.as_deref().map_or(Symbol::UNKNOWN, |name| gateway.host.symbol(name)),
            started_ms: ended_ms.saturating_sub(self.duration_ms.unwrap_or(UNTOLD_MS)),
            ended_ms,
            tier: self.tier,
            status: match self.status {
                Word::Success => Status::Succeeded,
                Word::Failed => Status::Failed(failure),
                Word::Timeout => Status::Failed(Failure::Timeout),
                Word::Rejected => Status::Rejected,
            },
            context: None,
            proposal: self.proposal_key.as_deref().map(|key| Reference::of(key).as_u64()),
            productive: self.productive,
        }
    }
}
