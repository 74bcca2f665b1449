//! Cost by what calls have in common.

use serde::Serialize;
use tollgate_core::Nanodollars;

use super::{Report, Share, Table, Usd, grouped, mean, percentile, total};
use crate::calls::{Call, CallStatus};

/// What calls are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The user, month by month (UTC).
    UserAndMonth,
    /// The kind of task.
    TaskType,
    /// The pipeline step.
    Stage,
    /// The model, with its tier.
    ModelAndTier,
    /// The tier alone: its distribution.
    Tier,
    /// The work item.
    WorkItem,
}

/// Cost by what calls have in common, the dearest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupReport {
    #[serde(skip)]
    title: &'static str,
    /// The groups.
    pub groups: Vec<Group>,
}

/// Calls that have something in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What it is; `(none)` where calls do not say.
    pub key: String,
    /// How many calls.
    pub calls: usize,
    /// Of all calls.
    pub calls_share: Share,
    /// What they cost.
    pub cost_usd: Usd,
    /// Of all cost.
    pub cost_share: Share,
    /// The mean cost of a call, of those whose cost is known; so the other two.
    pub mean_usd: Option<Usd>,
    /// Half of them cost at most this.
    pub median_usd: Option<Usd>,
    /// 95 of a hundred cost at most this.
    pub p95_usd: Option<Usd>,
    /// Those that failed or were rejected, of the group's calls.
    pub failed_share: Share,
}

/// Groups calls.
#[must_use]
pub fn groups(calls: &[Call], by: By) -> GroupReport {
    let none = || "(none)".to_owned();
    let key = |call: &Call| match by {
        By::UserAndMonth => format!("{} {}", call.user.clone().unwrap_or_else(none), month(call.started_ms)),
        By::TaskType => call.task_type.clone().unwrap_or_else(none),
        By::Stage => call.stage.clone().unwrap_or_else(none),
        By::ModelAndTier => {
            format!("{} ({})", call.model.as_deref().unwrap_or("(none)"), call.tier.as_deref().unwrap_or("no tier"))
        }
        By::Tier => call.tier.clone().unwrap_or_else(none),
        By::WorkItem => call.work_item.clone().unwrap_or_else(none),
    };
    let all = total(calls);
    let mut groups: Vec<Group> =
        grouped(calls, key).into_iter().map(|(key, members)| group(key, &members, calls.len(), all)).collect();
    groups.sort_by(|a, b| b.cost_usd.cmp(&a.cost_usd).then_with(|| a.key.cmp(&b.key)));
    let title = match by {
        By::UserAndMonth => "cost by user and month (USD)",
        By::TaskType => "cost by task type (USD)",
        By::Stage => "cost by stage (USD)",
        By::ModelAndTier => "cost by model and tier (USD)",
        By::Tier => "distribution over tiers (USD)",
        By::WorkItem => "cost by work item (USD)",
    };
    GroupReport { title, groups }
}

fn group(key: String, calls: &[&Call], all_calls: usize, all: Nanodollars) -> Group {
    let cost = total(calls.iter().copied());
    let mut costs: Vec<Nanodollars> =
        calls.iter().filter(|call| !call.is_of_unknown_cost()).map(|call| call.cost).collect();
    let failed = calls.iter().filter(|call| matches!(call.status, CallStatus::Failed | CallStatus::Rejected)).count();
    let share =
        |part: usize, whole: usize| Share::of(u64::try_from(part).unwrap_or(0), u64::try_from(whole).unwrap_or(0));
    Group {
        key,
        calls: calls.len(),
        calls_share: share(calls.len(), all_calls),
        cost_usd: Usd(cost),
        cost_share: Share::of_money(cost, all),
        mean_usd: mean(cost, costs.len()).map(Usd),
        median_usd: percentile(&mut costs, 50).map(Usd),
        p95_usd: percentile(&mut costs, 95).map(Usd),
        failed_share: share(failed, calls.len()),
    }
}

fn month(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| "?".to_owned(), |moment| moment.strftime("%Y-%m").to_string())
}

impl Report for GroupReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["", "calls", "of calls", "cost", "of cost", "mean", "median", "p95", "failed"];
        let mut table = Table::new(self.title, &columns);
        let money = |amount: Option<Usd>| amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string());
        for group in &self.groups {
            table.row([
                group.key.clone(),
                group.calls.to_string(),
                group.calls_share.to_string(),
                group.cost_usd.to_string(),
                group.cost_share.to_string(),
                money(group.mean_usd),
                money(group.median_usd),
                money(group.p95_usd),
                group.failed_share.to_string(),
            ]);
        }
        vec![table]
    }
}
