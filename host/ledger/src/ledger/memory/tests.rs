use std::path::Path as FilePath;
use std::sync::Arc;

use tollgate_core::config::AttemptRules;
use tollgate_core::{
    Attempts, Candidate, CounterBy, CounterEvent, CounterRule, Dimension, Dispatch, Failure, Health, History, Hosting,
    Memory, Nanodollars, Reference, Report, ScopeKind, Status, Symbols, Tier,
};

use crate::ledger::tests::{TEAM, open, post, reserve};
use crate::store::{Archive, Sqlite};
use crate::{DATABASE, Ledger};

fn candidate(symbols: &Symbols) -> Candidate {
    Candidate {
        model: symbols.lookup("opus"),
        backend: symbols.lookup("home"),
        tier: Tier::Low,
        health: Health::Healthy,
        hosting: Hosting::Remote,
        warm: false,
        free_slots: 1,
        estimated_cost: Nanodollars::ZERO,
    }
}

/// A host of its own: the same names have other numbers in it.
fn remembering(folder: &FilePath, names: [&str; 4]) -> (Ledger, Arc<Symbols>) {
    let symbols = Arc::new(Symbols::new());
    names.iter().for_each(|name| assert!(symbols.intern(name).is_ok()));
    let counter = CounterRule {
        name: symbols.lookup("refused"),
        event: CounterEvent::Refusal,
        by: CounterBy::Scope(ScopeKind::Team),
        window_seconds: 3_600,
    };
    let history = History::new(AttemptRules::default(), vec![counter], 100);
    (open(folder).remembering(history, Arc::clone(&symbols), 1_000).unwrap(), symbols)
}

#[test]
fn attempts_rates_counters_routes_and_percentiles_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let names = [(TEAM, "red"), (Dimension::Scope(ScopeKind::Run), "7")];
    let facts = |ledger: &Ledger, symbols: &Symbols, now_ms| {
        let path = ledger.path(&names).unwrap();
        let mut dispatch = Dispatch {
            now_ms,
            task: Some(Reference::of("7/5463")),
            task_type: symbols.lookup("coding"),
            scopes: *path.scopes(),
            candidates: vec![candidate(symbols)],
            ..Dispatch::default()
        };
        ledger.inform(&mut dispatch, &path).unwrap();
        dispatch
    };
    let (ledger, symbols) = remembering(folder.path(), ["coding", "opus", "home", "refused"]);
    reserve(&ledger, 1, &names, Nanodollars::new(600)).unwrap();
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    let seen = facts(&ledger, &symbols, 2);
    let report = |status| Report {
        task: Reference::of("7/5463"),
        scopes: seen.scopes,
        task_type: symbols.lookup("coding"),
        started_ms: 1,
        ended_ms: 3,
        tier: Some(Tier::Low),
        status,
        context: Some(7),
        proposal: None,
        productive: None,
    };
    ledger.outcome(&report(Status::Failed(Failure::Timeout)));
    ledger.outcome(&report(Status::Failed(Failure::Timeout)));
    ledger.outcome(&report(Status::Unreported));
    ledger.count_decision(&seen, true);
    ledger.remember_route(&seen, &seen.candidates[0]);
    ledger.finish_run(Reference::of("7"));
    reserve(&ledger, 2, &names, Nanodollars::new(20)).unwrap();
    post(&ledger, 2, Nanodollars::new(10)).unwrap();
    ledger.outcome(&report(Status::Unreported));
    let before = facts(&ledger, &symbols, 5);
    assert_eq!((before.attempts.failed, before.attempts.repetitions), (2, 2));
    assert_eq!((before.spending.run_cost.as_u64(), before.spending.finished_runs, before.sticky), (510, 1, Some(0)));
    drop(ledger);

    let (ledger, symbols) = remembering(folder.path(), ["refused", "coding", "home", "opus"]);
    let after = facts(&ledger, &symbols, 5);
    assert_eq!(after.attempts, before.attempts);
    assert_eq!(after.spending, before.spending);
    assert_eq!((after.sticky, after.candidates[0].warm), (before.sticky, true));
    assert_eq!(after.counters, [(symbols.lookup("refused"), 1)]);
    ledger.finish_run(Reference::of("7"));
    let finished = facts(&ledger, &symbols, 6).spending;
    assert_eq!((finished.finished_runs, finished.task_type_p95.as_u64()), (2, 500), "the run went on where it was");
    // It succeeds: nothing is held against it any more, in storage neither.
    ledger.outcome(&report(Status::Succeeded));
    drop(ledger);
    let (ledger, symbols) = remembering(folder.path(), ["coding", "opus", "home", "refused"]);
    assert_eq!(facts(&ledger, &symbols, 7).attempts, Attempts::default());
    assert_eq!(facts(&ledger, &symbols, 7).spending.finished_runs, 2);
    drop(ledger);
    let tasks = Archive::remembered(&mut Sqlite::open(&folder.path().join(DATABASE)).unwrap(), Memory::Task).unwrap();
    assert_eq!(tasks, []);
}

#[test]
fn what_was_untouched_for_a_season_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let remember = |now_ms| {
        let history = History::new(AttemptRules::default(), Vec::new(), 100);
        open(folder.path()).remembering(history, Arc::new(Symbols::new()), now_ms).unwrap()
    };
    let rates = || Archive::remembered(&mut Sqlite::open(&folder.path().join(DATABASE)).unwrap(), Memory::Rate);
    let ledger = remember(0);
    reserve(&ledger, 1, &[(TEAM, "red")], Nanodollars::new(600)).unwrap();
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    drop(ledger);
    assert_eq!(rates().unwrap().len(), 1);
    drop(remember(91 * 24 * 3_600_000));
    assert_eq!(rates().unwrap(), []);
}
