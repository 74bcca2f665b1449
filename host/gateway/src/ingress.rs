//! From a request of a client to a [`Call`]: which format it speaks, a body within bounds, who asks.

use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::{Body as HttpBody, Incoming};
use std::hash::BuildHasher;
use std::sync::Mutex;
use tollgate_core::config::Api;

use crate::call::Call;
use crate::formats::{Endpoint, ModelRequest, NextAction, Problem};
use crate::http::{BodyError, read_body};
use crate::identity::{Identity, IdentityError};
use crate::keys::{AccessError, ClaimError, RunError};
use crate::room::Taken;
use crate::telemetry::Observed;
use crate::{Gateway, clock};

/// The format of a caller whose path is not one of those, so that it can read the answer.
pub(crate) fn guess_api(path: &str, headers: &HeaderMap) -> Option<Api> {
    let anthropic = headers.contains_key("anthropic-version");
    Endpoint::of_path(path)
        .map(Endpoint::api)
        .or_else(|| path.starts_with("/v1/").then_some(if anthropic { Api::Anthropic } else { Api::Openai }))
}

/// Reads a request for a model.
pub(crate) async fn read(gateway: &Gateway, request: Request<Incoming>, observed: Observed) -> Result<Call, Problem> {
    let started_ms = clock::now_ms();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let Some(endpoint) = Endpoint::of_path(path) else {
        let detail = format!("`{path}` cannot be metered, so it is not let through");
        return Err(Problem::new(404, "unknown-route", detail, NextAction::Stop));
    };
    if parts.method != http::Method::POST {
        return Err(Problem::new(405, "method-not-allowed", "use POST", NextAction::ChangeRequest));
    }
    let caller = gateway.keys.caller(&parts.headers, started_ms).map_err(|error| no_access(&error))?;
    let (body, room) = self::body(gateway, body).await?;
    let context = gateway.context_key.hash_one(&body);
    let request = ModelRequest::parse(endpoint, body)
        .map_err(|error| Problem::bad_request("invalid-request", error.to_string()))?;
    let identity = Identity::read(&parts.headers, request.told(), &caller, &gateway.sessions, started_ms)
        .map_err(|error| unidentified(&error))?;
    gateway
        .keys
        .runs
        .call(&caller, &identity.run, &identity.scopes, started_ms)
        .map_err(|error| not_its_run(&error))?;
    let mut headers = parts.headers;
    caller.keep_secrets(&mut headers);
    observed.identified(&request, &identity);
    let (id, decided) = (observed.number(), Mutex::default());
    let query = parts.uri.query().map(str::to_owned);
    let call = Call { id, decided, observed, request, query, identity, headers, started_ms, context, _room: room };
    if let Some(line) = gateway.untold.dispatch(call.task(), call.identity.names_run, call.identity.names_task) {
        gateway.log.line(&line);
    }
    Ok(call)
}

/// The body of a client's request, within bounds, and the room it takes.
pub(crate) async fn body(gateway: &Gateway, body: Incoming) -> Result<(Bytes, Taken), Problem> {
    let bounds = gateway.settings.bounds;
    let room = gateway.room.take(body.size_hint().exact(), bounds.body_bytes).ok_or_else(|| {
        let detail = "so much is under way that there is no room for the body of this request";
        Problem::new(503, "no-room", detail, NextAction::RetryAfter(1))
    })?;
    let read = read_body(body, bounds.body_bytes, bounds.body_time).await.map_err(|error| match error {
        BodyError::TooLarge { .. } => Problem::new(413, "body-too-large", error.to_string(), NextAction::ChangeRequest),
        BodyError::TooSlow { .. } => Problem::new(408, "body-too-slow", error.to_string(), NextAction::Stop),
        BodyError::Broken => Problem::bad_request("body-broken", error.to_string()),
    });
    Ok((read?, room))
}

/// The caller has no key that is valid here.
pub(crate) fn no_access(error: &AccessError) -> Problem {
    let code = match error {
        AccessError::Missing => "missing-key",
        AccessError::Invalid => "invalid-key",
    };
    Problem::new(401, code, error.to_string(), NextAction::Stop)
}

pub(crate) fn unidentified(error: &IdentityError) -> Problem {
    match error {
        IdentityError::Claim(ClaimError::Tier { .. }) => {
            Problem::new(403, "tier-not-allowed", error.to_string(), NextAction::ChangeRequest)
        }
        IdentityError::Claim(_) => Problem::new(403, "scope-not-owned", error.to_string(), NextAction::ChangeRequest),
        IdentityError::Name { .. } | IdentityError::Twice { .. } | IdentityError::Value { .. } => {
            Problem::bad_request("invalid-identity", error.to_string())
        }
    }
}

pub(crate) fn not_its_run(error: &RunError) -> Problem {
    match error {
        RunError::Foreign { .. } => Problem::new(403, "run-not-owned", error.to_string(), NextAction::ChangeRequest),
        RunError::TooMany { retry_after_s, .. } => {
            Problem::new(429, "too-many-runs", error.to_string(), NextAction::RetryAfter(*retry_after_s))
        }
    }
}
