use jiff::tz::TimeZone;
use tollgate_core::Usage;

use super::*;
use crate::book::{Bounds, Budgets};
use crate::calls::CallStatus;
use crate::prices::PriceTable;
use crate::store::Sqlite;
use crate::trace::{OnMalformed, read_trace};
use crate::{DATABASE, Imported, Ledger, Options, import_trace};

/// The shape of a recorded pipeline in six lines.
const TRACE: &str = r#"{"run":"r1","phase":"planning","task_id":"p","attempt":1,"status":"success","productive":null,"started_at":"2026-03-02T08:00:00Z","duration_s":164,"input_tokens":2,"cache_write_tokens":71783,"cache_read_tokens":15594,"output_tokens":8948,"cost_usd":0.68015075,"usage_reported":true,"model":"claude-opus-4-6","tier":"premium","source_path":"trace-1"}
{"run":"r1","phase":"coding","task_id":"t","attempt":1,"status":"failed","productive":false,"started_at":"2026-03-02T09:00:00Z","duration_s":600,"input_tokens":0,"cache_write_tokens":0,"cache_read_tokens":0,"output_tokens":0,"cost_usd":0.0,"usage_reported":false,"tier":"low","task_type":"refactoring"}
{"run":"r1","phase":"coding","task_id":"t","attempt":2,"status":"failed","productive":false,"started_at":"2026-03-02T09:20:00Z","duration_s":60,"input_tokens":10,"cache_write_tokens":100,"cache_read_tokens":900,"output_tokens":100,"cost_usd":0.25,"usage_reported":true,"tier":"low","task_type":"refactoring"}
{"run":"r1","phase":"coding","task_id":"t","attempt":3,"status":"success","productive":true,"started_at":"2026-03-02T09:30:00Z","duration_s":300,"input_tokens":10,"cache_write_tokens":100,"cache_read_tokens":900,"output_tokens":100,"cost_usd":1.75,"usage_reported":true,"tier":"premium","task_type":"refactoring","loc_production_delta":400}
{"run":"r2","phase":"coding","task_id":"u","attempt":1,"status":"success","productive":false,"started_at":"2026-03-16T09:30:00Z","duration_s":300,"input_tokens":10,"cache_write_tokens":100,"cache_read_tokens":900,"output_tokens":100,"cost_usd":0.5,"usage_reported":true,"user":"=ada","work_item":"w"}
{"run":"r2","phase":"coding","task_id":"v","attempt":1,"status":"success","productive":true,"started_at":"2026-03-23T09:30:00Z","duration_s":300,"input_tokens":10,"cache_write_tokens":100,"cache_read_tokens":900,"output_tokens":100,"cost_usd":0.580000000000000049,"usage_reported":true,"user":"=ada","work_item":"w"}
"#;

fn imported(trace: &str) -> (tempfile::TempDir, Imported, Vec<Call>) {
    let folder = tempfile::tempdir().unwrap();
    let budgets = Budgets::new(Vec::new()).unwrap();
    let ledger = Ledger::open(folder.path(), budgets, Options::default(), 0).unwrap();
    let imported = import_trace(&ledger, read_trace(trace.as_bytes(), OnMalformed::Stop).unwrap()).unwrap();
    drop(ledger);
    let store = Sqlite::open(&folder.path().join(DATABASE)).unwrap();
    assert!(store.verify().unwrap().is_clean());
    let calls = load(&store, Period::default()).unwrap();
    (folder, imported, calls)
}

#[test]
fn a_trace_becomes_a_summary() {
    let (_folder, imported, calls) = imported(TRACE);
    assert_eq!((imported.calls, imported.without_cost), (6, 1));
    let summary = serde_json::to_value(summary(&calls)).unwrap();
    let expected = serde_json::json!({
        "cost_by_stage_usd": {"coding": 3.08, "planning": 0.68015075},
        "failed_cost_usd": 0.25, "rejected_cost_usd": 0.0, "wasted_share": 0.066, "unproductive_cost_usd": 0.5,
        "calls": 6, "failed_calls": 2, "failed_duration_ms": 660_000, "unknown_cost_calls": 1, "runs": 2,
        "tasks_done": 3, "lines_production": 400, "cost_usd": 3.76015075, "run_median_usd": 1.08,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&summary[key], value, "{key}");
    }
}

#[test]
fn a_trace_imported_twice_counts_once() {
    let (folder, ..) = imported(TRACE);
    let ledger = Ledger::open(folder.path(), Budgets::new(Vec::new()).unwrap(), Options::default(), 0).unwrap();
    let again = import_trace(&ledger, read_trace(TRACE.as_bytes(), OnMalformed::Stop).unwrap()).unwrap();
    assert_eq!((again.calls, again.repeated), (0, 6));
}

#[test]
fn what_a_killed_import_left_open_is_brought_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Ledger::open(folder.path(), Budgets::new(Vec::new()).unwrap(), Options::default(), 0).unwrap();
    let trace = || read_trace(TRACE.as_bytes(), OnMalformed::Stop).unwrap();
    let ledger = open();
    let path = ledger.path(&[]).unwrap();
    let row = &trace().rows[0];
    let id = crate::book::ReservationId(u128::from_be_bytes(row.identity));
    let request = crate::book::Request { id, path: &path, amount: row.cost.unwrap(), expires_ms: row.ended_ms };
    ledger.reserve(&request, row.started_ms).unwrap();
    drop(ledger);
    let ledger = open();
    let imported = import_trace(&ledger, trace()).unwrap();
    assert_eq!((imported.calls, imported.repeated), (6, 0));
    drop(ledger);
    let store = Sqlite::open(&folder.path().join(DATABASE)).unwrap();
    assert!(store.verify().unwrap().is_clean());
    assert_eq!(load(&store, Period::default()).unwrap().len(), 6);
}

#[test]
fn a_cost_that_no_account_can_hold_is_found_before_anything_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path(), Budgets::new(Vec::new()).unwrap(), Options::default(), 0).unwrap();
    let trace = TRACE.replace("0.580000000000000049", "18000000000");
    let error = import_trace(&ledger, read_trace(trace.as_bytes(), OnMalformed::Stop).unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("line 6: `cost_usd` is more than"), "{error}");
    assert_eq!(load(&Sqlite::open(&folder.path().join(DATABASE)).unwrap(), Period::default()).unwrap(), []);
}

#[test]
fn a_cost_that_nobody_knows_is_in_no_mean() {
    let (_folder, _, calls) = imported(TRACE);
    let coding = groups(&calls, By::Stage).groups.into_iter().find(|group| group.key == "coding").unwrap();
    assert_eq!((coding.calls, coding.mean_usd.unwrap().to_string().as_str()), (5, "0.77"));
    assert_eq!(coding.median_usd.unwrap().to_string(), "0.50");
}

#[test]
fn a_malformed_line_is_named_and_stops_or_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path(), Budgets::new(Vec::new()).unwrap(), Options::default(), 0).unwrap();
    let trace = TRACE.replacen("0.25", "\"much\"", 1);
    let stopped = read_trace(trace.as_bytes(), OnMalformed::Stop).unwrap_err().to_string();
    assert!(stopped.starts_with("line 3: `cost_usd`:"), "{stopped}");
    let skipped = import_trace(&ledger, read_trace(trace.as_bytes(), OnMalformed::Skip).unwrap()).unwrap();
    assert_eq!((skipped.calls, skipped.skipped.len(), skipped.skipped[0].0), (5, 1, 3));
}

#[test]
fn a_task_is_followed_over_its_escalations() {
    let (_folder, _, calls) = imported(TRACE);
    let report = success(&calls);
    let row = report.rows.iter().find(|row| row.task_type == "refactoring").unwrap();
    assert_eq!((row.starting_tier.as_str(), row.tasks, row.done, row.escalated), ("low", 1, 1, 1));
    assert_eq!(row.cost_per_success_usd.unwrap().to_string(), "2.00");
}

#[test]
fn weeks_without_a_call_are_weeks_and_changes_are_flagged() {
    let (_folder, _, calls) = imported(TRACE);
    let weeks = weeks(&calls, &TimeZone::UTC).weeks;
    let shown: Vec<_> = weeks.iter().map(|week| (week.monday.as_str(), week.change_permille, week.flag)).collect();
    assert_eq!(
        shown,
        [
            ("2026-03-02", None, Flag::None),
            ("2026-03-09", Some(-1000), Flag::Review),
            ("2026-03-16", None, Flag::None),
            ("2026-03-23", Some(160), Flag::Look),
        ]
    );
}

#[test]
fn the_dearest_run_comes_first_with_its_traces() {
    let (_folder, _, calls) = imported(TRACE);
    let runs = runs(&calls, 10).runs;
    assert_eq!((runs[0].run.as_str(), runs[0].trace_ids.as_slice()), ("r1", &["trace-1".to_owned()][..]));
    assert_eq!(runs[0].wasted_share, Share(93));
}

#[test]
fn the_cache_is_priced_with_and_without() {
    let (_folder, _, calls) = imported(TRACE);
    let report = cache(&calls, &PriceTable::builtin(), None);
    assert_eq!(report.unpriced_calls, 4, "those that name no model");
    // 2 fresh, 71,783 written at 6.25 and 15,594 read at 0.50 dollars a million, against 87,379 at 5.
    assert_eq!(report.models[0].input_usd.0, Nanodollars::new(10_000 + 448_643_750 + 7_797_000));
    assert_eq!(report.models[0].uncached_usd.0, Nanodollars::new(436_895_000));
    assert_eq!(report.models[0].saved_usd.0, Nanodollars::ZERO, "writing cost more than reading saved");
}

#[test]
fn forecasts_say_what_they_rest_on() {
    let (_folder, _, calls) = imported(TRACE);
    let projected = volume(&calls);
    assert_eq!((projected.days, projected.calls_in_30_days), (22, 8));
    let bounds = Bounds { start_ms: calls[0].started_ms, end_ms: calls[0].started_ms + 200 * 3_600_000 };
    let forecast = window(&calls, bounds, bounds.start_ms + 100 * 3_600_000);
    assert_eq!(forecast.forecast_usd.unwrap().0, Nanodollars::new(2 * 2_680_150_750));
    assert_eq!(work_item(&calls, "w").unwrap().spent_usd.to_string(), "1.08");
    assert_eq!((work_item(&calls, "x"), work_item(&calls, "")), (None, None));
    let beside = human(&calls, Nanodollars::from_dollars(120).unwrap(), 30);
    assert_eq!((beside.human_cost_per_task_usd.to_string().as_str(), beside.permille_of_human), ("60.00", Some(20)));
}

#[test]
fn a_name_is_no_formula_and_no_escape_sequence() {
    let (_folder, _, calls) = imported(TRACE);
    let tables = groups(&calls, By::UserAndMonth).tables();
    assert!(tables[0].to_csv().contains("'=ada 2026-03"), "{}", tables[0].to_csv());
    let mut table = Table::new("t", &["a"]);
    table.row(["\u{1b}[2J".to_owned()]);
    assert!(!table.to_text().contains('\u{1b}'));
}

#[test]
fn every_report_can_be_shown() {
    let (_folder, _, calls) = imported(TRACE);
    for by in [By::UserAndMonth, By::TaskType, By::Stage, By::ModelAndTier, By::Tier, By::WorkItem] {
        let report = groups(&calls, by);
        assert!(report.tables()[0].to_text().lines().count() > 2);
        assert!(serde_json::to_string(&report).is_ok());
    }
    let none: [Call; 0] = [];
    assert_eq!(summary(&none).cost_per_task_done_usd, None);
    assert!(weeks(&none, &TimeZone::UTC).weeks.is_empty());
}

#[test]
fn unknown_usage_is_not_a_usage_of_nothing() {
    let (_folder, _, calls) = imported(TRACE);
    let unknown: Vec<&Call> = calls.iter().filter(|call| call.usage.is_none()).collect();
    assert_eq!((unknown.len(), unknown[0].estimated, unknown[0].status), (1, true, CallStatus::Failed));
    assert_ne!(Some(Usage::default()), unknown[0].usage);
}

/// The recorded pipeline itself, where the environment says where it lies.
#[test]
fn a_recorded_pipeline_agrees_with_its_figures() {
    let Ok(path) = std::env::var("TOLLGATE_TRACE") else {
        return;
    };
    let (_folder, _, calls) = imported(&std::fs::read_to_string(path).unwrap());
    let summary = summary(&calls);
    assert_eq!(summary.cost_usd.to_string(), "805.93");
    assert_eq!((summary.calls, summary.failed_calls, summary.unproductive_calls), (525, 79, 74));
    let stages: Vec<String> = summary.cost_by_stage_usd.values().map(ToString::to_string).collect();
    assert_eq!(stages, ["776.30", "29.63"]);
    assert_eq!(
        (summary.failed_cost_usd.to_string(), summary.unproductive_cost_usd.to_string()),
        ("28.72".into(), "94.86".into())
    );
    assert_eq!((summary.cache_read_tokens, summary.output_tokens), (358_671_889, 6_578_345));
}
