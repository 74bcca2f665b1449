//! Decision records as their users meet them: written by the demonstration, printed, explained, and replayed against
//! another set of policies.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tollgate_tests::tollgate;

fn run(arguments: &[&str]) -> Output {
    Command::new(tollgate()).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(words), "{said}");
}

/// The demonstration's records, and its configuration.
fn demonstration(folder: &Path) -> (String, String) {
    let records = folder.join("records").to_str().unwrap().to_owned();
    let summary = json(&run(&["demo", "--json", "--records", &records]));
    assert!(summary["decisions"].as_u64().unwrap() > 0);
    let configuration = folder.join("demo.toml");
    fs::write(&configuration, include_str!("../../host/cli/src/demo/demo.toml")).unwrap();
    (records, configuration.to_str().unwrap().to_owned())
}

fn events(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_demonstrations_records_are_printed_explained_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let (records, configuration) = demonstration(folder.path());

    let all = events(&["log", "--records", &records]);
    let ids: std::collections::BTreeSet<_> = all.iter().map(|event| event["decision_id"].to_string()).collect();
    assert_eq!(ids.len(), all.len(), "every decision has its name");
    let by = |policy: &str| events(&["log", "--records", &records, "--outcome", "refuse", "--by", policy]);
    let stopped = by("kill-switch");
    assert!(!stopped.is_empty() && stopped.len() < all.len());
    assert!(stopped.iter().all(|event| event["result"]["by"] == "kill-switch"));
    let run_name = stopped[0]["input"]["scopes"]["run"]["name"].as_str().unwrap();
    let of_run = events(&["log", "--records", &records, "--run", run_name, "--last", "2"]);
    assert_eq!(of_run.len(), 2);
    assert!(events(&["log", "--records", &records, "--until", "2001-01-01"]).is_empty());

    let id = stopped[0]["decision_id"].as_str().unwrap();
    let explained = json(&run(&["explain", id, "--records", &records, "--json"]));
    let facts = explained["facts"].as_array().unwrap();
    let from = |fact: &str| facts.iter().find(|one| one["fact"] == fact).unwrap()["from"].clone();
    assert_eq!((from("spending.run_cost"), from("now_ms")), ("history".into(), "trace".into()));
    assert_eq!(explained["bundles"].as_object().unwrap().len(), 4);
    let text = String::from_utf8(run(&["explain", id, "--records", &records]).stdout).unwrap();
    assert!(text.starts_with("refuse: run-cost"), "{text}");
    refusal(&run(&["explain", "0000000000000001-1", "--records", &records]), "no decision `0000000000000001-1`");

    let same = json(&run(&["replay", &records, "--against", &configuration, "--json"]));
    assert_eq!(same["decisions"], all.len());
    assert_eq!((&same["changed"], &same["outcomes_changed"]), (&0.into(), &0.into()));
    assert!(same["verdicts"].as_array().unwrap().is_empty() && same["examples"].as_array().unwrap().is_empty());
    assert_eq!(same["recorded_cost_usd"].to_string(), same["decided_cost_usd"].to_string());
}

#[test]
fn another_set_of_policies_tells_what_it_would_change() {
    let folder = tempfile::tempdir().unwrap();
    let (records, configuration) = demonstration(folder.path());
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("ceiling = \"80.00 USD\"", "ceiling = \"30.00 USD\"")).unwrap();
    let other = json(&run(&["replay", &records, "--against", &configuration, "--json"]));
    assert!(other["outcomes_changed"].as_u64().unwrap() > 0, "{other}");
    let verdicts = other["verdicts"].as_array().unwrap();
    assert!(verdicts.iter().any(|one| one["from"] == "proceed" && one["to"] == "trip run-cost"), "{verdicts:?}");
    let cost = |name: &str| other[name].to_string().parse::<f64>().unwrap();
    assert!(cost("decided_cost_usd") < cost("recorded_cost_usd"));
    let differences: Vec<_> = other["policies"].as_array().unwrap().iter().map(|one| &one["difference"][0]).collect();
    assert_eq!(differences, ["configuration", "same", "same", "same"]);
    let example = other["examples"][0]["decision_id"].as_str().unwrap();
    json(&run(&["explain", example, "--records", &records, "--json"]));
    let text = run(&["replay", &records, "--against", &configuration]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("another outcome"));
}

#[test]
fn a_file_that_was_cut_off_is_told_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (records, configuration) = demonstration(folder.path());
    let is_record = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "msgpack");
    let mut files = fs::read_dir(&records).unwrap().map(|file| file.unwrap().path());
    let file = files.find(is_record).unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let whole = json(&run(&["demo", "--json"]));
    for arguments in [&["log", "--records", &records][..], &["replay", &records, "--against", &configuration]] {
        let output = run(arguments);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("was cut off"), "{arguments:?}");
    }
    let kept = events(&["log", "--records", &records]).len() as u64;
    assert!(kept + 1 >= whole["decisions"].as_u64().unwrap(), "one record at most");
}

#[test]
fn a_trace_and_a_folder_of_records_are_not_mistaken_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let trace = folder.path().join("trace.jsonl");
    fs::write(&trace, "{}").unwrap();
    refusal(&run(&["replay", path]), "--against <FILE>");
    refusal(&run(&["replay", trace.to_str().unwrap(), "--against", "x.toml"]), "is a file");
    fs::write(folder.path().join("x.toml"), "version = 1").unwrap();
    let configuration = folder.path().join("x.toml");
    refusal(&run(&["replay", path, "--against", configuration.to_str().unwrap()]), "there are no records");
    refusal(&run(&["log", "--records", path]), "there are no records");
}
