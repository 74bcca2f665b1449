//! Routes that cannot be metered and that the operator has named: they go through as they are, counted and told. A switch holds for them
//! as for everything; a budget does not, since nobody knows what they cost.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming};
use serde_json::{Value, json};
use tollgate_core::config::Api;
use tollgate_core::{Dispatch, Health, ScopePath};

use crate::formats::{Endpoint, NextAction, Problem, below};
use crate::http::{Body, Broken, set_header};
use crate::identity::{Identity, Told};
use crate::pool::Arriving;
use crate::telemetry::Observed;
use crate::upstream::{Backend, Place, Unanswered, passed_on};
use crate::{Gateway, answer, clock, ingress, verdict};

/// How often each route was taken since the gateway was opened.
#[derive(Debug, Default)]
pub(crate) struct Unmetered(Mutex<BTreeMap<String, u64>>);

impl Unmetered {
    fn count(&self, route: &str) {
        // As many as the configurations of this process have named.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(route.to_owned()).or_default() += 1;
    }

    pub(crate) fn document(&self) -> Value {
        json!(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The named route that a request takes; nothing for one that is metered, or that is refused.
pub(crate) fn route_of(gateway: &Gateway, method: &Method, path: &str) -> Option<String> {
    let metered = method == Method::POST && Endpoint::of_path(path).is_some();
    if metered || !is_plain(path) {
        return None;
    }
    gateway.host.configuration().gateway.unmetered(path).map(str::to_owned)
}

/// Whether every server reads the path alike: a detour could lead to what has to be metered.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/');
    path.bytes().all(plain) && !path.contains("//") && path.split('/').all(|part| part != "." && part != "..")
}

/// Passes a request on to a backend of the caller's format.
pub(crate) async fn pass(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    route: &str,
    observed: &Observed,
) -> Result<Response<Body>, Problem> {
    let now_ms = clock::now_ms();
    let (mut parts, body) = request.into_parts();
    let api = ingress::guess_api(parts.uri.path(), &parts.headers).unwrap_or(Api::Openai);
    let caller = gateway.keys.caller(&parts.headers, now_ms).map_err(|error| ingress::no_access(&error))?;
    let identity = Identity::read(&parts.headers, Told::default(), &caller, &gateway.sessions, now_ms)
        .map_err(|error| ingress::unidentified(&error))?;
    let (body, _room) = ingress::body(gateway, body).await?;
    let mut scopes = ScopePath::default();
    identity.scopes.iter().for_each(|scope| scopes.set(scope.kind, scope.reference()));
    let dispatch = Dispatch { now_ms, scopes, ..Dispatch::default() };
    if let Some(switch) = gateway.host.switches().cover(&dispatch) {
        return Err(verdict::switched_off(gateway, switch, now_ms));
    }
    let well = |backend: &&Arc<Backend>| backend.api == api && backend.health(now_ms) != Health::Down;
    let serving = gateway.upstream.serving();
    let place = Place::take(serving.backends().find(well).ok_or_else(no_backend)?);
    caller.keep_secrets(&mut parts.headers);
    let path = parts.uri.path_and_query().map_or(parts.uri.path(), |path| path.as_str());
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let mut onward = Request::new(Full::new(body));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = below(place.backend().path(), api, path)
        .parse()
        .map_err(|_| Problem::bad_request("invalid-request", "the path cannot be passed on"))?;
    *onward.headers_mut() = passed_on(parts.headers);
    observed.pass_on(onward.headers_mut());
    onward.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    place.backend().authorise(onward.headers_mut());
    gateway.unmetered.count(route);
    gateway.log.line(&format!("`{route}` is not metered: passed on to backend `{}`", place.backend().name));
    match place.backend().ask(&gateway.log, onward).await {
        Ok(answered) => Ok(pass_back(answered, place)),
        Err(unanswered) => Err(not_answered(unanswered, &place, now_ms)),
    }
}

/// An answer on its way back, which keeps its place at the backend until it has ended.
struct Held {
    body: Arriving,
    _place: Place,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(context).map_err(|_| Broken)
    }
}

fn pass_back(answered: Response<Arriving>, place: Place) -> Response<Body> {
    let (parts, body) = answered.into_parts();
    let backend = place.backend().name.clone();
    let mut response = Response::new(Held { body, _place: place }.boxed_unsync());
    *response.status_mut() = parts.status;
    *response.headers_mut() = passed_on(parts.headers);
    set_header(&mut response, "x-tollgate-backend", &backend);
    response
}

fn no_backend() -> Problem {
    Problem::new(503, "no-candidate", "no backend that speaks this format can take it now", NextAction::RetryAfter(5))
}

fn not_answered(unanswered: Unanswered, place: &Place, now_ms: u64) -> Problem {
    place.backend().failed(now_ms, None);
    match unanswered {
        Unanswered::Unreachable => answer::not_reached(),
        Unanswered::TimedOut => answer::too_late(),
        Unanswered::Broken => answer::broke_off(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_servers_could_read_in_two_ways_is_none() {
        for (path, plain) in [
            ("/v1/files/file-1.txt", true),
            ("/v1/files/../messages", false),
            ("/v1/files/./x", false),
            ("/v1/files//x", false),
            ("/v1/files/%2e%2e/messages", false),
            ("/v1/files\\x", false),
        ] {
            assert_eq!(is_plain(path), plain, "{path}");
        }
    }
}
