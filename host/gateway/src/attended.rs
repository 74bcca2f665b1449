//! Kill switches see what is under way: a stream on its way, with what it has cost so far, and every call once its cost is known. A
//! stream that costs more than was reserved for it holds more, or ends where no more may be held.

use tollgate_core::{Dispatch, Nanodollars, Usage};
use tollgate_runtime::Moment;

use crate::accounts::Unreserved;
use crate::call::Call;
use crate::formats::{Meter, Problem};
use crate::settle::Exchange;
use crate::{Gateway, clock, verdict};

/// So many tokens of output lie between two looks at a stream: a look costs some microseconds, so many tokens some milliseconds
/// at the fastest provider, and a few hundredths of a cent at the dearest.
const LOOK_EVERY: u64 = 64;

/// A stream that is looked at.
pub(crate) struct Watched {
    /// At so many tokens of output.
    next_look: u64,
}

impl Default for Watched {
    fn default() -> Self {
        Self { next_look: LOOK_EVERY }
    }
}

impl Watched {
    /// What stops the stream now, where something does. A switch that is tripped here cuts it as it cuts all others.
    pub(crate) fn look(&mut self, gateway: &Gateway, exchange: &mut Exchange, meter: &Meter) -> Option<Problem> {
        let output = meter.at_least();
        if output < self.next_look {
            return None;
        }
        self.next_look = output.saturating_add(LOOK_EVERY);
        let metered = meter.metered();
        let estimated = Usage { uncached_input: exchange.call.input_tokens(), ..Usage::default() };
        let usage = Usage { output, reasoning: 0, ..metered.input.unwrap_or(estimated) };
        let cost = exchange.cost_so_far(gateway, usage, metered.tier);
        if cost > exchange.reservation.amount {
            // A quarter more, so that it is not asked for at every look.
            let total = cost.saturating_add(Nanodollars::new(cost.as_u64() / 4));
            match gateway.accounts.extend(&mut exchange.reservation, total) {
                Ok(()) => {}
                Err(Unreserved::Failed(error)) => gateway.log.line(&format!("ledger: {error}")),
                Err(refused) => {
                    return Some(verdict::unreserved(gateway, &exchange.call, &exchange.dispatch, &refused));
                }
            }
        }
        let mut dispatch = exchange.dispatch.clone();
        refresh(gateway, &exchange.call, &mut dispatch);
        let spending = &mut dispatch.spending;
        // What counts of this stream is what it costs, not what is held for the worst case.
        spending.run_cost = spending.run_cost.saturating_sub(exchange.reservation.amount).saturating_add(cost);
        let stopped = gateway.host.attend(&dispatch, Moment::Extend)?;
        Some(verdict::stopped(gateway, &stopped))
    }
}

/// The real cost of a call is known: whoever looks at its run sees it now, and not at its next dispatch.
pub(crate) fn posted(gateway: &Gateway, call: &Call, mut dispatch: Dispatch) {
    refresh(gateway, call, &mut dispatch);
    // What it says about this call comes too late; a switch that it trips cuts what else is under way.
    let _ = gateway.host.attend(&dispatch, Moment::Post);
}

fn refresh(gateway: &Gateway, call: &Call, dispatch: &mut Dispatch) {
    dispatch.now_ms = clock::now_ms();
    if let Err(error) = gateway.accounts.inform(&call.names(None), &call.identity.task, dispatch) {
        gateway.log.line(&format!("ledger: {error}"));
    }
}
