//! `tollgate keys` as its users run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tollgate_tests::tollgate;

fn keys(data: &Path, arguments: &[&str]) -> Output {
    Command::new(tollgate()).arg("keys").args(arguments).arg("--data").arg(data).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_secret_is_printed_once_and_alone() {
    let data = tempfile::tempdir().unwrap();
    let made = keys(data.path(), &["create", "ci", "--scope", "team=red", "--may", "claim,verify"]);
    let secret = text(&made.stdout).trim().to_owned();
    assert!(made.status.success() && secret.starts_with("tg_") && secret.len() == 67, "{}", text(&made.stderr));
    let listed = keys(data.path(), &["list"]);
    assert!(text(&listed.stdout).contains("team=red") && text(&listed.stdout).contains("claim, verify"));
    let rotated = keys(data.path(), &["rotate", "ci", "--overlap", "1h", "--json"]);
    let next: Value = serde_json::from_slice(&rotated.stdout).unwrap();
    assert_ne!(next["secret"], secret.as_str());
    let listed: Value = serde_json::from_slice(&keys(data.path(), &["list", "--json"]).stdout).unwrap();
    assert_eq!(listed["keys"][0]["secrets"].as_array().map(Vec::len), Some(2));
    assert!(!fs::read_to_string(data.path().join("keys.json")).unwrap().contains(&secret[3..]));
    assert!(text(&keys(data.path(), &["revoke", "ci"]).stdout).contains("is revoked"));
    assert!(text(&keys(data.path(), &["revoke", "ci"]).stdout).contains("was revoked before"));
}

#[test]
fn a_mistake_is_one_line_that_says_what_to_write() {
    let data = tempfile::tempdir().unwrap();
    assert!(keys(data.path(), &["create", "ci"]).status.success());
    for (arguments, says) in [
        (&["create", "ci"][..], "call the new one something else"),
        (&["create", "x", "--scope", "red"], "write `kind=name`"),
        (&["create", "x", "--may", "fly"], "use claim, override-tier or verify"),
        (&["create", "x", "--new-runs-per-minute", "0"], "say at least 1"),
        (&["rotate", "cd"], "`tollgate keys list`"),
    ] {
        let said = keys(data.path(), arguments);
        assert!(!said.status.success() && text(&said.stderr).contains(says), "{arguments:?}: {}", text(&said.stderr));
    }
}

#[test]
fn what_others_can_reach_takes_keys() {
    let data = tempfile::tempdir().unwrap();
    // It cannot be listened on: that the address is allowed is told by the next mistake.
    let serve = || {
        let serve =
            Command::new(tollgate()).args(["serve", "--listen", "192.0.2.1:1", "--data"]).arg(data.path()).output();
        text(&serve.unwrap().stderr)
    };
    assert!(serve().contains("tollgate keys create"), "{}", serve());
    assert!(keys(data.path(), &["create", "ci"]).status.success());
    assert!(serve().contains("cannot listen on 192.0.2.1:1"), "{}", serve());
}
