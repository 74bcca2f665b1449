//! What operators ask of a running gateway, on a listener of its own: switches, and how it stands. Every request carries the
//! token that the gateway was opened with.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::formats::{NextAction, Problem};
use crate::http::{Body, json as json_answer, read_body};
use crate::switches::{self, SwitchDocument};
use crate::{Gateway, answer, clock, telemetry};

/// The largest request in bytes.
const MAX_BYTES: usize = 64 << 10;

/// A switch to be engaged, as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// See [`SwitchDocument::covers`].
    pub covers: String,
    /// Whether open streams are cut as well.
    pub mode: tollgate_core::SwitchMode,
    /// Why.
    pub reason: String,
    /// Who asks for it.
    pub author: String,
    /// After how many milliseconds it ends by itself; nothing for one that has to be lifted.
    pub for_ms: Option<u64>,
}

/// Switches to be lifted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnkillRequest {
    /// See [`SwitchDocument::covers`].
    pub covers: String,
}

/// Whether a request carries the token.
pub(crate) fn is_authorised(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Of digests, so that how long a comparison takes says nothing about the token.
    sent.is_some_and(|sent| Sha256::digest(sent) == Sha256::digest(gateway.settings.admin_token.as_bytes()))
}

/// Answers one request.
pub(crate) async fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let metrics = request.method() == Method::GET && request.uri().path() == "/metrics";
    if metrics && gateway.host.configuration().telemetry.open_metrics {
        return telemetry::metrics(gateway, request.headers());
    }
    if !is_authorised(gateway, request.headers()) {
        let problem = Problem::new(401, "unauthorised", "send the admin token as a bearer", NextAction::Stop);
        return answer::problem(&problem, None);
    }
    if metrics {
        return telemetry::metrics(gateway, request.headers());
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = match (method, path.as_str()) {
        (Method::GET, "/admin/v1/status") => Ok(status(gateway)),
        (Method::GET, "/admin/v1/switches") => Ok(list(gateway)),
        (Method::POST, "/admin/v1/switches") => kill(gateway, request).await,
        (Method::POST, "/admin/v1/switches/lift") => unkill(gateway, request).await,
        _ => Err(Problem::new(404, "unknown-route", format!("there is no `{path}`"), NextAction::Stop)),
    };
    answered.map_or_else(|problem| answer::problem(&problem, None), |body| json_answer(StatusCode::OK, &body))
}

fn status(gateway: &Gateway) -> serde_json::Value {
    json!({
        "policies": gateway.host.policies().iter().map(|policy| json!({
            "name": policy.policy, "version": policy.version, "digest": policy.digest.to_string(),
        })).collect::<Vec<_>>(),
        "records": records(gateway),
        "switches": engaged(gateway).len(),
        "keys": { "in_force": gateway.keys.in_force(), "known": gateway.keys.count() },
        "untold": gateway.untold.document(),
        "unmetered": gateway.unmetered.document(),
        "under_way": gateway.tasks.len().saturating_sub(crate::gateway::OWN_TASKS),
    })
}

/// How the decision records fare: what is lost is seen here.
fn records(gateway: &Gateway) -> serde_json::Value {
    let status = gateway.records.status().unwrap_or_default();
    json!({
        "enabled": gateway.records.is_on(), "written": status.written, "waiting": status.waiting,
        "lost": { "queue_full": status.lost.queue_full, "write_failed": status.lost.write_failed },
    })
}

fn engaged(gateway: &Gateway) -> Vec<SwitchDocument> {
    let (board, now_ms) = (gateway.host.switches(), clock::now_ms());
    let engaged = board.switches().iter().filter(|switch| switch.is_engaged(now_ms));
    engaged.map(|switch| switches::write(gateway.host.symbols(), &gateway.labels, switch)).collect()
}

fn list(gateway: &Gateway) -> serde_json::Value {
    json!({ "switches": engaged(gateway) })
}

async fn kill(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Result<serde_json::Value, Problem> {
    let asked: KillRequest = read(gateway, request).await?;
    if asked.reason.trim().is_empty() || asked.author.trim().is_empty() {
        return Err(Problem::bad_request("invalid-switch", "a switch needs a `reason` and an `author`"));
    }
    let now_ms = clock::now_ms();
    let document = SwitchDocument {
        covers: asked.covers,
        mode: asked.mode,
        reason: asked.reason,
        author: asked.author,
        engaged_ms: now_ms,
        expires_ms: asked.for_ms.map(|length| now_ms.saturating_add(length)),
        evidence: None,
    };
    let invalid = |error: &dyn std::fmt::Display| Problem::bad_request("invalid-switch", error.to_string());
    let switch = switches::read(&gateway.host, &gateway.labels, &document).map_err(|error| invalid(&error))?;
    gateway.host.engage(switch).map_err(|error| invalid(&error))?;
    gateway.ring();
    save(gateway).await?;
    gateway.log.line(&format!("switch engaged by {}", document.author));
    Ok(list(gateway))
}

async fn unkill(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Result<serde_json::Value, Problem> {
    let asked: UnkillRequest = read(gateway, request).await?;
    let selector = switches::selector(&gateway.host, &gateway.labels, &asked.covers);
    let selector = selector.map_err(|error| Problem::bad_request("invalid-switch", error.to_string()))?;
    if !gateway.host.switches().switches().iter().any(|switch| switch.selector == selector) {
        let detail = format!("no switch covers `{}`: `tollgate switches` lists those there are", asked.covers);
        return Err(Problem::new(404, "no-such-switch", detail, NextAction::ChangeRequest));
    }
    gateway.host.lift(selector);
    gateway.ring();
    save(gateway).await?;
    gateway.log.line("switch lifted");
    Ok(list(gateway))
}

/// A switch that would not survive a restart is engaged all the same, and whoever engaged it is told.
async fn save(gateway: &Arc<Gateway>) -> Result<(), Problem> {
    gateway.save_switches().await.map_err(|error| {
        gateway.log.line(&format!("switches: {error}"));
        let detail = format!("it is in force, and will not survive a restart: {error}");
        Problem::new(500, "not-written", detail, NextAction::Stop)
    })
}

async fn read<T: DeserializeOwned>(gateway: &Gateway, request: Request<Incoming>) -> Result<T, Problem> {
    let invalid = |error: &dyn std::fmt::Display| Problem::bad_request("invalid-request", error.to_string());
    let body = read_body(request.into_body(), MAX_BYTES, gateway.settings.bounds.body_time)
        .await
        .map_err(|error| invalid(&error))?;
    serde_json::from_slice(&body).map_err(|error| invalid(&error))
}
