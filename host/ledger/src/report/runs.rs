//! The dearest runs.

use serde::Serialize;
use tollgate_core::Nanodollars;

use super::{Report, Share, Table, Usd, grouped, total};
use crate::calls::{Call, CallStatus};

/// The dearest runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// The dearest first.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its name.
    pub run: String,
    /// What it cost.
    pub cost_usd: Usd,
    /// Its calls.
    pub calls: usize,
    /// Of its cost, what failed or was rejected.
    pub wasted_share: Share,
    /// Where its three dearest calls can be looked up.
    pub trace_ids: Vec<String>,
}

/// How many traces of a run are named.
const TRACES: usize = 3;

/// The `count` dearest runs, with the traces of their dearest calls.
#[must_use]
pub fn runs(calls: &[Call], count: usize) -> RunReport {
    let mut runs: Vec<Run> =
        grouped(calls, |call| call.run.clone()).into_iter().map(|(run, calls)| one(run, calls)).collect();
    runs.sort_by(|a, b| b.cost_usd.cmp(&a.cost_usd).then_with(|| a.run.cmp(&b.run)));
    runs.truncate(count);
    RunReport { runs }
}

fn one(run: String, mut calls: Vec<&Call>) -> Run {
    let cost = total(calls.iter().copied());
    let wasted = |call: &&&Call| matches!(call.status, CallStatus::Failed | CallStatus::Rejected);
    let wasted: Nanodollars = total(calls.iter().filter(wasted).copied());
    calls.sort_by_key(|call| std::cmp::Reverse(call.cost));
    let trace_ids = calls.iter().filter_map(|call| call.trace_id.clone()).take(TRACES).collect();
    Run { run, cost_usd: Usd(cost), calls: calls.len(), wasted_share: Share::of_money(wasted, cost), trace_ids }
}

impl Report for RunReport {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new("dearest runs (USD)", &["run", "cost", "calls", "wasted", "dearest call"]);
        for run in &self.runs {
            let trace = run.trace_ids.first().cloned().unwrap_or_default();
            table.row([
                run.run.clone(),
                run.cost_usd.to_string(),
                run.calls.to_string(),
                run.wasted_share.to_string(),
                trace,
            ]);
        }
        vec![table]
    }
}
