//! The `tollgate` command as its users run it: what it prints, where it stops, what it says then.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{ErrorKind, Write};
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
    // A command that refuses its arguments ends without reading: then nobody is at the pipe's other end.
    if let Err(error) = child.stdin.take().unwrap().write_all(input.as_bytes()) {
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    }
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
fn every_field_of_a_dispatch_is_documented() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dispatch-format.md")).unwrap();
    let help = String::from_utf8(run(&["decide", "--help"], "").stdout).unwrap();
    let decision = json(&run(&["decide", "--json", "--explain"], r#"{"scopes": {"run": "r"}, "input_tokens": 1}"#));
    for fact in decision["facts"].as_array().unwrap() {
        let path = fact["fact"].as_str().unwrap();
        let (first, last) = (path.split(['.', '[']).next().unwrap(), path.rsplit('.').next().unwrap());
        assert!(help.contains(first), "`decide --help` does not name `{first}`");
        assert!(document.contains(&format!("`{last}`")), "docs/dispatch-format.md does not name `{last}` of `{path}`");
    }
    for field in decision.as_object().unwrap().keys() {
        assert!(document.contains(&format!("`{field}`")), "docs/dispatch-format.md does not name `{field}`");
    }
}

#[test]
fn what_is_not_a_dispatch_is_said() {
    refusal(&run(&["decide"], "{"), &["standard input is not JSON"]);
    refusal(&run(&["decide"], "[5]"), &["expected an object"]);
    refusal(&run(&["decide"], r#"{"colour": 1}"#), &["line 1, column 9", "unknown field `colour`"]);
    refusal(
        &run(&["decide"], r#"{"candidates": [{"model": "m", "tier": "low", "backend": "elsewhere"}]}"#),
        &["backend `elsewhere`", "`anthropic`, `openai`"],
    );
    refusal(&run(&["decide"], r#"{"sticky": 99}"#), &["`sticky` is 99"]);
    refusal(&run(&["decide", "--config", "missing.toml"], "{}"), &["cannot read `missing.toml`"]);
}

#[test]
fn a_folder_that_is_none_and_a_configuration_with_a_mistake_are_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    refusal(&run(&["decide", "--plugins", "/nowhere/at/all"], "{}"), &["`--plugins /nowhere/at/all` is no folder"]);
    refusal(&run(&["demo", "--plugins", "/nowhere/at/all"], ""), &["is no folder"]);
    let file = folder.path().join("tollgate.toml");
    fs::write(&file, "version = 1\n[[model]]\nname = \"m\"\ntier = \"best\"\n").unwrap();
    let output = run(&["decide", "--config", file.to_str().unwrap()], "{}");
    refusal(
        &output,
        &["tollgate.toml`: line 4, column 8: `model[0].tier`", "expected one of `low`, `middle`, `premium`"],
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

#[test]
fn what_would_go_unnoticed_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    fs::write(&file, "version = 1\n").unwrap();
    let warned = |arguments: &[&str], input: &str| {
        let output = run(arguments, input);
        (json(&output), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (decision, said) = warned(&["decide", "--json", "--config", file.to_str().unwrap()], "{}");
    assert_eq!(decision["reason"]["code"], "no-candidate");
    assert!(said.contains("warning") && said.contains("has no [[model]]"), "{said}");
    let (_, said) = warned(&["decide", "--json"], "{}");
    assert!(said.contains("no `input_tokens`"), "{said}");
    let unpriced = r#"{"input_tokens": 1, "candidates": [{"model": "own", "tier": "premium", "backend": "openai"}]}"#;
    let (decision, said) = warned(&["decide", "--json"], unpriced);
    assert!(said.contains("no price for `own`"), "{said}");
    assert_eq!(decision["model"], "own");
    let (_, said) = warned(&["decide", "--json"], r#"{"input_tokens": 1}"#);
    assert_eq!(said, "");
}

#[test]
fn configured_budgets_apply_where_a_dispatch_brings_none() {
    let at = |cost: &str| {
        format!(r#"{{"scopes": {{"run": "r"}}, "input_tokens": 9000000, "spending": {{"run_cost": "{cost}"}}}}"#)
    };
    // The shipped configuration lets a run spend 1,000 dollars; its kill switch stops one at 200, so another one decides here.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tollgate.toml");
    let policies = tollgate_tests::plugins_folder();
    fs::write(
        &file,
        "version = 1\nmodel = [{ name = \"gpt-5.2\", tier = \"premium\" }]\n\
         backend = [{ name = \"openai\", models = [\"gpt-5.2\"] }]\npolicy = [{ name = \"budget\" }]\n\
         budget = [{ scope = \"run\", limit = \"20.00 USD\", owner = \"platform-leads\" }]\n",
    )
    .unwrap();
    let decide = |cost: &str| {
        let arguments = ["decide", "--json", "--explain", "--config", file.to_str().unwrap(), "--plugins"];
        json(&run(&[&arguments[..], &[policies.to_str().unwrap()]].concat(), &at(cost)))
    };
    let goes = decide("1.00 USD");
    assert_eq!(goes["outcome"], "proceed");
    assert!(goes["decision_ns"].as_u64().unwrap() > 0);
    let stops = decide("21.00 USD");
    assert_eq!((&stops["outcome"], &stops["by"]), (&"refuse".into(), &"budget".into()));
    assert_eq!((&stops["reason"]["code"], &stops["reason"]["owner"]), (&"budget".into(), &"platform-leads".into()));
    assert!(stops["reason"]["text"].as_str().unwrap().starts_with("the budget of platform-leads: "), "{stops}");
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
fn in_the_live_demonstration_agents_are_routed_slowed_held_and_killed() {
    let live = || json(&run(&["demo", "--json"], ""))["live"].clone();
    let shown = live();
    let scenes: Vec<_> = shown["scenes"].as_array().unwrap().iter().map(|scene| scene["what"].clone()).collect();
    assert_eq!(scenes, ["routed", "slowed", "held", "killed"]);
    assert!(shown["report"]["calls"].as_u64().unwrap() > 100, "{shown}");
    assert_eq!(shown["scenes"], live()["scenes"], "it shows the same each time");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(tollgate()).args(["demo", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
