//! What is to come, and what people would have cost. Each figure is a plain extrapolation and names what it rests on.

use serde::Serialize;
use tollgate_core::Nanodollars;

use super::{Report, Table, Usd, grouped, mean, percentile, total};
use crate::book::Bounds;
use crate::calls::{Call, CallStatus};

const DAY_MS: u64 = 86_400_000;

/// How many calls and how much money a month takes if it goes on like this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VolumeReport {
    /// The days it rests on: from the first call to the last.
    pub days: u64,
    /// Calls in them.
    pub calls: usize,
    /// Calls in the next 30 days.
    pub calls_in_30_days: u64,
    /// Their cost.
    pub cost_in_30_days_usd: Usd,
}

/// Projects the volume of the days that the calls span onto the next 30.
#[must_use]
pub fn volume(calls: &[Call]) -> VolumeReport {
    let first = calls.iter().map(|call| call.started_ms).min().unwrap_or(0);
    let last = calls.iter().map(|call| call.started_ms).max().unwrap_or(0);
    let days = last.saturating_sub(first).div_ceil(DAY_MS).max(1);
    let month = |amount: u64| scaled(amount, 30, days);
    VolumeReport {
        days,
        calls: calls.len(),
        calls_in_30_days: month(u64::try_from(calls.len()).unwrap_or(0)),
        cost_in_30_days_usd: Usd(Nanodollars::new(month(total(calls).as_u64()))),
    }
}

/// `amount × times / over`, rounded down, at most what fits.
fn scaled(amount: u64, times: u64, over: u64) -> u64 {
    let product = u128::from(amount).saturating_mul(u128::from(times));
    u64::try_from(product.checked_div(u128::from(over)).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// What a window will have cost at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForecastReport {
    /// Spent since it began.
    pub spent_usd: Usd,
    /// How much of it is over, in thousandths.
    pub elapsed_permille: u64,
    /// Spent at its end if it goes on like this; nothing before a hundredth of it is over.
    pub forecast_usd: Option<Usd>,
}

/// Extrapolates the spend of a window to its end.
#[must_use]
pub fn window(calls: &[Call], bounds: Bounds, now_ms: u64) -> ForecastReport {
    let inside = calls.iter().filter(|call| (bounds.start_ms..bounds.end_ms.min(now_ms)).contains(&call.started_ms));
    let spent = total(inside);
    let length = bounds.end_ms.saturating_sub(bounds.start_ms);
    let elapsed = now_ms.saturating_sub(bounds.start_ms).min(length);
    let elapsed_permille = scaled(elapsed, 1000, length);
    let forecast = (elapsed_permille >= 10).then(|| Usd(Nanodollars::new(scaled(spent.as_u64(), length, elapsed))));
    ForecastReport { spent_usd: Usd(spent), elapsed_permille, forecast_usd: forecast }
}

/// What a work item will cost, from those of its size and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkItemReport {
    /// How many work items it rests on.
    pub like_it: usize,
    /// What it has cost so far.
    pub spent_usd: Usd,
    /// Half of those like it cost at most this.
    pub median_usd: Option<Usd>,
    /// 95 of a hundred at most this.
    pub p95_usd: Option<Usd>,
}

/// Compares a work item with the others of its size and task type; nothing where no call names it.
#[must_use]
pub fn work_item(calls: &[Call], name: &str) -> Option<WorkItemReport> {
    let items = grouped(calls, |call| call.work_item.as_deref().unwrap_or_default());
    let own = items.get(name).filter(|_| !name.is_empty())?;
    let kind = |calls: &[&Call]| calls.first().map(|call| (call.size.clone(), call.task_type.clone()));
    let wanted = kind(own);
    let alike = items.iter().filter(|(other, calls)| !other.is_empty() && **other != name && kind(calls) == wanted);
    let mut costs: Vec<Nanodollars> = alike.map(|(_, calls)| total(calls.iter().copied())).collect();
    Some(WorkItemReport {
        like_it: costs.len(),
        spent_usd: Usd(total(own.iter().copied())),
        median_usd: percentile(&mut costs, 50).map(Usd),
        p95_usd: percentile(&mut costs, 95).map(Usd),
    })
}

/// The work beside what people would have cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HumanReport {
    /// Tasks of which a call succeeded.
    pub tasks_done: usize,
    /// What one cost.
    pub cost_per_task_usd: Option<Usd>,
    /// What it would have cost with people, by the hours and rate that were given.
    pub human_cost_per_task_usd: Usd,
    /// How many thousandths of that it cost.
    pub permille_of_human: Option<u64>,
}

/// Compares the cost of a task done with a person's fully loaded hour and the minutes that one would have taken.
#[must_use]
pub fn human(calls: &[Call], hour: Nanodollars, minutes_per_task: u64) -> HumanReport {
    let done = grouped(calls, |call| (call.run.as_str(), call.task.as_str()))
        .into_values()
        .filter(|task| task.iter().any(|call| call.status == CallStatus::Success && call.productive != Some(false)))
        .count();
    let cost = mean(total(calls), done);
    let person = Nanodollars::new(scaled(hour.as_u64(), minutes_per_task, 60));
    HumanReport {
        tasks_done: done,
        cost_per_task_usd: cost.map(Usd),
        human_cost_per_task_usd: Usd(person),
        permille_of_human: cost.map(|cost| scaled(cost.as_u64(), 1000, person.as_u64())),
    }
}

fn money(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string())
}

fn pairs<const N: usize>(title: &str, rows: [(&str, String); N]) -> Vec<Table> {
    let mut table = Table::new(title, &["", "value"]);
    rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
    vec![table]
}

impl Report for VolumeReport {
    fn tables(&self) -> Vec<Table> {
        pairs(
            "volume (USD)",
            [
                ("days it rests on", self.days.to_string()),
                ("calls in them", self.calls.to_string()),
                ("calls in 30 days", self.calls_in_30_days.to_string()),
                ("cost in 30 days", self.cost_in_30_days_usd.to_string()),
            ],
        )
    }
}

impl Report for ForecastReport {
    fn tables(&self) -> Vec<Table> {
        let over = format!("{}.{} %", self.elapsed_permille / 10, self.elapsed_permille % 10);
        pairs(
            "forecast to the end of the window (USD)",
            [
                ("spent", self.spent_usd.to_string()),
                ("of the window is over", over),
                ("forecast", money(self.forecast_usd)),
            ],
        )
    }
}

impl Report for WorkItemReport {
    fn tables(&self) -> Vec<Table> {
        pairs(
            "forecast of a work item (USD)",
            [
                ("work items like it", self.like_it.to_string()),
                ("spent so far", self.spent_usd.to_string()),
                ("half of those cost at most", money(self.median_usd)),
                ("95 of a hundred at most", money(self.p95_usd)),
            ],
        )
    }
}

impl Report for HumanReport {
    fn tables(&self) -> Vec<Table> {
        let ratio =
            self.permille_of_human.map_or_else(|| "-".to_owned(), |ratio| format!("{}.{} %", ratio / 10, ratio % 10));
        pairs(
            "beside people (USD)",
            [
                ("tasks done", self.tasks_done.to_string()),
                ("cost per task done", money(self.cost_per_task_usd)),
                ("a person's cost per task", self.human_cost_per_task_usd.to_string()),
                ("of that", ratio),
            ],
        )
    }
}
