//! `tollgate init` and `tollgate serve --check` as their users run them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tollgate_tests::{plugins_folder, tollgate};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(tollgate());
    command.current_dir(folder).env("TOLLGATE_PLUGINS", plugins_folder()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_init_writes_has_nothing_to_mend_and_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &["init"]).status.success());
    let file = folder.path().join("tollgate.toml");
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(written.matches("mode = \"shadow\"\n").count(), 4);
    let checked = run(folder.path(), &["serve", "--check", "--config", "tollgate.toml"]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    assert!(text(&checked.stdout).contains("nothing to mend"), "{}", text(&checked.stdout));
    assert!(!folder.path().join(".tollgate").exists(), "nothing is opened");
    fs::write(&file, "mine").unwrap();
    let again = run(folder.path(), &["init"]);
    assert!(!again.status.success() && text(&again.stderr).contains("is not written over"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = r#"version = 1
[tls]
certificate = "gone.pem"
key = "gone.key"
[[model]]
name = "gpt-5.2"
tier = "best"
[[model]]
name = "nobody-sells-it"
tier = "low"
[[backend]]
name = "one"
api = "openai"
url = "ftp://x"
models = ["gpt-5.2", "nobody-sells-it"]
[[backend]]
name = "two"
api = "openai"
url = "http://127.0.0.1:1/v1"
key_env = "TOLLGATE_NO_SUCH_VARIABLE"
models = ["gone"]
[[policy]]
name = "no-such-plugin"
[[policy]]
name = "kill-switch"
config = { colour = "red" }
"#;
    fs::write(folder.path().join("wrong.toml"), wrong).unwrap();
    let checked = run(folder.path(), &["serve", "--check", "--json", "--config", "wrong.toml"]);
    assert!(!checked.status.success());
    let document: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let told = |list: &str| -> Vec<(u64, String)> {
        let members = document[list].as_array().unwrap().iter();
        members.map(|told| (told["line"].as_u64().unwrap(), told["message"].as_str().unwrap().to_owned())).collect()
    };
    for (line, says) in [
        (2, "gone.pem"),
        (7, "unknown variant `best`"),
        (12, "`ftp://x` is not"),
        (17, "`$TOLLGATE_NO_SUCH_VARIABLE`, which is not set"),
        (21, "serves `gone`"),
        (23, "no-such-plugin"),
        (25, "colour"),
    ] {
        let found = told("mistakes").iter().any(|(at, message)| *at == line && message.contains(says));
        assert!(found, "line {line}: {says}\n{:#?}", told("mistakes"));
    }
    assert_eq!(told("mistakes").len(), 7, "{:#?}", told("mistakes"));
    assert!(told("warnings").iter().any(|(line, told)| *line == 9 && told.contains("has no price")));
    assert!(text(&checked.stderr).contains("7 mistakes in wrong.toml"), "{}", text(&checked.stderr));
}
