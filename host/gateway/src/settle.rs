//! The end of a dispatch that went: what it used, what that costs, and what the ledger and the history learn of it.

use std::sync::Arc;

use tollgate_core::{Candidate, Dispatch, Failure, Hosting, Nanodollars, Reference, Report, ScopeKind, Status, Usage};
use tollgate_ledger::book::Settlement;
use tollgate_ledger::calls::{Call as CallRow, CallStatus};
use tollgate_ledger::prices::{CostOptions, ServiceTier};

use crate::accounts::Reservation;
use crate::call::Call;
use crate::upstream::Loss;
use crate::{Gateway, attended, clock};

/// A dispatch that went, until it is settled.
pub(crate) struct Exchange {
    pub(crate) call: Arc<Call>,
    pub(crate) dispatch: Dispatch,
    pub(crate) candidate: Candidate,
    /// The candidate's, by name.
    pub(crate) model: Arc<str>,
    pub(crate) reservation: Reservation,
}

/// What it used, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// The provider said so.
    Exact(Usage, ServiceTier),
    /// Counted on the way: a stream that never told.
    Counted(Usage, ServiceTier),
    /// Nobody knows: it is taken for all that was reserved.
    Unknown,
    /// The provider refused it, or it was never sent.
    Nothing,
}

/// How it ended, for the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an answer; what that means for the task is the caller's to say.
    Answered,
    /// The provider was not there or refused for load.
    Unavailable,
    /// The provider refused it for what it is; equal fingerprints are the same failure.
    Refused { fingerprint: u64 },
    /// No answer in time.
    TimedOut,
    /// A switch, the caller or the end of the gateway ended it.
    Stopped,
}

impl From<Loss> for Ended {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::TimedOut => Self::TimedOut,
            Loss::Broken => Self::Unavailable,
            Loss::Ending => Self::Stopped,
        }
    }
}

/// A dispatch that is settled, before the kill switches have seen what it cost.
#[must_use = "a runaway that nobody looks at goes on"]
pub(crate) struct Posted {
    call: Arc<Call>,
    dispatch: Dispatch,
}

impl Posted {
    /// Lets them see it.
    pub(crate) fn show(self, gateway: &Gateway) {
        attended::posted(gateway, &self.call, self.dispatch);
    }
}

impl Exchange {
    /// Ends it: posts what it cost, records what became of it, and shows it to the kill switches.
    pub(crate) fn settle(self, gateway: &Gateway, used: Used, ended: Ended) {
        self.post(gateway, used, ended).show(gateway);
    }

    /// [`Self::settle`] but for its last step, which nobody has to wait for.
    pub(crate) fn post(self, gateway: &Gateway, used: Used, ended: Ended) -> Posted {
        let ended_ms = clock::now_ms();
        let settlement = self.cost(gateway, used);
        gateway.telemetry.settled(&gateway.host, &self, used, ended, settlement);
        let report = self.report(ended, ended_ms);
        if let Used::Exact(usage, _) = used {
            gateway.accounts.observe_output(&self.model, self.call.task_type(), usage.output);
        }
        let row = self.row(used, settlement, ended, ended_ms);
        if let Err(error) = gateway.accounts.post(self.reservation, settlement, row) {
            gateway.log.line(&format!("ledger: a settlement was not written: {error}"));
        }
        // That tokens could not be counted is no failure of the task.
        if !self.call.request.endpoint.is_free() {
            gateway.accounts.record(&report);
        }
        Posted { call: self.call, dispatch: self.dispatch }
    }

    /// What switches look at, without what else is known of the dispatch.
    pub(crate) fn covered(&self) -> Dispatch {
        let Dispatch { now_ms, task_type, scopes, .. } = self.dispatch;
        Dispatch { now_ms, task_type, scopes, ..Dispatch::default() }
    }

    /// What it has cost so far, at least: what the kill switches look at in the middle of a stream.
    pub(crate) fn cost_so_far(&self, gateway: &Gateway, usage: Usage, tier: ServiceTier) -> Nanodollars {
        self.cost(gateway, Used::Counted(usage, tier)).cost()
    }

    /// Cost of what was used at the candidate it went to. A usage that cannot be priced costs what was reserved, never nothing.
    fn cost(&self, gateway: &Gateway, used: Used) -> Settlement {
        let reserved = Settlement::estimated(self.reservation.amount);
        if self.candidate.hosting == Hosting::Local || used == Used::Nothing {
            return Settlement::exact(Nanodollars::ZERO);
        }
        let (Used::Exact(usage, tier) | Used::Counted(usage, tier)) = used else { return reserved };
        let options = CostOptions { tier, ..CostOptions::default() };
        match gateway.prices.load().lookup(&self.model).price().map(|price| price.cost(&usage, options)) {
            Some(Ok(cost)) if matches!(used, Used::Exact(..)) => Settlement::exact(cost),
            Some(Ok(cost)) => Settlement::estimated(cost),
            _ => reserved,
        }
    }

    fn report(&self, ended: Ended, ended_ms: u64) -> Report {
        Report {
            task: self.call.task(),
            scopes: self.dispatch.scopes,
            task_type: self.dispatch.task_type,
            started_ms: self.call.started_ms,
            ended_ms,
            tier: Some(self.candidate.tier),
            status: match ended {
                Ended::Answered | Ended::Stopped => Status::Unreported,
                Ended::Unavailable => Status::ProviderUnavailable,
                Ended::Refused { fingerprint } => Status::Failed(Failure::Other { fingerprint }),
                Ended::TimedOut => Status::Failed(Failure::Timeout),
            },
            context: Some(self.call.context),
            proposal: None,
            productive: None,
        }
    }

    fn row(&self, used: Used, settlement: Settlement, ended: Ended, ended_ms: u64) -> CallRow {
        let identity = &self.call.identity;
        CallRow {
            started_ms: self.call.started_ms,
            duration_ms: ended_ms.saturating_sub(self.call.started_ms),
            run: identity.run.clone(),
            task: identity.task.clone(),
            work_item: self.call.scope(ScopeKind::WorkItem),
            user: self.call.scope(ScopeKind::User),
            task_type: identity.task_type.clone(),
            stage: identity.stage.clone(),
            model: Some(self.model.to_string()),
            tier: Some(self.candidate.tier.to_string()),
            attempt: Some(self.dispatch.attempts.failed.saturating_add(1)),
            status: match ended {
                Ended::Refused { .. } | Ended::TimedOut => CallStatus::Failed,
                Ended::Answered | Ended::Unavailable | Ended::Stopped => CallStatus::Unknown,
            },
            usage: match used {
                Used::Exact(usage, _) | Used::Counted(usage, _) => Some(usage),
                Used::Unknown | Used::Nothing => None,
            },
            cost: settlement.cost(),
            estimated: settlement.is_estimated() || !matches!(used, Used::Exact(..) | Used::Nothing),
            trace_id: identity.trace.clone(),
            ..CallRow::default()
        }
    }
}

/// What failed, without a word of what was asked: the status and the provider's own code for it.
pub(crate) fn fingerprint(status: u16, body: &[u8]) -> u64 {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |name: &str| {
        body.pointer(&format!("/error/{name}")).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    Reference::of(&format!("{status} {} {}", word("type"), word("code"))).as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_told_by_the_providers_code_and_not_by_its_words() {
        let body =
            |kind: &str, message: &str| format!("{{\"error\":{{\"type\":\"{kind}\",\"message\":\"{message}\"}}}}");
        let of = |status, kind: &str, message: &str| fingerprint(status, body(kind, message).as_bytes());
        assert_eq!(of(400, "invalid_request_error", "7 tokens"), of(400, "invalid_request_error", "8 tokens"));
        assert_ne!(of(400, "invalid_request_error", "x"), of(404, "not_found_error", "x"));
        assert_eq!(fingerprint(500, b"<html>"), fingerprint(500, b""));
    }
}
