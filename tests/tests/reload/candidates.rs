//! Candidates beside what runs: what is counted, what is shown, how they end.

use tollgate_core::{Configuration, Nanodollars};
use tollgate_runtime::{Cause, PromotionError};
use tollgate_tests::{Chain, PolicyEntry, dispatch, marked};

use crate::{Told, number, numbered, parsed};

fn propose(told: &Told, configuration: &Configuration) -> u64 {
    told.host.propose(configuration, Cause::Request("a test".to_owned())).expect("it loads")
}

#[test]
fn a_candidate_changes_nothing_and_is_compared() {
    let told = Told::start(&Chain::new());
    let (cheap, dear) = (dispatch(&told.host), marked(&told.host));
    // The host takes the cheapest candidate, the witness the dearest; and it refuses after five failures.
    let id = propose(&told, &parsed(&Chain::new().policy(&PolicyEntry::witness())));
    let mut refused = dear.clone();
    refused.attempts.failed = 5;
    for _ in 0..20 {
        assert_eq!(told.host.decide(&cheap).generation, 1);
        assert_eq!(told.host.decide(&refused).outcome.word(), "proceed");
    }
    let report = told.host.candidate().expect("it is under way");
    assert_eq!((report.generation, report.compared, report.agreed, report.lost), (id, 40, 0, 0));
    let cents = |cents: u64| Nanodollars::new(cents * 10_000_000);
    assert_eq!((report.live_cost, report.candidate_cost), (cents(40 * 10), cents(20 * 200)));
    assert_eq!((report.live.evaluations, report.candidate.evaluations), (0, 20 * 4 + 20 * 2));
    assert_eq!(report.candidate.failures, 0);
    assert!(report.candidate.p50_ns > 0 && report.candidate.p50_ns <= report.candidate.p99_ns);
    assert_eq!(report.differences.len(), 32);
    let shown = report.differences.iter().find(|difference| difference.candidate.outcome == "refuse");
    let shown = shown.expect("half of them are refused");
    assert_eq!(shown.live.to, Some(("small".to_owned(), "cloud".to_owned())));
    assert_eq!(shown.candidate.because.as_ref().map(|(by, _)| by.as_str()), Some("witness"));
    assert_eq!(shown.candidate.verdicts.iter().map(|said| said.verdict).collect::<Vec<_>>(), ["proceed", "refuse"]);
    assert_eq!(told.events(), [format!("candidate {id} beside 1")]);
}

#[test]
fn a_candidate_is_promoted_or_discarded_on_command() {
    let told = Told::start(&numbered(1));
    let dispatch = dispatch(&told.host);
    assert_eq!(told.host.promote("alice"), Err(PromotionError::NoCandidate));
    assert!(told.host.discard("alice").is_none());
    propose(&told, &parsed(&numbered(2)));
    assert_eq!(number(&told.host.decide(&dispatch)), 1);
    assert!(told.host.discard("alice").is_some());
    assert!(told.host.candidate().is_none());
    let id = propose(&told, &parsed(&numbered(3)));
    assert_eq!(told.host.promote("alice"), Ok(id));
    let decision = told.host.decide(&dispatch);
    assert_eq!((number(&decision), decision.generation), (3, id));
    assert!(told.host.candidate().is_none());
    assert_eq!(told.host.roll_back("alice"), Ok(1));
    assert_eq!(
        told.events(),
        [
            "candidate 2 beside 1",
            "candidate 2 discarded: discarded by alice",
            "candidate 3 beside 1",
            "3 after 1: promotion by alice",
            "1 after 3: rollback by alice",
        ]
    );
}

#[test]
fn what_takes_over_ends_the_comparison() {
    let told = Told::start(&numbered(1));
    propose(&told, &parsed(&numbered(2)));
    told.reload(&numbered(3)).expect("it loads");
    assert!(told.host.candidate().is_none());
    assert_eq!(told.events()[1], "candidate 2 discarded: another generation serves than the one it was compared with");
}

#[test]
fn one_that_agrees_for_long_enough_is_promoted_by_itself() {
    let told = Told::start(&numbered(1));
    let dispatch = dispatch(&told.host);
    let mut configuration = parsed(&numbered(1).policy(&PolicyEntry::witness()));
    configuration.candidate.promote_after = Some(10);
    let id = propose(&told, &configuration);
    for _ in 0..9 {
        assert_eq!(told.host.decide(&dispatch).generation, 1);
    }
    assert_eq!(told.host.candidate().expect("not yet").agreed, 9);
    let _ = told.host.decide(&dispatch);
    told.host.catch_up();
    assert_eq!(told.host.decide(&dispatch).generation, id);
    assert_eq!(told.events()[1], format!("{id} after 1: promotion by its agreement (`candidate.promote_after`)"));
}

#[test]
fn one_that_fails_is_discarded_by_itself() {
    let told = Told::start(&Chain::new());
    let trapping = PolicyEntry::guest("trap-in-evaluate").config("only_marked = true\n");
    let id = propose(&told, &parsed(&Chain::new().policy(&trapping.key("on_error = \"proceed\""))));
    let (sane, marked) = (dispatch(&told.host), marked(&told.host));
    assert_eq!(told.host.decide(&sane).outcome.word(), "proceed");
    assert_eq!(told.host.candidate().expect("under way").candidate.failures, 0);
    assert_eq!(told.host.decide(&marked).outcome.word(), "proceed");
    assert!(told.host.candidate().is_none());
    let reason = "its evaluations failed (`candidate.discard_after_failures`)";
    assert_eq!(told.events(), [format!("candidate {id} beside 1"), format!("candidate {id} discarded: {reason}")]);
}

#[test]
fn a_configuration_carries_a_candidate() {
    let told = Told::start(&numbered(1));
    let mut configuration = parsed(&numbered(2));
    let candidate = toml::from_str("config = { number = 3 }").expect("a candidate");
    configuration.policies[0].candidate = Some(candidate);
    assert_eq!(told.host.reload(&configuration, Cause::Start).expect("it loads"), 2);
    assert_eq!(number(&told.host.decide(&dispatch(&told.host))), 2);
    let report = told.host.candidate().expect("it is under way");
    assert_eq!((report.generation, report.compared, report.agreed), (3, 1, 0));

    configuration.policies[0].candidate = toml::from_str("component = \"nowhere\"").ok();
    let refused = told.host.reload(&configuration, Cause::Start).map_err(|error| error.to_string());
    let reason = refused.expect_err("there is no such plugin");
    assert!(reason.starts_with("a candidate: policy `first`: no plugin `nowhere`"), "{reason}");
    assert_eq!(told.host.candidate().map(|report| report.generation), Some(3), "what runs stays");
}

#[test]
fn one_decision_of_so_many_is_compared() {
    let told = Told::start(&numbered(1));
    let dispatch = dispatch(&told.host);
    let mut configuration = parsed(&numbered(1));
    configuration.candidate.every = 4;
    propose(&told, &configuration);
    for _ in 0..400 {
        let _ = told.host.decide(&dispatch);
    }
    let compared = told.host.candidate().expect("under way").compared;
    // Each processor that this thread was on keeps a pace of its own, and the first four set it.
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert!((99 - 2 * processors..100).contains(&compared), "{compared} of 400, one in four");
}
