//! Guests that are turned away before they serve: with one clear line, and without harm to who tried.

use tollgate_tests::{Chain, PolicyEntry, dispatch};

/// The longest line that still is one message.
const LONGEST_MESSAGE: usize = 1_000;

/// Loaded as `tollgate policy check` does, with no configuration, it is refused for the stated reason.
pub(crate) fn is_refused(guest: &str, reason: &str) {
    within(guest, &[], reason);
}

/// The same, with limits other than the defaults.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub(crate) fn within(guest: &str, limits: &[&str], reason: &str) {
    let chain = limits.iter().fold(Chain::new(), |chain, limit| chain.limit(limit));
    let alone = chain.policy(&PolicyEntry::guest(guest)).host();
    let Err(error) = alone else { panic!("`{guest}` was loaded") };
    let message = error.to_string();
    assert!(message.starts_with(&format!("policy `{guest}`: ")), "{message:?} does not say whose mistake it is");
    assert!(message.contains(reason), "{message:?} does not contain {reason:?}");
    assert!(!message.contains(char::is_control), "not one line: {message:?}");
    assert!(message.len() <= LONGEST_MESSAGE, "{} bytes are no message: {message:.200}…", message.len());

    // Whoever was refused leaves nothing behind.
    let witness = Chain::new().policy(&PolicyEntry::witness()).host().expect("the witness loads");
    assert_eq!(witness.decide(&dispatch(&witness)).outcome.word(), "proceed");
}
