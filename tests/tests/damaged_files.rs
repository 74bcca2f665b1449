//! Files that are not, or not quite, a policy: refused with one clear line, or a policy that still keeps to its
//! bounds. Never a panic, never a host that is gone.

use std::fs::{self, File};
use std::path::Path;

use tollgate_core::Decision;
use tollgate_runtime::{GenerationError, Host, HostError, LoadError};
use tollgate_tests::{Chain, PolicyEntry, dispatch, guest};

/// A damaged guest may loop at any point of its life; this is enough for one that is whole.
const LITTLE_FUEL: &str = "configure_fuel = 20_000_000";

fn load(file: &Path) -> Result<Host, HostError> {
    // The damaged policy stands second, so that the one before it has to be there all the same.
    let damaged = PolicyEntry::file("damaged", file).config("as = \"witness\"");
    Chain::new().limit(LITTLE_FUEL).policy(&PolicyEntry::witness()).policy(&damaged).host()
}

/// A refusal in one line, or a chain in which the other policy says what it always says. Whether it was refused.
fn refused_or_alive(file: &Path, what: &str) -> bool {
    let loaded = load(file);
    let refused = loaded.is_err();
    match loaded {
        Ok(host) => {
            let decision = host.decide(&dispatch(&host));
            assert_eq!(witness(&decision).as_deref(), Some(&["proceed"][..]), "{what}");
        }
        Err(error) => assert_one_line(&error, what),
    }
    refused
}

/// What the witness says as a kill switch: all kinds after it may have been cut short by the damaged policy.
fn witness(decision: &Decision) -> Option<Vec<&'static str>> {
    let first = decision.trail.first()?;
    Some(vec![first.verdict.word()])
}

fn assert_one_line(error: &HostError, what: &str) {
    let message = error.to_string();
    assert!(message.starts_with("policy `damaged`: "), "{what}: {message}");
    assert!(!message.contains(char::is_control), "{what} is refused with more than a line: {message:?}");
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
fn is_refused(file: &Path, reason: &str) {
    let Err(error) = load(file) else { panic!("loaded, and not refused for {reason:?}") };
    assert_one_line(&error, reason);
    assert!(error.to_string().contains(reason), "{error} does not contain {reason:?}");
}

#[test]
fn truncated_files_are_refused_or_still_behave() {
    let whole = fs::read(guest("witness")).expect("the witness is built");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("damaged.wasm");
    for step in 0..64 {
        let length = whole.len() * step / 64;
        fs::write(&file, &whole[..length]).expect("a writable folder");
        refused_or_alive(&file, &format!("cut after {length} of {} bytes", whole.len()));
    }
}

#[test]
fn flipped_bits_are_refused_or_still_behave() {
    let whole = fs::read(guest("witness")).expect("the witness is built");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("damaged.wasm");
    let (mut refused, flips) = (0, 256);
    for flip in 0..flips {
        // Evenly over the file; 5 has no factor in common with 8, so all bits of a byte get their turn.
        let (place, bit) = (whole.len() * flip / flips, flip * 5 % 8);
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << bit;
        fs::write(&file, &bytes).expect("a writable folder");
        refused += usize::from(refused_or_alive(&file, &format!("bit {bit} of byte {place} flipped")));
    }
    assert!(refused > flips / 8, "only {refused} of {flips} flips were noticed: is the whole file read?");
}

#[test]
fn empty_file_is_not_wasm() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("empty.wasm");
    fs::write(&file, b"").expect("a writable folder");
    is_refused(&file, "it is not a WebAssembly file");
}

#[test]
fn text_is_not_wasm() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("script.wasm");
    fs::write(&file, b"#!/bin/sh\nexit 0\n").expect("a writable folder");
    is_refused(&file, "it is not a WebAssembly file");
}

#[test]
fn core_module_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("module.wasm");
    fs::write(&file, b"\0asm\x01\0\0\0").expect("a writable folder");
    is_refused(&file, "it is a core WebAssembly module, not a component");
}

#[test]
fn empty_component_is_not_a_policy() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("component.wasm");
    fs::write(&file, b"\0asm\x0d\0\x01\0").expect("a writable folder");
    is_refused(&file, "it does not export `tollgate:policy/plugin`");
}

#[test]
fn file_of_more_than_64_mebibytes_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("large.wasm");
    File::create(&file).and_then(|file| file.set_len((64 << 20) + 1)).expect("a writable folder");
    is_refused(&file, "it has 67108865 bytes, and a plugin has at most 67108864");
}

#[test]
fn folder_is_not_a_file() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    is_refused(&folder.path().join("."), "cannot read");
}

#[test]
fn missing_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    is_refused(&folder.path().join("gone.wasm"), "gone.wasm");
}

#[test]
fn plugin_that_is_nowhere_is_told_with_the_places() {
    let chain = Chain::new().policy(&PolicyEntry::shipped("no-such-plugin"));
    let Err(error) = chain.host() else { panic!("there is no such plugin") };
    let message = error.to_string();
    assert!(message.contains("no plugin `no-such-plugin`: looked for `"), "{message}");
}

#[test]
fn other_file_than_the_pinned_one_is_refused() {
    let pinned = format!("digest = \"sha256:{}\"", "0".repeat(64));
    let Err(HostError::Generation(GenerationError::Policy { source, .. })) =
        Chain::new().policy(&PolicyEntry::witness().key(&pinned)).host()
    else {
        panic!("another file was loaded")
    };
    let LoadError::OtherFile { actual, .. } = *source else { panic!("refused for something else: {source}") };

    let pinned = format!("digest = \"{actual}\"");
    assert!(Chain::new().policy(&PolicyEntry::witness().key(&pinned)).host().is_ok(), "pinned as it is");
    let Err(error) = Chain::new().policy(&PolicyEntry::witness().key("digest = \"sha256:12\"")).host() else {
        panic!("that is no digest")
    };
    assert!(error.to_string().contains("`sha256:12` is no digest"), "{error}");
}
