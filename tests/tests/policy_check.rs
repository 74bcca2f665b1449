//! `tollgate policy check` as its users meet it: a program with an exit status and standard streams.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tollgate_tests::{guests_folder, plugins_folder, tollgate};

fn check(file: &Path) -> Output {
    // Another folder, so that no configuration of the checkout is found.
    let nowhere = tempfile::tempdir().expect("a folder for temporary files");
    let mut command = Command::new(tollgate());
    command.args(["policy", "check"]).arg(file).current_dir(nowhere.path());
    command.output().expect("`cargo xtask test` builds the program")
}

/// Status not 0, and one line on standard error that begins as an error does.
fn is_refused(file: &Path) {
    let Output { status, stderr, .. } = check(file);
    let told = String::from_utf8(stderr).expect("an error is text");
    assert_eq!(status.code().map(|code| code == 0), Some(false), "{}: {told}", file.display());
    assert_eq!(told.trim_end().lines().count(), 1, "{}: not one line: {told}", file.display());
    assert!(!told.trim_end().contains(char::is_control), "{}: {told:?}", file.display());
    assert!(!told.contains("panicked at"), "{}: {told}", file.display());
}

fn components(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("`cargo xtask test` builds the components");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}

/// Guests that harm nobody: what they lend is not taken, or is written anew for each call.
const HARMLESS: [&str; 5] =
    ["lends-another-layout", "lends-one-kind", "lends-outside", "lends-rows-outside", "lent-scribbler"];

fn is_harmless(guest: &Path) -> bool {
    HARMLESS.iter().any(|name| guest.file_stem().is_some_and(|stem| stem == *name))
}

#[test]
fn every_hostile_guest_is_refused_in_one_line() {
    let guests = components(&guests_folder());
    assert!(!guests.is_empty());
    guests.iter().filter(|guest| !is_harmless(guest)).for_each(|guest| is_refused(guest));
}

#[test]
fn a_guest_that_lends_badly_is_told_how_it_is_called() {
    for name in HARMLESS {
        let Output { status, stdout, stderr } = check(&tollgate_tests::guest(name));
        assert!(status.success(), "{name}: {}", String::from_utf8_lossy(&stderr));
        let told = String::from_utf8(stdout).expect("a report is text");
        let lane = told.lines().find(|line| line.starts_with("lane ")).unwrap_or_default();
        let expected = if name == "lent-scribbler" { "lent facts" } else { "canonical ABI (" };
        assert!(lane.contains(expected), "{name}: {lane:?}");
    }
}

#[test]
fn what_is_no_component_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("damaged.wasm");
    let whole = std::fs::read(tollgate_tests::guest("witness")).expect("the witness is built");
    for bytes in [&b""[..], b"#!/bin/sh\n", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0", &whole[..whole.len() / 2]] {
        std::fs::write(&file, bytes).expect("a writable folder");
        is_refused(&file);
    }
    is_refused(&folder.path().join("missing.wasm"));
}

#[test]
fn shipped_policies_pass() {
    for name in ["kill-switch", "retry-ceiling", "routing", "budget"] {
        let output = check(&plugins_folder().join(format!("{name}.wasm")));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
