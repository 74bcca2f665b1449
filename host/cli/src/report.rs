//! `tollgate report`: what was spent on what.

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate_core::Nanodollars;
use tollgate_ledger::book::Window;
use tollgate_ledger::calls::Call;
use tollgate_ledger::prices::PriceTable;
use tollgate_ledger::report::{self, By, Period, Report};

use crate::data::DataArguments;
use crate::output;

#[derive(Args)]
pub(crate) struct ReportArguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    data: DataArguments,
    /// Only calls that began at or after this time (RFC 3339).
    #[arg(long, global = true)]
    from: Option<Timestamp>,
    /// Only calls that began before this time.
    #[arg(long, global = true)]
    until: Option<Timestamp>,
    /// The zone of weeks and months, as in `Europe/Berlin`.
    #[arg(long, global = true, default_value = "UTC")]
    zone: String,
    /// Print one JSON object.
    #[arg(long, global = true, conflicts_with = "csv")]
    json: bool,
    /// Print CSV.
    #[arg(long, global = true)]
    csv: bool,
}

#[derive(Subcommand)]
enum What {
    /// The whole at a glance: cost, stages, failures, cache, cost per run, per task done and per thousand lines
    Summary,
    /// Cost by user and month
    Users,
    /// Cost by task type
    TaskTypes,
    /// Cost by stage
    Stages,
    /// Cost by model and tier
    Models,
    /// The distribution over tiers
    Tiers,
    /// Cost by work item
    WorkItems,
    /// Cost by week, with the changes that deserve a look (15 %) or a review (20 %)
    Weeks,
    /// The dearest runs, with their traces
    Runs {
        /// How many
        #[arg(long, default_value_t = 10)]
        count: usize,
    },
    /// Cost per success by task type and starting tier, escalations included
    Success,
    /// What the prompt cache saved
    Cache {
        /// The model of calls that name none
        #[arg(long)]
        model: Option<String>,
    },
    /// How many calls and how much money the next 30 days take if it goes on like this
    Volume,
    /// What this month will have cost at its end
    Forecast,
    /// What a work item will cost, from those of its size and kind
    WorkItem {
        /// Its name
        name: String,
    },
    /// The cost of a task done beside what people would have cost
    Human {
        /// A person's fully loaded hour, as in "120.00 USD"
        #[arg(long)]
        hour: Nanodollars,
        /// How long one would have taken for a task
        #[arg(long)]
        minutes: u64,
    },
}

pub(crate) fn run(arguments: &ReportArguments) -> anyhow::Result<()> {
    let bound = |moment: Timestamp| u64::try_from(moment.as_millisecond()).unwrap_or(0);
    let period = Period { from_ms: arguments.from.map_or(0, bound), until_ms: arguments.until.map_or(u64::MAX, bound) };
    let zone = TimeZone::get(&arguments.zone).with_context(|| format!("`--zone {}`", arguments.zone))?;
    let calls = report::load(&arguments.data.read()?, period)?;
    match &arguments.what {
        What::Summary => show(arguments, &report::summary(&calls)),
        What::Users => by(arguments, &calls, By::UserAndMonth),
        What::TaskTypes => by(arguments, &calls, By::TaskType),
        What::Stages => by(arguments, &calls, By::Stage),
        What::Models => by(arguments, &calls, By::ModelAndTier),
        What::Tiers => by(arguments, &calls, By::Tier),
        What::WorkItems => by(arguments, &calls, By::WorkItem),
        What::Weeks => show(arguments, &report::weeks(&calls, &zone)),
        What::Runs { count } => show(arguments, &report::runs(&calls, *count)),
        What::Success => show(arguments, &report::success(&calls)),
        What::Cache { model } => show(arguments, &report::cache(&calls, &PriceTable::builtin(), model.as_deref())),
        What::Volume => show(arguments, &report::volume(&calls)),
        What::Forecast => {
            let now_ms = bound(arguments.until.unwrap_or_else(Timestamp::now));
            show(arguments, &report::window(&calls, Window::Month(zone).bounds(now_ms), now_ms))
        }
        What::WorkItem { name } => {
            let found = report::work_item(&calls, name);
            let unknown = || {
                format!("no call names the work item `{name}`: `tollgate report work-items` lists those that are named")
            };
            show(arguments, &found.with_context(unknown)?)
        }
        What::Human { hour, minutes } => show(arguments, &report::human(&calls, *hour, *minutes)),
    }
}

fn by(arguments: &ReportArguments, calls: &[Call], by: By) -> anyhow::Result<()> {
    show(arguments, &report::groups(calls, by))
}

fn show(arguments: &ReportArguments, report: &impl Report) -> anyhow::Result<()> {
    if arguments.json {
        return output::print_json(report);
    }
    let tables = report.tables();
    let texts = tables.iter().map(|table| if arguments.csv { table.to_csv() } else { table.to_text() });
    output::print(&texts.collect::<Vec<_>>().join("\n"))
}
