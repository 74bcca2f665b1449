//! Answers: what a backend says becomes what the caller gets, metered and settled on the way.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use tollgate_core::config::Api;

use crate::formats::{NextAction, Problem, answer_of};
use crate::http::{Body, set_header, typed, whole};
use crate::pool::Arriving;
use crate::settle::{Ended, Exchange, Used, fingerprint};
use crate::upstream::{Place, passed_on};
use crate::{Gateway, clock, stream, verdict};

/// The largest answer that is read whole, in bytes; far beyond what any model writes in one.
const MAX_ANSWER_BYTES: usize = 64 << 20;

const EVENT_STREAM: &[u8] = b"text/event-stream";

/// What a backend's answer means.
pub(crate) enum Answered {
    /// This goes to the caller.
    Response(Response<Body>),
    /// The provider refused for load: its health, not the caller's failure. Another candidate may take it.
    Elsewhere(Response<Body>),
}

/// A problem as an answer, shaped as the caller's provider shapes errors.
pub(crate) fn problem(problem: &Problem, api: Option<Api>) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = typed(status, "application/problem+json", problem.body(api));
    if let Some(seconds) = problem.retry_after() {
        set_header(&mut response, "retry-after", &seconds.to_string());
    }
    if status == StatusCode::UNAUTHORIZED {
        set_header(&mut response, "www-authenticate", "Bearer");
    }
    if !problem.should_retry() {
        set_header(&mut response, "x-should-retry", "false");
    }
    response
}

/// Turns a backend's answer into the caller's.
pub(crate) async fn of_backend(
    gateway: &Arc<Gateway>,
    exchange: Exchange,
    answer: Response<Arriving>,
    place: Place,
) -> Answered {
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = parts.status;
    *response.headers_mut() = passed_on(parts.headers);
    set_header(&mut response, "x-tollgate-decision", &exchange.call.decision_name());
    set_header(&mut response, "x-tollgate-model", &exchange.model);
    set_header(&mut response, "x-tollgate-backend", &place.backend().name);
    if exchange.call.identity.capped_priority.is_some() {
        set_header(&mut response, "x-tollgate-priority", exchange.call.identity.priority.as_str());
    }
    if exchange.dispatch.waited_ms > 0 {
        set_header(&mut response, "x-tollgate-waited-ms", &exchange.dispatch.waited_ms.to_string());
    }
    if parts.status.is_success() && is_stream(response.headers()) {
        *response.body_mut() = stream::pass_on(gateway, exchange, body, place).await;
        return Answered::Response(response);
    }
    let read = tokio::select! {
        switch = gateway.cut(&exchange.dispatch, &exchange.candidate) => {
            let api = exchange.call.request.endpoint.api();
            gateway.telemetry.cut();
            exchange.settle(gateway, Used::Unknown, Ended::Stopped);
            let stopped = verdict::switched_off(gateway, &switch, clock::now_ms());
            return Answered::Response(problem(&stopped, Some(api)));
        }
        () = gateway.ending.cancelled() => return Answered::Response(lost(gateway, exchange, Ended::Stopped)),
        read = tokio::time::timeout(place.backend().times.whole, Limited::new(body, MAX_ANSWER_BYTES).collect()) => read,
    };
    let Ok(Ok(read)) = read else {
        let ended = if read.is_err() { Ended::TimedOut } else { Ended::Unavailable };
        return Answered::Response(lost(gateway, exchange, ended));
    };
    let bytes = read.to_bytes();
    *response.body_mut() = whole(bytes.clone());
    settle_whole(gateway, exchange, &place, &bytes, response)
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().get(..EVENT_STREAM.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
}

fn settle_whole(
    gateway: &Gateway,
    exchange: Exchange,
    place: &Place,
    bytes: &[u8],
    response: Response<Body>,
) -> Answered {
    let status = response.status();
    if status.is_success() {
        place.backend().answered();
        let answer = answer_of(exchange.call.request.endpoint, bytes);
        let told = || answer.usage.map_or(Used::Unknown, |usage| Used::Exact(usage, answer.tier));
        let used = if exchange.call.request.endpoint.is_free() { Used::Nothing } else { told() };
        exchange.settle(gateway, used, Ended::Answered);
        return Answered::Response(response);
    }
    // 408, 409 and 5xx say nothing about the request; 429 is load, whoever causes it.
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        place.backend().failed(clock::now_ms(), retry_after_ms(response.headers()));
        exchange.settle(gateway, Used::Nothing, Ended::Unavailable);
        return Answered::Elsewhere(response);
    }
    place.backend().answered();
    exchange.settle(gateway, Used::Nothing, Ended::Refused { fingerprint: fingerprint(status.as_u16(), bytes) });
    Answered::Response(response)
}

/// It went, and no whole answer came: it may have cost all that was reserved. Sending it again would pay twice.
pub(crate) fn lost(gateway: &Gateway, exchange: Exchange, ended: Ended) -> Response<Body> {
    let told = match ended {
        Ended::TimedOut => too_late(),
        Ended::Stopped => {
            Problem::new(503, "ending", "the gateway ended before the provider answered", NextAction::Stop)
        }
        _ => broke_off(),
    };
    end_with(gateway, exchange, &told, Used::Unknown, ended)
}

/// Nothing was sent, since there was nobody to send it to.
pub(crate) fn unreachable(gateway: &Gateway, exchange: Exchange) -> Response<Body> {
    end_with(gateway, exchange, &not_reached(), Used::Nothing, Ended::Unavailable)
}

pub(crate) fn too_late() -> Problem {
    Problem::new(504, "upstream-timed-out", "the provider did not answer in time", NextAction::Stop)
}

pub(crate) fn broke_off() -> Problem {
    Problem::new(502, "upstream-broke", "the provider's answer broke off", NextAction::Stop)
}

pub(crate) fn not_reached() -> Problem {
    Problem::new(502, "upstream-unreachable", "the provider cannot be reached", NextAction::RetryAfter(5))
}

fn end_with(gateway: &Gateway, exchange: Exchange, told: &Problem, used: Used, ended: Ended) -> Response<Body> {
    if ended != Ended::Stopped
        && let Some(backend) = gateway.upstream.backend(exchange.candidate.backend)
    {
        backend.failed(clock::now_ms(), None);
    }
    let response =
        problem(&verdict::with_decision(told.clone(), &exchange.call), Some(exchange.call.request.endpoint.api()));
    exchange.settle(gateway, used, ended);
    response
}

/// Seconds, or what OpenAI adds to be more exact; a date is not used by either provider.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    number("retry-after-ms").or_else(|| number(RETRY_AFTER.as_str())?.checked_mul(1_000))
}
