//! What a replay adds up to.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tollgate_core::{Nanodollars, Outcome, PolicyKind, Refusal, Source, Symbol, Tier, Verdict};
use tollgate_ledger::book::Event;
use tollgate_runtime::Host;

use super::timeline::DecidedRow;
use super::trace::RowStatus;
use crate::view::{BUDGET, names_an_owner};

/// Upper ends of the latency histogram's bars in nanoseconds, each twice the one before.
const BARS: [u32; 8] = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, u32::MAX];

/// Counts as it goes.
pub(crate) struct Tally {
    summary: Summary,
    latencies: Vec<u32>,
}

/// Everything that a replay says; the names are those of its JSON form.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) decisions: u64,
    pub(crate) skipped_lines: u64,
    pub(crate) runs: u64,
    /// proceed, slow (still waiting after all), hold, refuse.
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// Dispatches that waited and then went on to another outcome.
    pub(crate) waited: u64,
    pub(crate) waited_ms: u64,
    /// By kind of policy, then by verdict.
    pub(crate) verdicts: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    pub(crate) routed: Vec<Routed>,
    pub(crate) unknown_task_type_share: f64,
    pub(crate) stopped: Vec<Stopped>,
    pub(crate) recorded_cost_usd: Dollars,
    pub(crate) recorded_cost_unknown: u64,
    pub(crate) decided_cost_usd: Dollars,
    pub(crate) decided_cost_assumption: &'static str,
    pub(crate) failed_attempts: u64,
    pub(crate) failed_attempts_prevented: u64,
    pub(crate) failed_attempts_escalated: u64,
    pub(crate) failed_minutes: u64,
    pub(crate) failed_minutes_prevented: u64,
    pub(crate) productive_calls: u64,
    pub(crate) productive_calls_blocked: u64,
    pub(crate) unproductive_calls: u64,
    pub(crate) unproductive_calls_blocked: u64,
    pub(crate) blocked_cost_usd: Dollars,
    pub(crate) notifications: BTreeMap<&'static str, u64>,
    pub(crate) switches_engaged: u64,
    pub(crate) policy_failures: u64,
    pub(crate) decision_p50_ns: u32,
    pub(crate) decision_p99_ns: u32,
    pub(crate) decision_histogram: Vec<Bar>,
    #[serde(skip)]
    run_names: std::collections::BTreeSet<String>,
    #[serde(skip)]
    unknown_task_types: u64,
    #[serde(skip)]
    failed_ms: u64,
    #[serde(skip)]
    failed_ms_prevented: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Routed {
    pub(crate) model: String,
    pub(crate) tier: Tier,
    pub(crate) dispatches: u64,
    pub(crate) cost_usd: Dollars,
}

#[derive(Debug, Serialize)]
pub(crate) struct Stopped {
    pub(crate) by: String,
    pub(crate) outcome: &'static str,
    pub(crate) reason: String,
    pub(crate) dispatches: u64,
    pub(crate) failed: u64,
    pub(crate) productive: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Bar {
    /// In nanoseconds, exclusive.
    pub(crate) below_ns: u32,
    pub(crate) decisions: u64,
}

/// A JSON number of dollars, exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dollars(pub(crate) Nanodollars);

impl Dollars {
    pub(crate) fn add(&mut self, amount: Nanodollars) {
        self.0 = self.0.saturating_add(amount);
    }
}

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_decimal()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl Tally {
    pub(crate) fn new(skipped_lines: u64) -> Self {
        let summary = Summary {
            skipped_lines,
            decided_cost_assumption: "a dispatch that went used its recorded tokens, at the list price of the model it was sent to \
                 (its recorded cost where it reported no usage); one that was stopped cost nothing, and \
                 everything else happened as recorded",
            ..Summary::default()
        };
        Self { summary, latencies: Vec::new() }
    }

    pub(crate) fn add(&mut self, decided: &DecidedRow, host: &Host) {
        let summary = &mut self.summary;
        summary.decisions += 1;
        summary.run_names.insert(decided.row.run.clone());
        self.latencies.extend(&decided.nanoseconds);
        *summary.outcomes.entry(decided.decision.outcome.word()).or_default() += 1;
        summary.unknown_task_types += u64::from(decided.dispatch.task_type == Symbol::UNKNOWN);
        if decided.dispatch.waited_ms > 0 {
            summary.waited += 1;
            summary.waited_ms += u64::from(decided.dispatch.waited_ms);
        }
        for entry in &decided.decision.trail {
            let verdicts = summary.verdicts.entry(entry.kind.as_str()).or_default();
            *verdicts.entry(entry.verdict.word()).or_default() += 1;
            summary.policy_failures += u64::from(matches!(entry.verdict, Verdict::Failed(..)));
        }
        for reached in &decided.reached {
            let threshold = match reached {
                Event::Threshold { threshold_permille: ..1000, .. } => "approaching",
                Event::Threshold { .. } => "at-limit",
                Event::OverCeiling { .. } => "over",
                // A replay reserves nothing, so every cost is one.
                Event::Overrun { .. } => continue,
            };
            *summary.notifications.entry(threshold).or_default() += 1;
        }
        summary.add_costs(decided, host);
        summary.add_hindsight(decided);
        summary.add_stop(decided, host);
    }

    pub(crate) fn summary(mut self, switches_engaged: usize) -> Summary {
        self.latencies.sort_unstable();
        let mut summary = self.summary;
        let percentile = |thousandths: usize| {
            let rank = (self.latencies.len() * thousandths).div_ceil(1_000).max(1) - 1;
            self.latencies.get(rank).copied().unwrap_or(0)
        };
        (summary.decision_p50_ns, summary.decision_p99_ns) = (percentile(500), percentile(990));
        let mut from = 0;
        for below_ns in BARS {
            let to = self.latencies.partition_point(|nanoseconds| *nanoseconds < below_ns);
            summary.decision_histogram.push(Bar { below_ns, decisions: (to - from) as u64 });
            from = to;
        }
        summary.failed_minutes = summary.failed_ms / 60_000;
        summary.failed_minutes_prevented = summary.failed_ms_prevented / 60_000;
        summary.runs = summary.run_names.len() as u64;
        summary.switches_engaged = switches_engaged as u64;
        summary.unknown_task_type_share = share(summary.unknown_task_types, summary.decisions);
        summary.routed.sort_by(|one, other| other.dispatches.cmp(&one.dispatches).then(one.model.cmp(&other.model)));
        summary.stopped.sort_by(|one, other| other.dispatches.cmp(&one.dispatches).then(one.reason.cmp(&other.reason)));
        summary
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people; counts of a trace are far below 2^52")]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Summary {
    fn add_costs(&mut self, decided: &DecidedRow, host: &Host) {
        match decided.row.cost {
            Some(cost) => self.recorded_cost_usd.add(cost),
            None => self.recorded_cost_unknown += 1,
        }
        let cost = decided.cost.unwrap_or_default();
        self.decided_cost_usd.add(cost);
        let Some(candidate) = decided.candidate() else {
            self.blocked_cost_usd.add(decided.row.cost.unwrap_or_default());
            return;
        };
        let model = host.symbols().display(candidate.model);
        match self.routed.iter_mut().find(|routed| *routed.model == *model) {
            Some(routed) => {
                routed.dispatches += 1;
                routed.cost_usd.add(cost);
            }
            None => self.routed.push(Routed {
                model: model.to_string(),
                tier: candidate.tier,
                dispatches: 1,
                cost_usd: Dollars(cost),
            }),
        }
    }

    /// Against what is known to have become of the row: a failure that did not go was prevented, a success that did not go was
    /// blocked.
    fn add_hindsight(&mut self, decided: &DecidedRow) {
        let went = decided.candidate().is_some();
        let milliseconds = decided.row.ended_ms - decided.row.started_ms;
        match (decided.row.status, decided.row.productive) {
            (RowStatus::Success, Some(false)) => {
                self.unproductive_calls += 1;
                self.unproductive_calls_blocked += u64::from(!went);
            }
            (RowStatus::Success, _) => {
                self.productive_calls += 1;
                self.productive_calls_blocked += u64::from(!went);
            }
            _ => {
                let failed_before = decided.dispatch.attempts.failed_tier;
                let tier = decided.candidate().map(|candidate| candidate.tier);
                self.failed_attempts += 1;
                self.failed_ms += milliseconds;
                if went {
                    self.failed_attempts_escalated += u64::from(failed_before.is_some() && tier > failed_before);
                } else {
                    self.failed_attempts_prevented += 1;
                    self.failed_ms_prevented += milliseconds;
                }
            }
        }
    }

    fn add_stop(&mut self, decided: &DecidedRow, host: &Host) {
        let named = |reason: &tollgate_core::Reason| {
            let name = host.symbols().display(reason.code);
            if names_an_owner(reason, &decided.dispatch) { format!("{BUDGET} of {name}") } else { name.to_string() }
        };
        let (by, reason) = match &decided.decision.outcome {
            Outcome::Hold { by, reason } => (by, named(reason)),
            Outcome::Refuse { by, cause } => match cause {
                Refusal::Policy(reason) | Refusal::ModelsSwitchedOff(reason) => (by, named(reason)),
                Refusal::PolicyFailed(failure) => (by, failure.as_str().to_owned()),
                other => (by, other.as_str().to_owned()),
            },
            Outcome::Slow { by, .. } => (by, "still waiting".to_owned()),
            Outcome::Proceed(_) => return,
        };
        let by = match by {
            Source::Host => "host".to_owned(),
            Source::Policy(policy, _) => host.policy_name(*policy).to_string(),
        };
        let outcome = decided.decision.outcome.word();
        let failed = u64::from(decided.row.status != RowStatus::Success);
        let productive = u64::from(decided.row.status == RowStatus::Success && decided.row.productive != Some(false));
        let same = |stopped: &&mut Stopped| stopped.by == by && stopped.reason == reason && stopped.outcome == outcome;
        match self.stopped.iter_mut().find(same) {
            Some(stopped) => {
                stopped.dispatches += 1;
                stopped.failed += failed;
                stopped.productive += productive;
            }
            None => self.stopped.push(Stopped { by, outcome, reason, dispatches: 1, failed, productive }),
        }
    }

    /// The kinds of policy that did more than let pass.
    pub(crate) fn kinds_that_acted(&self) -> Vec<PolicyKind> {
        let passes = |verdict: &&str| matches!(*verdict, "proceed" | "no-opinion" | "failed");
        let acted = |kind: &&PolicyKind| {
            self.verdicts.get(kind.as_str()).is_some_and(|verdicts| verdicts.keys().any(|verdict| !passes(verdict)))
        };
        PolicyKind::ALL.iter().filter(acted).copied().collect()
    }
}
