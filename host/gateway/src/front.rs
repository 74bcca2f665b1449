//! What a client can ask for: which path is answered by what.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tollgate_core::config::Api;

use crate::carried::Carried;
use crate::formats::{NextAction, Problem};
use crate::http::{Body, json as json_answer};
use crate::telemetry::Observed;
use crate::{Gateway, answer, clock, dispatch, ingress, outcomes, unmetered};

/// Answers one request of a client.
pub(crate) async fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let (path, api) = (request.uri().path().to_owned(), ingress::guess_api(request.uri().path(), request.headers()));
    match (request.method(), path.as_str()) {
        (&Method::GET, "/healthz") => match gateway.accounts.ledger().is_well() {
            true => json_answer(StatusCode::OK, &json!({ "status": "ok" })),
            false => json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "ledger-unavailable" })),
        },
        (&Method::GET, "/v1/models") => {
            let observed = Observed::request(gateway, request.headers());
            let listed =
                gateway.keys.caller(request.headers(), clock::now_ms()).map(|_| models(gateway, request.headers()));
            let listed = listed.unwrap_or_else(|error| answer::problem(&ingress::no_access(&error), api));
            observed.answered(gateway, listed, api, None)
        }
        (&Method::POST, "/tollgate/v1/outcomes") => {
            let observed = Observed::request(gateway, request.headers());
            observed.answered(gateway, outcomes::answer(gateway, request).await, None, None)
        }
        _ => answer_passed_on(gateway, request, api).await,
    }
}

/// Answers a request that goes to a backend. A client that leaves does not leave a call half settled: it goes on without it.
async fn answer_passed_on(gateway: &Arc<Gateway>, request: Request<Incoming>, api: Option<Api>) -> Response<Body> {
    let unmetered = unmetered::route_of(gateway, request.method(), request.uri().path());
    let observed = match unmetered {
        Some(_) => Observed::request(gateway, request.headers()),
        None => Observed::dispatch(gateway, request.headers()),
    };
    let caller_left = CancellationToken::new();
    let leaving = caller_left.clone().drop_guard();
    let (task, watched) = (Arc::clone(gateway), observed.clone());
    let work = async move {
        match unmetered {
            Some(route) => unmetered::pass(&task, request, &route, &watched).await,
            None => dispatch::dispatch(&task, request, watched, caller_left).await,
        }
    };
    let answered = Carried::new(&gateway.tasks, work).await;
    let _still_here = leaving.disarm();
    let problem = match answered {
        Ok(Ok(response)) => return observed.answered(gateway, response, api, None),
        Ok(Err(problem)) => problem,
        Err(_) => {
            gateway.log.line("a call panicked: this is a mistake in Tollgate");
            Problem::new(500, "internal", "this is a mistake in Tollgate", NextAction::Stop)
        }
    };
    observed.answered(gateway, answer::problem(&problem, api), api, Some(problem.code))
}

/// The models of the backends that speak the caller's format, as its provider lists them.
fn models(gateway: &Gateway, headers: &HeaderMap) -> Response<Body> {
    let api = if headers.contains_key("anthropic-version") { Api::Anthropic } else { Api::Openai };
    let symbols = gateway.host.symbols();
    let serving = gateway.upstream.serving();
    let backends = serving.catalogue.backends().iter();
    let speaking = backends.filter(|backend| serving.backend(backend.name).is_some_and(|known| known.api == api));
    let mut names: Vec<String> =
        speaking.flat_map(|backend| &backend.models).map(|model| symbols.display(*model).to_string()).collect();
    names.sort();
    names.dedup();
    let models: Vec<_> = names
        .iter()
        .map(|name| match api {
            Api::Openai => json!({ "id": name, "object": "model", "created": 0, "owned_by": "tollgate" }),
            Api::Anthropic => {
                json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
            }
        })
        .collect();
    json_answer(
        StatusCode::OK,
        &match api {
            Api::Openai => json!({ "object": "list", "data": models }),
            Api::Anthropic => {
                json!({ "data": models, "has_more": false, "first_id": names.first(), "last_id": names.last() })
            }
        },
    )
}
