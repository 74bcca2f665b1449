//! A policy that fails: for one dispatch, for one key, for everybody; and one that is not pure.

use tollgate_core::{Decision, Dispatch, EvaluationFailure, Outcome, PolicyIndex, Refusal, Verdict};
use tollgate_tests::{Chain, PolicyEntry, dispatch, marked};

use crate::{Told, from_key, parsed};

/// Traps on marked dispatches.
fn trapping(on_error: &str) -> PolicyEntry {
    let on_error = format!("on_error = \"{on_error}\"");
    PolicyEntry::guest("trap-in-evaluate").called("policy").config("only_marked = true").key(&on_error)
}

/// Something good under the same name, of all four kinds.
fn good() -> PolicyEntry {
    PolicyEntry::witness().called("policy")
}

fn failure(decision: &Decision) -> Option<EvaluationFailure> {
    match decision.outcome {
        Outcome::Refuse { cause: Refusal::PolicyFailed(failure), .. } => Some(failure),
        _ => None,
    }
}

fn stood_in(decision: &Decision) -> bool {
    decision.trail.iter().all(|entry| entry.last_good)
}

/// Three marked dispatches of three keys, which is what it takes.
fn fail_for_everybody(told: &Told, marked: &Dispatch, now_ms: u64) -> Vec<Decision> {
    ["ann", "ben", "cleo"].map(|key| told.host.decide(&from_key(marked, key, now_ms))).into()
}

#[test]
fn one_key_shuts_the_door_for_nobody() {
    let told = Told::start(&Chain::new().policy(&trapping("refuse")));
    let (sane, marked) = (dispatch(&told.host), marked(&told.host));
    for _ in 0..50 {
        assert_eq!(failure(&told.host.decide(&marked)), Some(EvaluationFailure::Trapped));
    }
    assert_eq!(told.host.decide(&sane).outcome.word(), "proceed");
    assert!(told.events().iter().all(|event| event == "policy failed"));
}

#[test]
fn without_an_earlier_version_a_quarantined_policy_refuses_and_comes_back() {
    let told = Told::start(&Chain::new().policy(&trapping("refuse")));
    let (sane, marked) = (dispatch(&told.host), marked(&told.host));
    let start = sane.now_ms;
    fail_for_everybody(&told, &marked, start);
    assert_eq!(told.events(), ["policy failed", "policy failed", "policy failed", "policy shut 1"]);
    let quarantine = told.host.status().running.policies[0].service.quarantine.expect("it is shut");
    assert_eq!(quarantine.until_ms, start + 30_000);

    let at = |after_ms: u64| told.host.decide(&from_key(&sane, "dan", start + after_ms));
    assert_eq!(failure(&at(29_999)), Some(EvaluationFailure::Quarantined));
    assert_eq!(at(30_000).outcome.word(), "proceed");
    assert_eq!(told.events(), ["policy returned"]);

    fail_for_everybody(&told, &marked, start + 31_000);
    assert_eq!(told.events().last().map(String::as_str), Some("policy shut 2"));
    assert_eq!(failure(&at(31_000 + 59_999)), Some(EvaluationFailure::Quarantined), "twice as long");
    assert_eq!(at(31_000 + 60_000).outcome.word(), "proceed");
    assert_eq!(told.events(), ["policy returned"], "what is not asked does not fail");
}

#[test]
fn in_quarantine_a_policy_that_may_be_passed_over_is() {
    let told = Told::start(&Chain::new().policy(&trapping("proceed")));
    let (sane, marked) = (dispatch(&told.host), marked(&told.host));
    fail_for_everybody(&told, &marked, sane.now_ms);
    let decision = told.host.decide(&sane);
    assert_eq!(decision.outcome.word(), "proceed");
    let quarantined = |verdict| matches!(verdict, Verdict::Failed(EvaluationFailure::Quarantined, _));
    assert!(decision.trail.iter().all(|entry| quarantined(entry.verdict)), "the trail says so");
}

#[test]
fn the_last_good_version_stands_in_during_quarantine() {
    let told = Told::start(&Chain::new().policy(&good()));
    told.reload(&Chain::new().policy(&trapping("refuse"))).expect("unmarked, it behaves");
    let (sane, marked) = (dispatch(&told.host), marked(&told.host));
    let now_ms = sane.now_ms;
    let failed = fail_for_everybody(&told, &marked, now_ms);
    assert!(failed.iter().all(|decision| failure(decision) == Some(EvaluationFailure::Trapped)), "until then");
    let decision = told.host.decide(&from_key(&marked, "dan", now_ms));
    assert_eq!(decision.outcome.word(), "proceed");
    assert!(stood_in(&decision));
    assert_eq!(
        decision.trail.iter().map(|entry| entry.verdict.word()).collect::<Vec<_>>(),
        ["proceed", "raise-floor", "use-candidate", "proceed"]
    );
    assert!(!stood_in(&told.host.decide(&from_key(&sane, "dan", now_ms + 30_000))), "it is asked again");
}

#[test]
fn with_last_good_a_single_failure_is_stood_in_for() {
    let told = Told::start(&Chain::new().policy(&trapping("last-good")));
    let marked = marked(&told.host);
    assert_eq!(failure(&told.host.decide(&marked)), Some(EvaluationFailure::Trapped), "there is no earlier one");
    let told = Told::start(&Chain::new().policy(&good()));
    told.reload(&Chain::new().policy(&trapping("last-good"))).expect("unmarked, it behaves");
    let decision = told.host.decide(&marked);
    assert_eq!((decision.outcome.word(), stood_in(&decision)), ("proceed", true));
    assert!(told.events().contains(&"policy failed".to_owned()), "it is told all the same");
    assert!(!stood_in(&told.host.decide(&dispatch(&told.host))));
}

#[test]
fn a_reload_lets_nobody_out_of_quarantine() {
    let chain = Chain::new().policy(&trapping("refuse"));
    let told = Told::start(&chain);
    let (sane, marked) = (dispatch(&told.host), marked(&told.host));
    fail_for_everybody(&told, &marked, sane.now_ms);
    told.reload(&chain.clone().policy(&PolicyEntry::witness())).expect("it loads");
    assert_eq!(failure(&told.host.decide(&sane)), Some(EvaluationFailure::Quarantined));
    // What is in quarantine is nobody's last good version.
    told.reload(&Chain::new().policy(&good())).expect("it loads");
    assert_eq!(told.host.status().running.policies[0].last_good, None);
    assert_eq!(told.host.decide(&sane).outcome.word(), "proceed");
}

#[test]
fn a_policy_with_a_memory_is_found_out_in_service() {
    let impure = PolicyEntry::guest("hidden-state").called("policy").config("only_marked = true");
    let mut configuration = parsed(&Chain::new().policy(&impure).policy(&PolicyEntry::witness()));
    configuration.purity.every = 3;
    let told = Told::start(&Chain::new());
    told.host.reload(&configuration, tollgate_runtime::Cause::Start).expect("unmarked, it is pure");
    let marked = marked(&told.host);
    told.events();
    let _ = told.host.decide(&dispatch(&told.host));
    // The first sets the pace. On the fourth, its third marked one, it says to proceed, as on the first; on the seventh
    // to slow down, as no fresh instance does.
    for _ in 0..5 {
        assert_eq!(told.host.decide(&marked).trail.iter().filter(|entry| entry.policy == PolicyIndex(0)).count(), 1);
    }
    told.host.catch_up();
    let expected: [&str; 0] = [];
    assert_eq!(told.events(), expected);
    let _ = told.host.decide(&marked);
    told.host.catch_up();
    assert_eq!(told.events(), ["policy said slow, then proceed", "policy shut 1"]);
    assert_eq!(failure(&told.host.decide(&marked)), Some(EvaluationFailure::Quarantined));
    assert_eq!(told.host.status().purity.checked, 2);
}
