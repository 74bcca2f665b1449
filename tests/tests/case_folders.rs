//! A case that is not whole is a failure, not a case less.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tollgate_tests::{Case, CaseError};

const WHOLE: [(&str, &str); 3] = [
    ("tollgate.toml", "version = 1\n"),
    ("dispatch.json", "{}"),
    ("expect.json", r#"{ "because": "there is no candidate", "outcome": "refuse", "reason": "no-candidate" }"#),
];

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a writable folder");
    }
    folder
}

fn with(name: &str, text: &str) -> TempDir {
    let folder = folder(&WHOLE);
    fs::write(folder.path().join(name), text).expect("a writable folder");
    folder
}

fn run(folder: &Path) -> Result<(), CaseError> {
    Case::read(folder)?.run()
}

#[test]
fn whole_case_passes_and_another_decision_does_not() {
    assert!(run(folder(&WHOLE).path()).is_ok());
    let other = with("expect.json", r#"{ "because": "it is wrong", "outcome": "proceed" }"#);
    assert!(matches!(run(other.path()), Err(CaseError::Decided { .. })));
}

#[test]
fn empty_folder_fails() {
    assert!(matches!(run(folder(&[]).path()), Err(CaseError::Read { .. })));
}

#[test]
fn missing_file_fails() {
    for (missing, _) in WHOLE {
        let files: Vec<_> = WHOLE.into_iter().filter(|(name, _)| *name != missing).collect();
        assert!(run(folder(&files).path()).is_err(), "without `{missing}`");
    }
}

#[test]
fn unknown_field_or_file_fails() {
    let said = r#"{ "because": "it is wrong", "outcome": "refuse", "colour": "red" }"#;
    for (name, text) in [
        ("tollgate.toml", "version = 1\ncolour = \"red\"\n"),
        ("dispatch.json", r#"{ "colour": "red" }"#),
        ("expect.json", said),
        ("switches.json", r#"[{ "colour": "red" }]"#),
        ("notes.txt", "it is red"),
    ] {
        assert!(run(with(name, text).path()).is_err(), "`{name}` with {text}");
    }
}
