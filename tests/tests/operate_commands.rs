//! The commands for a running gateway, as operators meet them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tollgate_tests::tollgate;

/// `tollgate serve` on ports of its own, with a ledger of its own; ended when it is dropped.
struct Serving {
    process: Child,
    data: tempfile::TempDir,
}

impl Serving {
    fn begin() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut process = Command::new(tollgate())
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", text(data.path())])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("token")), "it begins");
        Self { process, data }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(tollgate()).args(arguments).args(["--data", text(self.data.path())]).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command prints for people.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str], words: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.lines().count() == 1 && said.contains(words), "{arguments:?}: {said}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_running_gateway_is_looked_at_and_run_by_command() {
    let serving = Serving::begin();
    let status = serving.json(&["status"]);
    assert_eq!(status["generation"]["id"], 1);
    let said = serving.said(&["status"]);
    assert!(said.contains("kill-switch") && said.contains("healthy"), "{said}");
    assert!(serving.said(&["generations"]).contains("1 (decides)"));
    serving.refused(&["rollback"], "no earlier generation is kept");
    serving.refused(&["reload"], "`tollgate serve --config` names one");
    serving.refused(&["promote"], "no candidate is under way");
    assert!(serving.said(&["candidate"]).contains("no candidate"));
    let set = ["budgets", "set", "run", "--limit", "20.00 USD", "--reason", "a longer run"];
    assert!(serving.said(&set).contains("`run` allows 20.00 USD from now on, and never more than 22.00 USD"));
    assert_eq!(serving.json(&["budgets", "--budget", "run"])["budgets"][0]["limit"], "20.00 USD");
    serving.refused(&["budgets", "--budget", "no such"], "no budget `no such`");
    assert!(serving.said(&["approvals"]).contains("nothing waits"));
    serving.refused(&["approvals", "approve", "ap-0", "--for", "2h", "--reason", "x"], "no approval `ap-0`");
    serving.refused(&["approvals", "deny", "a/b", "--reason", "x"], "no approval `a/b`");
    serving.said(&["kill", "--scope", "team=red"]);
    let entries = serving.json(&["audit"])["entries"].clone();
    let actions: Vec<&Value> = entries.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["budget.limit", "switch.engage"]);
    assert!(serving.said(&["audit", "--last", "1"]).contains("switch.engage"));
}

#[test]
fn a_viewers_token_opens_the_door_to_look_through_and_no_further() {
    let serving = Serving::begin();
    let token = serving.said(&["tokens", "create", "ada", "--role", "viewer"]);
    assert!(serving.said(&["tokens", "list"]).contains("viewer"));
    let admin: Value =
        serde_json::from_str(&std::fs::read_to_string(serving.data.path().join("admin.json")).unwrap()).unwrap();
    let address = admin["address"].as_str().unwrap();
    let as_ada = |arguments: &[&str]| {
        let mut command = Command::new(tollgate());
        command.args(arguments).args(["--admin", address]).env("TOLLGATE_ADMIN_TOKEN", token.trim());
        command.output().unwrap()
    };
    assert!(as_ada(&["status"]).status.success());
    let refused = as_ada(&["kill", "--everything"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("token of a viewer, and this takes operator"), "{said}");
    serving.said(&["tokens", "revoke", "ada"]);
    assert!(!as_ada(&["status"]).status.success());
}

#[test]
fn a_token_is_made_before_there_is_a_gateway() {
    let data = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(tollgate()).args(arguments).args(["--data", text(data.path())]).output().unwrap()
    };
    let made = run(&["tokens", "create", "ci", "--role", "operator"]);
    assert!(made.status.success() && String::from_utf8_lossy(&made.stdout).starts_with("tga_"));
    let listed: Value = serde_json::from_slice(&run(&["tokens", "list", "--json"]).stdout).unwrap();
    assert_eq!((&listed["tokens"][0]["name"], &listed["tokens"][0]["role"]), (&"ci".into(), &"operator".into()));
    assert!(!run(&["tokens", "create", "x", "--role", "king"]).status.success());
    assert!(!run(&["status"]).status.success());
}
