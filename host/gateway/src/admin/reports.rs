//! The ledger's reports as JSON: the same as `tollgate report … --json`.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;
use tollgate_core::Window;
use tollgate_ledger::calls::Call;
use tollgate_ledger::report::{self, By, Period};
use tollgate_ledger::store::{Sqlite, StoreError};

use super::budgets::amount;
use super::request::{Ask, wrong_value};
use super::{Answered, aside, internal};
use crate::formats::{NextAction, Problem};
use crate::{Gateway, clock};

/// What there is, in the words of `tollgate report`.
const REPORTS: [&str; 15] = [
    "summary",
    "users",
    "task-types",
    "stages",
    "models",
    "tiers",
    "work-items",
    "weeks",
    "runs",
    "success",
    "cache",
    "volume",
    "forecast",
    "work-item",
    "human",
];
/// The most runs of a report about runs.
const MAX_RUNS: usize = 10_000;
/// Two years of one person's time.
const MAX_MINUTES: usize = 1_000_000;

pub(super) async fn report(ask: Ask) -> Answered {
    let name = ask.parameter();
    if !REPORTS.contains(&name) {
        let detail = format!("there is no such report: there are {}", REPORTS.join(", "));
        return Err(Problem::new(404, "no-such-report", detail, NextAction::ChangeRequest));
    }
    let bound = |moment: Timestamp| u64::try_from(moment.as_millisecond()).unwrap_or(0);
    let moment = |name: &str| ask.value::<Timestamp>(name).map(|moment| moment.map(bound));
    let period = Period { from_ms: moment("from")?.unwrap_or(0), until_ms: moment("until")?.unwrap_or(u64::MAX) };
    let told = tell(&ask, name)?;
    // One at a time: each reads every call of its period.
    let Ok(turn) = Arc::clone(&ask.gateway.reporting).acquire_owned().await else {
        return Err(Problem::new(503, "ending", "the gateway is ending", NextAction::Stop));
    };
    let loaded = aside(&ask.gateway, move |gateway| {
        let report = load(gateway, period).map(|calls| told(&calls, period));
        drop(turn);
        report
    });
    let loaded = loaded.await?;
    let report = loaded.map_err(|error| crate::call::ledger_failed(&ask.gateway, &error.to_string()))?;
    report.map_err(|error| internal(&ask.gateway, &error))?.ok_or_else(|| {
        let detail = "no call names that work item: the report `work-items` has those that are named";
        Problem::new(404, "no-such-work-item", detail, NextAction::ChangeRequest)
    })
}

/// Nothing where no call names what is asked about.
type Told = Box<dyn FnOnce(&[Call], Period) -> serde_json::Result<Option<Value>> + Send>;

/// What makes the report, once the calls are there; a mistake in what was asked is found before they are loaded.
fn tell(ask: &Ask, name: &str) -> Result<Told, Problem> {
    fn of<R: Serialize>(make: impl FnOnce(&[Call], Period) -> R + Send + 'static) -> Told {
        Box::new(move |calls, period| serde_json::to_value(make(calls, period)).map(Some))
    }
    let groups = |by: By| of(move |calls, _| report::groups(calls, by));
    let zone = ask.text("zone").unwrap_or("UTC");
    let zone = TimeZone::get(zone).map_err(|error| wrong_value("zone", zone, &error))?;
    // All of the query is read, also what this report does not need: a mistake in it is one.
    let count = ask.count("count", 10, MAX_RUNS)?;
    let hour = ask.text("hour").map(|hour| amount("hour", hour)).transpose()?;
    let minutes = ask.text("minutes").map(|_| ask.count("minutes", 1, MAX_MINUTES)).transpose()?;
    Ok(match name {
        "summary" => of(|calls, _| report::summary(calls)),
        "users" => groups(By::UserAndMonth),
        "task-types" => groups(By::TaskType),
        "stages" => groups(By::Stage),
        "models" => groups(By::ModelAndTier),
        "tiers" => groups(By::Tier),
        "work-items" => groups(By::WorkItem),
        "weeks" => of(move |calls, _| report::weeks(calls, &zone)),
        "runs" => of(move |calls, _| report::runs(calls, count)),
        "success" => of(|calls, _| report::success(calls)),
        "cache" => {
            let (model, gateway) = (ask.text("model").map(str::to_owned), ask.gateway.clone());
            of(move |calls, _| report::cache(calls, &gateway.prices.load(), model.as_deref()))
        }
        "volume" => of(|calls, _| report::volume(calls)),
        "forecast" => of(move |calls, period| {
            let now_ms = if period.until_ms == u64::MAX { clock::now_ms() } else { period.until_ms };
            report::window(calls, Window::Month(zone).bounds(now_ms), now_ms)
        }),
        "work-item" => {
            let item = ask.text("name").ok_or_else(|| missing("name"))?.to_owned();
            Box::new(move |calls, _| report::work_item(calls, &item).map(serde_json::to_value).transpose())
        }
        _ => {
            let (hour, minutes) = (hour.ok_or_else(|| missing("hour"))?, minutes.ok_or_else(|| missing("minutes"))?);
            let minutes = u64::try_from(minutes).unwrap_or(u64::MAX);
            of(move |calls, _| report::human(calls, hour, minutes))
        }
    })
}

fn missing(name: &str) -> Problem {
    Problem::bad_request("invalid-query", format!("this report needs `{name}` in its query"))
}

fn load(gateway: &Gateway, period: Period) -> Result<Vec<Call>, StoreError> {
    // What was posted a moment ago is on its way to the disk; a ledger that cannot be written is told by those who write.
    let _ = gateway.accounts.flush();
    report::load(&Sqlite::open(&gateway.settings.data.join(tollgate_ledger::DATABASE))?, period)
}
