//! The whole at a glance.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tollgate_core::Nanodollars;

use super::{Report, Share, Table, Usd, grouped, mean, percentile, total};
use crate::calls::{Call, CallStatus};

/// The whole at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What all calls cost.
    pub cost_usd: Usd,
    /// By stage; calls without one under ``.
    pub cost_by_stage_usd: BTreeMap<String, Usd>,
    /// What failed calls cost, as far as it is known.
    pub failed_cost_usd: Usd,
    /// What calls cost whose work a verifier rejected.
    pub rejected_cost_usd: Usd,
    /// Failed and rejected cost, of all.
    pub wasted_share: Share,
    /// What successes cost that changed nothing.
    pub unproductive_cost_usd: Usd,
    /// Successes that changed nothing.
    pub unproductive_calls: usize,
    /// Calls.
    pub calls: usize,
    /// Calls that failed.
    pub failed_calls: usize,
    /// How long those took, in milliseconds.
    pub failed_duration_ms: u64,
    /// Calls whose cost nobody knows: it is counted as nothing, and is not.
    pub unknown_cost_calls: usize,
    /// Calls whose cost is an estimate: streams that were cut, answers that never came.
    pub estimated_cost_calls: usize,
    /// Of all input tokens, those read from the provider's cache.
    pub cache_read_share: Share,
    /// Uncached input tokens.
    pub uncached_input_tokens: u64,
    /// Tokens written to the cache.
    pub cache_write_tokens: u64,
    /// Tokens read from it.
    pub cache_read_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Runs.
    pub runs: usize,
    /// A run's mean cost.
    pub run_mean_usd: Option<Usd>,
    /// Half of all runs cost at most this.
    pub run_median_usd: Option<Usd>,
    /// 95 of a hundred runs cost at most this.
    pub run_p95_usd: Option<Usd>,
    /// Tasks of which a call succeeded (and changed something, where that is known).
    pub tasks_done: usize,
    /// All cost, by task done.
    pub cost_per_task_done_usd: Option<Usd>,
    /// Lines of product code added, less those taken away, by calls that say so.
    pub lines_production: Option<i64>,
    /// All cost, by a thousand of those lines.
    pub cost_per_thousand_lines_usd: Option<Usd>,
}

/// Sums up calls.
#[must_use]
pub fn summary(calls: &[Call]) -> Summary {
    let cost = total(calls);
    let with = |status| calls.iter().filter(move |call| call.status == status);
    let idle = || with(CallStatus::Success).filter(|call| call.productive == Some(false));
    let failed = total(with(CallStatus::Failed));
    let rejected = total(with(CallStatus::Rejected));
    let tokens = |of: fn(&tollgate_core::Usage) -> u64| {
        calls.iter().filter_map(|call| call.usage.as_ref()).fold(0_u64, |sum, usage| sum.saturating_add(of(usage)))
    };
    let uncached = tokens(|usage| usage.uncached_input);
    let written = tokens(|usage| usage.cache_write_5m.saturating_add(usage.cache_write_1h));
    let read = tokens(|usage| usage.cache_read);
    let mut runs: Vec<Nanodollars> = grouped(calls, |call| call.run.as_str()).into_values().map(total).collect();
    let done: BTreeSet<(&str, &str)> = with(CallStatus::Success)
        .filter(|call| call.productive != Some(false))
        .map(|call| (call.run.as_str(), call.task.as_str()))
        .collect();
    let lines = calls.iter().filter_map(|call| call.lines_production).reduce(i64::saturating_add);
    Summary {
        cost_usd: Usd(cost),
        cost_by_stage_usd: grouped(calls, |call| call.stage.clone().unwrap_or_default())
            .into_iter()
            .map(|(stage, calls)| (stage, Usd(total(calls))))
            .collect(),
        failed_cost_usd: Usd(failed),
        rejected_cost_usd: Usd(rejected),
        wasted_share: Share::of_money(failed.saturating_add(rejected), cost),
        unproductive_cost_usd: Usd(total(idle())),
        unproductive_calls: idle().count(),
        calls: calls.len(),
        failed_calls: with(CallStatus::Failed).count(),
        failed_duration_ms: with(CallStatus::Failed).fold(0_u64, |sum, call| sum.saturating_add(call.duration_ms)),
        unknown_cost_calls: calls.iter().filter(|call| call.is_of_unknown_cost()).count(),
        estimated_cost_calls: calls.iter().filter(|call| call.estimated && !call.is_of_unknown_cost()).count(),
        cache_read_share: Share::of(read, uncached.saturating_add(written).saturating_add(read)),
        uncached_input_tokens: uncached,
        cache_write_tokens: written,
        cache_read_tokens: read,
        output_tokens: tokens(|usage| usage.output),
        runs: runs.len(),
        run_mean_usd: mean(cost, runs.len()).map(Usd),
        run_median_usd: percentile(&mut runs, 50).map(Usd),
        run_p95_usd: percentile(&mut runs, 95).map(Usd),
        tasks_done: done.len(),
        cost_per_task_done_usd: mean(cost, done.len()).map(Usd),
        lines_production: lines,
        cost_per_thousand_lines_usd: lines.and_then(|lines| {
            let thousandfold = u128::from(cost.as_u64()).checked_mul(1000)?;
            let each = thousandfold.checked_div(u128::try_from(lines).ok()?)?;
            u64::try_from(each).ok().map(|each| Usd(Nanodollars::new(each)))
        }),
    }
}

impl Report for Summary {
    fn tables(&self) -> Vec<Table> {
        let money = |amount: Option<Usd>| amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string());
        let mut whole = Table::new("summary (USD)", &["", "value"]);
        let mut line = |name: &str, value: String| whole.row([name.to_owned(), value]);
        line("cost", self.cost_usd.to_string());
        line("calls", self.calls.to_string());
        line("runs", self.runs.to_string());
        line("cost of a run: mean", money(self.run_mean_usd));
        line("cost of a run: median", money(self.run_median_usd));
        line("cost of a run: 95th percentile", money(self.run_p95_usd));
        line("failed calls", self.failed_calls.to_string());
        line("failed calls, minutes", (self.failed_duration_ms / 60_000).to_string());
        line("cost of failed calls", self.failed_cost_usd.to_string());
        line("cost of rejected work", self.rejected_cost_usd.to_string());
        line("failed and rejected, of all cost", self.wasted_share.to_string());
        line("calls of unknown cost (not zero)", self.unknown_cost_calls.to_string());
        line("calls of estimated cost", self.estimated_cost_calls.to_string());
        line("successes that changed nothing", self.unproductive_calls.to_string());
        line("cost of those", self.unproductive_cost_usd.to_string());
        line("input read from the cache", self.cache_read_share.to_string());
        line("tasks done", self.tasks_done.to_string());
        line("cost per task done", money(self.cost_per_task_done_usd));
        line("cost per thousand lines", money(self.cost_per_thousand_lines_usd));
        let mut stages = Table::new("cost by stage (USD)", &["stage", "cost", "share"]);
        for (stage, cost) in &self.cost_by_stage_usd {
            let stage = if stage.is_empty() { "(none)".to_owned() } else { stage.clone() };
            stages.row([stage, cost.to_string(), Share::of_money(cost.0, self.cost_usd.0).to_string()]);
        }
        vec![whole, stages]
    }
}
