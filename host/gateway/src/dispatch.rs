//! One dispatch, start to end. The first function owns the branching; what it calls computes and returns.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tollgate_core::{Candidate, Dispatch, Permit, Symbol};

use crate::accounts::{Reservation, Unreserved};
use crate::answer::{self, Answered};
use crate::call::Call;
use crate::formats::{NextAction, Problem};
use crate::http::Body;
use crate::settle::{Ended, Exchange, Used};
use crate::telemetry::Observed;
use crate::upstream::{self, Backend, Sent};
use crate::verdict::{self, Next, Patience};
use crate::{Gateway, approvals, clock, ingress};

/// Backends that one dispatch may try: the first, and two that step in for it.
const MAX_FAILED: usize = 3;
/// Times that one dispatch is decided. A permit dies whenever any switch changes, and waits are bounded by time, not by number.
const MAX_ROUNDS: usize = 1_000;

/// What came of one try.
enum Tried {
    /// This goes to the caller.
    Answer(Response<Body>),
    /// The backend is not there or refuses for load; what it said goes to the caller if nobody steps in.
    Failed(Response<Body>),
}

/// Carries a request from the client's bytes to the answer's.
pub(crate) async fn dispatch(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    observed: Observed,
    caller_left: CancellationToken,
) -> Result<Response<Body>, Problem> {
    let call = Arc::new(ingress::read(gateway, request, observed).await?);
    let mut patience = Patience::new(gateway.settings.times, caller_left);
    let mut failed: Vec<Symbol> = Vec::new();
    let mut last_word = None;
    for _ in 0..MAX_ROUNDS {
        let facts = call.facts(gateway, patience.waited(), &failed)?;
        let decision = gateway.host.decide(&facts);
        call.note_decision(gateway.records.record(&call, &facts, &decision));
        gateway.telemetry.decided(gateway, &call, &decision);
        let permit = match verdict::act_on(gateway, &call, &facts, decision) {
            Ok(Next::Go(permit)) => permit,
            Ok(Next::Wait(wait)) => {
                patience.wait(wait).await?;
                continue;
            }
            Ok(Next::Hold(held)) => match approvals::hold(gateway, &call, &facts, *held, &patience).await {
                Ok(()) => continue,
                Err(problem) => return last_word.ok_or(problem),
            },
            Err(problem) => return last_word.ok_or(problem),
        };
        let candidate = facts.candidates[permit.candidate() as usize];
        // One that is gone since it was offered belongs to a configuration that is no longer in force.
        let Some(backend) = gateway.upstream.backend(candidate.backend) else { continue };
        let model = gateway.host.symbols().display(candidate.model);
        let going = Going { candidate: &candidate, model: &model, resolved_within: backend.times.resolved_within() };
        let Some(reservation) = reserve(gateway, &call, &facts, going, &permit, &mut patience).await? else {
            continue;
        };
        let exchange = Exchange { call: Arc::clone(&call), dispatch: facts, candidate, model, reservation };
        match send(gateway, exchange, permit, &backend).await? {
            Tried::Answer(response) => return Ok(response),
            Tried::Failed(said) => {
                failed.push(candidate.backend);
                last_word = Some(said);
            }
        }
        if failed.len() >= MAX_FAILED {
            break;
        }
    }
    last_word.ok_or_else(|| verdict::with_decision(unsettled(), &call))
}

/// Where a dispatch goes.
#[derive(Clone, Copy)]
struct Going<'a> {
    candidate: &'a Candidate,
    model: &'a str,
    /// It is taken for lost when nothing was heard of it for so long.
    resolved_within: Duration,
}

/// Holds the most that it can cost, from here on as sent: the permit is checked at the last moment. Where that has died, it is decided
/// again; where only others' reservations stand in the way, it waits for one of them to end before that.
async fn reserve(
    gateway: &Gateway,
    call: &Call,
    facts: &Dispatch,
    Going { candidate, model, resolved_within }: Going<'_>,
    permit: &Permit,
    patience: &mut Patience,
) -> Result<Option<Reservation>, Problem> {
    let amount = call.worst_case(gateway, candidate, model, permit.output_cap())?;
    let names = call.names(Some(model));
    patience.check()?;
    if !permit.is_live(clock::now_ms(), gateway.host.switches().epoch()) {
        return Ok(None);
    }
    match gateway.accounts.reserve(&names, &call.identity.task, amount, resolved_within) {
        Ok(reservation) => Ok(Some(reservation)),
        Err(Unreserved::Refused(refusal)) if refusal.is_brief() && patience.queue(&gateway.accounts).await => Ok(None),
        Err(Unreserved::Refused(refusal)) if facts.approved => {
            let held = verdict::above_the_ceiling(&refusal);
            approvals::hold(gateway, call, facts, held, patience).await.map(|()| None)
        }
        Err(unreserved) => Err(verdict::unreserved(gateway, call, facts, &unreserved)),
    }
}

/// Sends it where the permit says, and turns what comes into an answer. Whatever happens, the reservation ends here or where
/// the stream does.
async fn send(
    gateway: &Arc<Gateway>,
    exchange: Exchange,
    permit: Permit,
    backend: &Arc<Backend>,
) -> Result<Tried, Problem> {
    Ok(match upstream::send(gateway, &exchange, permit, backend).await {
        Sent::Answer(response, place) => match answer::of_backend(gateway, exchange, response, place).await {
            Answered::Response(response) => Tried::Answer(response),
            Answered::Elsewhere(response) => Tried::Failed(response),
        },
        Sent::Unreachable => Tried::Failed(answer::unreachable(gateway, exchange)),
        Sent::Lost(loss) => Tried::Answer(answer::lost(gateway, exchange, loss.into())),
        Sent::Cut(switch) => {
            gateway.telemetry.cut();
            let problem = verdict::switched_off(gateway, &switch, exchange.dispatch.now_ms);
            let problem = verdict::with_decision(problem, &exchange.call);
            exchange.settle(gateway, Used::Unknown, Ended::Stopped);
            return Err(problem);
        }
    })
}

fn unsettled() -> Problem {
    Problem::new(503, "unsettled", "switches changed faster than it could be sent", NextAction::RetryAfter(1))
}
