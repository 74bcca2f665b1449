//! One dispatch, start to end. The first function owns the branching; what it calls computes and returns.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tollgate_core::{Candidate, Dispatch, Permit, Symbol};

use crate::accounts::{Reservation, Unreserved};
use crate::answer::{self, Answered};
use crate::call::{Call, ledger_failed};
use crate::formats::{NextAction, Problem};
use crate::http::Body;
use crate::settle::{Ended, Exchange, Used};
use crate::telemetry::Observed;
use crate::upstream::Sent;
use crate::verdict::{self, Next, Patience};
use crate::{Gateway, approvals, ingress};

/// Backends that one dispatch may try: the first, and two that step in for it.
const MAX_FAILED: usize = 3;
/// Times that one dispatch is decided. A permit dies whenever any switch changes, and waits are bounded by time, not by number.
const MAX_ROUNDS: usize = 1_000;

/// What came of one try.
enum Tried {
    /// This goes to the caller.
    Answer(Response<Body>),
    /// The permit died before anything was sent.
    Stale,
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
        let Some(reservation) = reserve(gateway, &call, &facts, &candidate, &permit, &mut patience).await? else {
            continue;
        };
        let exchange = Exchange { call: Arc::clone(&call), dispatch: facts, candidate, reservation };
        match send(gateway, exchange, permit).await? {
            Tried::Answer(response) => return Ok(response),
            Tried::Stale => {}
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

/// Holds the most that it can cost. Where only others' reservations stand in the way, it waits for one of them to end and is
/// decided again.
async fn reserve(
    gateway: &Gateway,
    call: &Call,
    facts: &Dispatch,
    candidate: &Candidate,
    permit: &Permit,
    patience: &mut Patience,
) -> Result<Option<Reservation>, Problem> {
    let amount = call.worst_case(gateway, candidate, permit.output_cap())?;
    let model = gateway.host.symbols().display(candidate.model);
    patience.check()?;
    match gateway.accounts.reserve(&call.names(Some(&model)), &call.identity.task, amount) {
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
async fn send(gateway: &Arc<Gateway>, exchange: Exchange, permit: Permit) -> Result<Tried, Problem> {
    let going = (&exchange.dispatch, &exchange.candidate);
    let sent = gateway.upstream.send(gateway, &exchange.call, going, permit, &exchange.reservation).await;
    if !matches!(sent, Sent::Stale | Sent::Unrecorded(_)) {
        gateway.accounts.count_sent(&exchange.call.request, &exchange.dispatch, &exchange.candidate);
    }
    Ok(match sent {
        Sent::Answer(response, place) => match answer::of_backend(gateway, exchange, response, place).await {
            Answered::Response(response) => Tried::Answer(response),
            Answered::Elsewhere(response) => Tried::Failed(response),
        },
        Sent::Stale => {
            release(gateway, exchange.reservation);
            Tried::Stale
        }
        Sent::Unreachable => Tried::Failed(answer::unreachable(gateway, exchange)),
        Sent::Lost(loss) => Tried::Answer(answer::lost(gateway, exchange, loss.into())),
        Sent::Cut(switch) => {
            gateway.telemetry.cut();
            let problem = verdict::switched_off(gateway, &switch, exchange.dispatch.now_ms);
            let problem = verdict::with_decision(problem, &exchange.call);
            exchange.settle(gateway, Used::Unknown, Ended::Stopped);
            return Err(problem);
        }
        Sent::Unrecorded(error) => {
            let problem = verdict::with_decision(ledger_failed(gateway, &error), &exchange.call);
            release(gateway, exchange.reservation);
            return Err(problem);
        }
    })
}

fn release(gateway: &Gateway, reservation: Reservation) {
    if let Err(error) = gateway.accounts.void(reservation) {
        // The sweep ends it: it was not sent.
        gateway.log.line(&format!("ledger: a reservation was not released: {error}"));
    }
}

fn unsettled() -> Problem {
    Problem::new(503, "unsettled", "switches changed faster than it could be sent", NextAction::RetryAfter(1))
}
