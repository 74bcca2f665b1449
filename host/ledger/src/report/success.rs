//! Did the cheap model pay? What a task costs until it is done, by the tier it was started on, escalations included.

use serde::Serialize;
use tollgate_core::Nanodollars;

use super::{Report, Share, Table, Usd, grouped, mean, total};
use crate::calls::{Call, CallStatus};

/// What a task costs until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuccessReport {
    /// By task type and starting tier.
    pub rows: Vec<Starting>,
}

/// Tasks of a type that were started on a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Starting {
    /// The kind of task.
    pub task_type: String,
    /// The tier of a task's first call.
    pub starting_tier: String,
    /// Tasks.
    pub tasks: u64,
    /// Those that were done in the end.
    pub done: u64,
    /// Of all tasks.
    pub done_share: Share,
    /// Those of which a later call was on another tier.
    pub escalated: u64,
    /// What all their calls cost, on whatever tier.
    pub cost_usd: Usd,
    /// That, by task done.
    pub cost_per_success_usd: Option<Usd>,
}

/// Follows each task from its first call to its last. A task is that of its run.
#[must_use]
pub fn success(calls: &[Call]) -> SuccessReport {
    let mut rows: std::collections::BTreeMap<(String, String), Starting> = std::collections::BTreeMap::new();
    for mut task in grouped(calls, |call| (call.run.as_str(), call.task.as_str())).into_values() {
        task.sort_by_key(|call| call.started_ms);
        let Some(first) = task.first() else { continue };
        let none = || "(none)".to_owned();
        let key = (first.task_type.clone().unwrap_or_else(none), first.tier.clone().unwrap_or_else(none));
        let row = rows.entry(key.clone()).or_insert_with(|| Starting {
            task_type: key.0,
            starting_tier: key.1,
            ..Starting::default()
        });
        let done = task.iter().any(|call| call.status == CallStatus::Success && call.productive != Some(false));
        let cost: Nanodollars = total(task.iter().copied());
        row.tasks = row.tasks.saturating_add(1);
        row.done = row.done.saturating_add(u64::from(done));
        row.escalated = row.escalated.saturating_add(u64::from(task.iter().any(|call| call.tier != first.tier)));
        row.cost_usd = Usd(row.cost_usd.0.saturating_add(cost));
    }
    let finish = |row: Starting| Starting {
        done_share: Share::of(row.done, row.tasks),
        cost_per_success_usd: mean(row.cost_usd.0, usize::try_from(row.done).unwrap_or(0)).map(Usd),
        ..row
    };
    SuccessReport { rows: rows.into_values().map(finish).collect() }
}

impl Report for SuccessReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["task type", "starting tier", "tasks", "done", "done", "escalated", "cost", "per success"];
        let mut table = Table::new("cost per success, escalations included (USD)", &columns);
        for row in &self.rows {
            table.row([
                row.task_type.clone(),
                row.starting_tier.clone(),
                row.tasks.to_string(),
                row.done.to_string(),
                row.done_share.to_string(),
                row.escalated.to_string(),
                row.cost_usd.to_string(),
                row.cost_per_success_usd.map_or_else(|| "-".to_owned(), |cost| cost.to_string()),
            ]);
        }
        vec![table]
    }
}
