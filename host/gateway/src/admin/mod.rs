//! What operators ask of a running gateway, on a listener of its own. Every request carries a token, which has a role; every
//! change is in the audit log before it is answered.
//!
//! | to know | open |
//! |---|---|
//! | which routes there are, and who may take them | `routes.rs`, and `openapi.json` for others |
//! | who asks | `tokens.rs` |
//! | what a request may be | `request.rs` |
//! | what was changed | `audit.rs` |

mod access;
mod approvals;
pub(crate) mod audit;
mod budgets;
mod generations;
mod records;
mod reports;
mod request;
mod routes;
mod status;
mod switches;
pub(crate) mod tokens;

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

pub use access::CreateToken;
pub use approvals::{Approve, Beneficiary, Deny};
use audit::AuditEntry;
pub use budgets::SetLimit;
pub use generations::RollBack;
use request::Ask;
use routes::{Found, Operation};
pub use switches::{KillRequest, UnkillRequest};
use tokens::Role;

use crate::formats::{NextAction, Problem};
use crate::http::{Body, json as json_answer, set_header, typed};
use crate::{Gateway, answer, clock, telemetry};

/// The routes for others, in OpenAPI 3.1.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

/// What a route answers.
type Answered = Result<Value, Problem>;

/// Whether a request carries a token that may change things.
pub(crate) fn is_authorised(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let holder = gateway.tokens.holder(&gateway.settings.admin_token, headers);
    holder.is_some_and(|holder| holder.role >= Role::Operator)
}

/// Answers one request.
pub(crate) async fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let metrics = method == Method::GET && path == "/metrics";
    if metrics && gateway.host.configuration().telemetry.open_metrics {
        return telemetry::metrics(gateway, request.headers());
    }
    let Some(holder) = gateway.tokens.holder(&gateway.settings.admin_token, request.headers()) else {
        let detail = "send a token: `authorization: Bearer …`; `tollgate tokens create` makes one";
        let mut answer = answer::problem(&Problem::new(401, "unauthorised", detail, NextAction::Stop), None);
        set_header(&mut answer, "www-authenticate", "Bearer");
        return answer;
    };
    if metrics {
        return telemetry::metrics(gateway, request.headers());
    }
    let (route, parameters) = match routes::find(&method, &path) {
        Found::Route(route, parameters) => (route, parameters),
        Found::OtherMethods(methods) => {
            let detail = format!("`{path}` takes {methods}");
            let problem = Problem::new(405, "method-not-allowed", detail, NextAction::ChangeRequest);
            let mut answer = answer::problem(&problem, None);
            set_header(&mut answer, "allow", &methods);
            return answer;
        }
        Found::Nothing => {
            let detail = format!("there is no `{path}`: `/admin/v1/openapi.json` says what there is");
            return answer::problem(&Problem::new(404, "unknown-route", detail, NextAction::Stop), None);
        }
    };
    if holder.role < route.role {
        let detail = format!("`{}` is a token of a {}, and this takes {}", holder.name, holder.role, route.role);
        return answer::problem(&Problem::new(403, "role-too-low", detail, NextAction::Stop), None);
    }
    if route.operation == Operation::Document {
        return typed(StatusCode::OK, "application/json", DOCUMENT);
    }
    let status = match route.operation {
        Operation::CreateToken => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let answered = match Ask::new(gateway, holder, &parameters, route.query, request) {
        Ok(ask) if method == Method::GET => perform(route.operation, ask).await,
        // A task of its own: whoever leaves does not leave a change half done, or out of the audit log.
        Ok(ask) => match gateway.tasks.spawn(perform(route.operation, ask)).await {
            Ok(answered) => answered,
            Err(error) => Err(internal(gateway, &error)),
        },
        Err(problem) => Err(problem),
    };
    answered.map_or_else(|problem| answer::problem(&problem, None), |body| json_answer(status, &body))
}

async fn perform(operation: Operation, ask: Ask) -> Answered {
    match operation {
        Operation::Document => serde_json::from_str(DOCUMENT).map_err(|error| internal(&ask.gateway, &error)),
        Operation::Status => Ok(status::status(&ask.gateway)),
        Operation::Policies => Ok(status::policies(&ask.gateway)),
        Operation::Generations => Ok(generations::list(&ask.gateway)),
        Operation::RollBack => generations::roll_back(ask).await,
        Operation::Reload => generations::reload(ask).await,
        Operation::Candidate => generations::candidate(ask).await,
        Operation::Promote => generations::promote(ask).await,
        Operation::Discard => generations::discard(ask).await,
        Operation::Switches => Ok(switches::list(&ask.gateway)),
        Operation::Engage => switches::kill(ask).await,
        Operation::Lift => switches::unkill(ask).await,
        Operation::Approvals => approvals::list(&ask),
        Operation::Approval => approvals::one(&ask),
        Operation::Approve => approvals::approve(ask).await,
        Operation::Deny => approvals::deny(ask).await,
        Operation::Budgets => budgets::list(&ask),
        Operation::SetLimit => budgets::set_limit(ask).await,
        Operation::Report => reports::report(ask).await,
        Operation::Records => records::query(ask).await,
        Operation::Audit => access::audit(ask).await,
        Operation::Tokens => Ok(access::tokens(&ask.gateway)),
        Operation::CreateToken => access::create_token(ask).await,
        Operation::RevokeToken => access::revoke_token(ask).await,
    }
}

/// Does what may take a while, or touches the disk, beside the threads that answer. It is brought to its end though its caller
/// leaves.
async fn aside<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    work: impl FnOnce(&Gateway) -> T + Send + 'static,
) -> Result<T, Problem> {
    let for_work = Arc::clone(gateway);
    let done = tokio::task::spawn_blocking(move || work(&for_work)).await;
    done.map_err(|error| internal(gateway, &error))
}

/// Writes down what was changed. What cannot be written is in force all the same, and whoever did it is told.
async fn changed(gateway: &Arc<Gateway>, entry: AuditEntry) -> Result<(), Problem> {
    let written = aside(gateway, move |gateway| gateway.audit.append(&[entry])).await?;
    written.map_err(|error| not_written(gateway, "audit", &error))
}

fn not_written(gateway: &Gateway, what: &str, error: &dyn std::fmt::Display) -> Problem {
    gateway.log.line(&format!("{what}: {error}"));
    let detail = format!("it is in force, and was not written down ({what}): {error}");
    Problem::new(500, "not-written", detail, NextAction::Stop)
}

fn internal(gateway: &Gateway, error: &dyn std::fmt::Display) -> Problem {
    gateway.log.line(&format!("an admin request failed: this is a mistake in Tollgate: {error}"));
    Problem::new(500, "internal", "this is a mistake in Tollgate", NextAction::Stop)
}

/// An entry of the audit log for what somebody does now.
fn entry(ask: &Ask, action: &str, target: impl Into<String>) -> AuditEntry {
    AuditEntry::new(clock::now_ms(), &ask.holder.name, action, target)
}
