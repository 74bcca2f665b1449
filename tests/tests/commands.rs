//! The `tollgate` command as its users run it: what it prints, where it stops, what it says then.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tollgate_tests::tollgate;

const ROW: &str = r#"{"run":"r","stage":"coding","task":"t","status":"STATUS","failure_kind":"tests-failed","started_at":"2026-03-02T08:MM:00Z","duration_s":30,"input_tokens":5,"cache_write_tokens":1000,"cache_read_tokens":9000,"output_tokens":700,"cost_usd":0.25}"#;

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(tollgate())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One line on standard error, with these words in it.
fn refusal(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    for word in words {
        assert!(said.contains(word), "{said}");
    }
}

/// Eight failures of one task, a minute apart, and what it wrote them to.
fn failing_trace(folder: &Path) -> String {
    let rows: Vec<_> =
        (0..8).map(|minute| ROW.replace("STATUS", "failed").replace("MM", &format!("{minute:02}"))).collect();
    let file = folder.join("trace.jsonl");
    fs::write(&file, rows.join("\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_replay_stops_the_loop_and_adds_up_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let trace = failing_trace(folder.path());
    let summary = json(&run(&["replay", &trace, "--json"], ""));
    assert_eq!(summary["decisions"], 8);
    assert_eq!(summary["failed_attempts"], 8);
    assert_eq!(summary["recorded_cost_usd"].to_string(), "2.0");
    assert!(summary["failed_attempts_prevented"].as_u64().unwrap() >= 4, "{summary}");
    let text = run(&["replay", &trace], "");
    assert!(String::from_utf8_lossy(&text.stdout).contains("in hindsight"));
}

#[test]
fn two_replays_write_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let trace = failing_trace(folder.path());
    let write = |name: &str| {
        let file = folder.path().join(name);
        json(&run(&["replay", &trace, "--json", "--decisions", file.to_str().unwrap()], ""));
        fs::read(file).unwrap()
    };
    let first = write("first.jsonl");
    assert_eq!(first, write("second.jsonl"));
    assert_eq!(first.split(|byte| *byte == b'\n').count(), 9, "eight lines and the end of the last");
}

#[test]
fn a_malformed_line_is_named_and_stops_or_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let trace = failing_trace(folder.path());
    let broken = format!("{}\nnot json\n", fs::read_to_string(&trace).unwrap());
    fs::write(&trace, broken).unwrap();
    refusal(&run(&["replay", &trace, "--json"], ""), &["line 9", "--on-malformed skip"]);
    let output = run(&["replay", &trace, "--json", "--on-malformed", "skip"], "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 9 is passed over"));
    let summary = json(&output);
    assert_eq!((&summary["decisions"], &summary["skipped_lines"]), (&8.into(), &1.into()));
}

#[test]
fn a_trace_that_is_missing_or_empty_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.jsonl");
    refusal(&run(&["replay", file.to_str().unwrap()], ""), &["cannot read", "none.jsonl"]);
    fs::write(&file, "\n\n").unwrap();
    refusal(&run(&["replay", file.to_str().unwrap()], ""), &["holds no invocation"]);
}

#[test]
fn a_decision_tells_every_fact_and_where_it_came_from() {
    let decision = json(&run(&["decide", "--json", "--explain"], r#"{"input_tokens": 12000, "now_ms": 5}"#));
    assert_eq!(decision["outcome"], "proceed");
    assert_eq!(decision["verdicts"].as_array().unwrap().len(), 4);
    let from = |fact: &str| {
        let facts = decision["facts"].as_array().unwrap();
        facts.iter().find(|one| one["fact"] == fact).unwrap()["from"].clone()
    };
    assert_eq!(from("input_tokens"), "given");
    assert_eq!(from("now_ms"), "given");
    assert_eq!(from("approved"), "default");
    assert_eq!(from("candidates[0].tier"), "configuration");
    assert_eq!(from("candidates[0].estimated_cost"), "price-table");
}

#[test]
fn what_is_not_a_dispatch_is_said() {
    refusal(&run(&["decide"], "{"), &["standard input is not JSON"]);
    refusal(&run(&["decide"], r#"{"colour": 1}"#), &["unknown field `colour`"]);
    refusal(&run(&["decide"], r#"{"sticky": 99}"#), &["`sticky` is 99"]);
    refusal(&run(&["decide", "--config", "missing.toml"], "{}"), &["cannot read `missing.toml`"]);
}

#[test]
fn a_plugin_is_checked_and_what_is_none_is_refused() {
    let plugin = tollgate_tests::plugins_folder().join("budget.wasm");
    let check = json(&run(&["policy", "check", plugin.to_str().unwrap(), "--json"], ""));
    assert_eq!(check["worlds"], serde_json::json!(["budget-policy"]));
    assert_eq!(check["contract"], "tollgate:policy 0.1");
    assert!(check["probe_fuel_max"].as_u64().unwrap() > 0);
    assert_eq!(check["schema"]["type"], "object");
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.wasm");
    fs::write(&text, "hello").unwrap();
    let output = run(&["policy", "check", text.to_str().unwrap()], "");
    refusal(&output, &["text.wasm` is refused", "not a WebAssembly file"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

#[test]
fn in_the_demonstration_all_four_kinds_act() {
    let summary = json(&run(&["demo", "--json"], ""));
    let kinds: Vec<_> = summary["examples"].as_array().unwrap().iter().map(|example| &example["kind"]).collect();
    for kind in ["kill-switch", "retry-ceiling", "routing", "budget"] {
        assert!(kinds.iter().any(|one| *one == kind), "{kind}: {kinds:?}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(tollgate()).args(["demo", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
