//! What the gateway tells of itself while it runs: numbers for Prometheus, spans for OpenTelemetry, lines for people. Never a prompt
//! and never a key, and no metric has a label that callers make up.
//!
//! | to know | open |
//! |---|---|
//! | what anything is called | `names.rs`, the only place |
//! | what is counted, without a lock | `counts.rs`, `durations.rs` |
//! | how it is scraped | `exposition.rs` |
//! | what is told of one dispatch | `observed.rs` |
//! | where logs and spans go | `observing.rs`, `export.rs` |

mod counts;
mod durations;
mod export;
mod exposition;
mod names;
mod observed;
mod observing;

use std::array::from_fn;

use http::StatusCode;
use tollgate_core::config::Api;
use tollgate_core::{Decision, Outcome};
use tollgate_ledger::book::Settlement;
use tollgate_runtime::Host;

use crate::call::Call;
use crate::settle::{Ended, Exchange, Used};
use crate::{Gateway, LogLine};
use counts::{Count, Counted, UnderWay};
use durations::Durations;
pub(crate) use exposition::answer as metrics;
pub(crate) use observed::Observed;
pub use observing::{LogFormat, LogOut, ObserveError, Observing, ObservingSettings};

/// Lines of a gateway as lines of the log.
#[must_use]
pub fn log_line() -> LogLine {
    Box::new(|line| tracing::info!(target: "tollgate", "{line}"))
}

/// The formats that requests are counted by; the last is what speaks none.
const FORMATS: [&str; 3] = ["openai", "anthropic", "none"];
/// What can become of a decision.
const OUTCOMES: [&str; 4] = ["proceed", "slow", "hold", "refuse"];

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    counted: Counted,
    durations: Durations,
    /// In the order of [`OUTCOMES`].
    outcomes: [Count; OUTCOMES.len()],
    /// In the order of [`FORMATS`].
    statuses: [Statuses; FORMATS.len()],
    requests: UnderWay,
    streams: UnderWay,
    cuts: Count,
    quarantines: Count,
}

impl Telemetry {
    /// Counts a decision. It was made before: deciding itself pays nothing for this.
    pub(crate) fn decided(&self, gateway: &Gateway, call: &Call, decision: &Decision) {
        self.durations.observe(decision.nanoseconds);
        let outcome = match decision.outcome {
            Outcome::Proceed(_) => 0,
            Outcome::Slow { .. } => 1,
            Outcome::Hold { .. } => 2,
            Outcome::Refuse { .. } => 3,
        };
        self.outcomes[outcome].add(1);
        self.counted.decided(&gateway.host, decision);
        call.observed.decided(&gateway.host, call, decision);
    }

    /// Counts what a dispatch used and cost, and how it went.
    pub(crate) fn settled(&self, host: &Host, exchange: &Exchange, used: Used, ended: Ended, settlement: Settlement) {
        let backend = self.counted.backend(host, exchange.candidate.backend);
        backend.dispatches.add(1);
        match ended {
            Ended::Answered | Ended::Stopped => {}
            Ended::Unavailable => backend.failures[0].add(1),
            Ended::TimedOut => backend.failures[1].add(1),
            Ended::Refused { .. } => backend.failures[2].add(1),
        }
        let model = self.counted.model(host, exchange.candidate.model);
        if let Used::Exact(usage, _) | Used::Counted(usage, _) = used {
            model.used(&usage);
        }
        let exact = matches!(used, Used::Exact(..) | Used::Nothing);
        if exact { &model.spent } else { &model.spent_estimated }.add(settlement.cost().as_u64());
        exchange.call.observed.settled(host, exchange, used, settlement.cost());
    }

    /// Counts an answer.
    fn answered(&self, api: Option<Api>, status: StatusCode) {
        let format = match api {
            Some(Api::Openai) => 0,
            Some(Api::Anthropic) => 1,
            None => 2,
        };
        self.statuses[format].count(status);
    }

    /// A stream has begun; it ends when what this gives is dropped.
    pub(crate) fn stream(&self) -> counts::One {
        self.streams.begin()
    }

    /// A switch has cut a dispatch that was under way.
    pub(crate) fn cut(&self) {
        self.cuts.add(1);
    }

    /// A policy is left alone.
    pub(crate) fn quarantined(&self) {
        self.quarantines.add(1);
    }
}

/// How often each status of HTTP was sent: every one that there can be has its place.
#[derive(Debug)]
struct Statuses([Count; 500]);

/// The first status of HTTP.
const FIRST_STATUS: u16 = 100;

impl Default for Statuses {
    fn default() -> Self {
        Self(from_fn(|_| Count::default()))
    }
}

impl Statuses {
    fn count(&self, status: StatusCode) {
        if let Some(count) = self.0.get(usize::from(status.as_u16().saturating_sub(FIRST_STATUS))) {
            count.add(1);
        }
    }

    /// Those that were sent.
    fn seen(&self) -> impl Iterator<Item = (u16, u64)> {
        (FIRST_STATUS..).zip(&self.0).map(|(status, count)| (status, count.read())).filter(|(_, count)| *count > 0)
    }
}
