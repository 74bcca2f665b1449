//! Taking over in one step, keeping what runs when something is wrong, going back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tollgate_core::{PolicyIndex, Symbol, Symbols};
use tollgate_runtime::{Cause, ReloadError, RollbackError};
use tollgate_tests::{Chain, PolicyEntry, dispatch};

use crate::{Told, number, numbered, parsed};

#[test]
fn a_reload_takes_over_and_says_who_caused_it() {
    let told = Told::start(&numbered(10));
    let dispatch = dispatch(&told.host);
    assert_eq!(number(&told.host.decide(&dispatch)), 10);
    assert_eq!(told.reload(&numbered(20)), Ok(2));
    let decision = told.host.decide(&dispatch);
    assert_eq!((number(&decision), decision.generation), (20, 2));
    assert_eq!(told.events(), ["2 after 1: request of a test"]);
    let status = told.host.status();
    assert_eq!((status.running.id, &status.running.cause), (2, &Cause::Request("a test".to_owned())));
    assert_eq!(
        status.earlier.iter().map(|earlier| (earlier.id, &earlier.cause)).collect::<Vec<_>>(),
        [(1, &Cause::Start)]
    );
    assert!(status.running.policies[0].digest.starts_with("sha256:"));
    assert!(status.running.loaded_ms >= status.earlier[0].loaded_ms);
}

#[test]
fn a_failed_load_changes_nothing_and_gives_one_reason() {
    let told = Told::start(&numbered(10));
    let dispatch = dispatch(&told.host);
    let broken = numbered(20).policy(&PolicyEntry::guest("trap-in-configure"));
    let reason = "policy `trap-in-configure`: `configure` failed: it panicked";
    assert_eq!(told.reload(&broken), Err(reason.to_owned()));
    assert_eq!(number(&told.host.decide(&dispatch)), 10);
    assert_eq!(told.events(), [format!("failed: {reason}")]);
    assert_eq!(told.host.status().last_failure.expect("it failed").reason, reason);
    assert_eq!(told.host.status().running.id, 1);
    // Numbers are never used again, also those of what was not taken.
    assert_eq!(told.reload(&numbered(30)), Ok(3));
    assert_eq!(told.host.status().last_failure, None);
}

#[test]
fn names_of_refused_configurations_do_not_fill_the_table() {
    let told = Told::start(&numbered(10));
    let with_names = |chain: &Chain, round: usize| {
        let mut configuration = parsed(chain);
        configuration.task_types = (0..4_096).map(|number| format!("task-type-{round}-{number}")).collect();
        told.host.reload(&configuration, Cause::Request("a test".to_owned()))
    };
    let refused = Chain::new().policy(&PolicyEntry::guest("trap-in-configure"));
    for round in 0..=Symbols::MAX_NAMES / 4_096 {
        assert!(matches!(with_names(&refused, round), Err(ReloadError::Generation(_))), "round {round}");
    }
    assert_eq!(told.host.symbol("task-type-0-0"), Symbol::UNKNOWN);
    with_names(&numbered(20), 0).expect("there is room for what is taken");
    assert_ne!(told.host.symbol("task-type-0-0"), Symbol::UNKNOWN);
    assert_eq!(number(&told.host.decide(&dispatch(&told.host))), 20);
}

#[test]
fn limits_are_the_engines_and_stay() {
    let told = Told::start(&numbered(10));
    let wanted = parsed(&numbered(20).limit("fuel = 5"));
    let result = told.host.reload(&wanted, Cause::Request("a test".to_owned()));
    assert!(matches!(result, Err(ReloadError::Limit { key: "fuel", .. })));
    assert_eq!(
        told.events(),
        ["failed: `limits.fuel` cannot change while the host runs: set it back to 10000000, or restart"]
    );
}

#[test]
fn models_and_task_types_are_those_of_the_running_generation() {
    let told = Told::start(&numbered(10));
    let mut wanted = parsed(&numbered(10));
    wanted.task_types.push("migration".to_owned());
    wanted.models.remove(0);
    wanted.backends[0].models.remove(0);
    told.host.reload(&wanted, Cause::Request("a test".to_owned())).expect("it loads");
    assert_eq!(told.host.catalogue().models().count(), 2);
    assert_ne!(told.host.symbol("migration"), tollgate_core::Symbol::UNKNOWN);
    assert_eq!(told.host.configuration().task_types.len(), 3);
    assert_eq!(number(&told.host.decide(&dispatch(&told.host))), 10);
}

#[test]
fn going_back_is_possible_as_far_as_is_kept() {
    let keep = |number: u32| {
        let mut configuration = parsed(&numbered(number));
        configuration.reload.keep = 2;
        configuration
    };
    let told = Told::start(&numbered(1));
    let dispatch = dispatch(&told.host);
    for number in 2..=4 {
        told.host.reload(&keep(number), Cause::Request("a test".to_owned())).expect("it loads");
    }
    let decides = || number(&told.host.decide(&dispatch));
    let earlier = || told.host.status().earlier.iter().map(|earlier| earlier.id).collect::<Vec<_>>();
    assert_eq!((decides(), earlier()), (4, vec![3, 2]));
    told.events();
    assert_eq!(told.host.roll_back("alice"), Ok(3));
    assert_eq!((decides(), earlier()), (3, vec![2]));
    assert_eq!(told.host.status().because, Cause::Rollback("alice".to_owned()));
    assert_eq!(told.events(), ["3 after 4: rollback by alice"]);
    assert_eq!(told.host.roll_back_to(4, "alice"), Err(RollbackError::NotKept { generation: 4, kept: vec![2] }));
    assert_eq!(told.host.roll_back_to(2, "alice"), Ok(2));
    assert_eq!(told.host.roll_back("alice"), Err(RollbackError::NothingEarlier));
    assert_eq!(decides(), 2);
    assert_eq!(told.host.reload(&keep(5), Cause::Start).expect("it loads"), 5);
    assert_eq!(earlier(), [2]);
}

#[test]
fn what_is_the_same_is_not_loaded_again() {
    let chain = |number: u32| numbered(number).policy(&PolicyEntry::witness());
    let told = Told::start(&chain(1));
    let dispatch = dispatch(&told.host);
    for _ in 0..64 {
        let _ = told.host.decide(&dispatch);
    }
    told.reload(&chain(2)).expect("it loads");
    let status = told.host.status();
    let evaluations: Vec<_> = status.running.policies.iter().map(|policy| policy.service.evaluations).collect();
    assert_eq!(evaluations[..2], [0, 0], "another configuration is another policy");
    assert!(evaluations[2] >= 64, "the witness goes on: {evaluations:?}");
    let last_good: Vec<_> = status.running.policies.iter().map(|policy| policy.last_good.is_some()).collect();
    assert_eq!(last_good, [true, true, false]);
}

#[test]
fn no_decision_is_made_by_half_of_a_configuration() {
    let told = Told::start(&numbered(1));
    let dispatch = dispatch(&told.host);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let decide = || {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let decision = told.host.decide(&dispatch);
                // Generation n says n: see below.
                assert_eq!(u64::from(number(&decision)), decision.generation);
                seen += 1;
            }
            seen
        };
        let threads = [scope.spawn(decide), scope.spawn(decide), scope.spawn(decide)];
        for number in 2..=60 {
            assert_eq!(told.reload(&numbered(number)), Ok(u64::from(number)));
        }
        done.store(true, Ordering::Relaxed);
        let seen: u32 = threads.into_iter().map(|thread| thread.join().expect("no mixture")).sum();
        assert!(seen > 0);
    });
}

#[test]
fn a_host_without_policies_reloads_as_well() {
    let told = Told::start(&Chain::new());
    assert_eq!(told.reload(&numbered(7)), Ok(2));
    assert_eq!(number(&told.host.decide(&dispatch(&told.host))), 7);
    let last = PolicyIndex(1);
    assert_eq!(told.reload(&Chain::new()), Ok(3));
    assert_eq!(&*told.host.policy_name(last), "unknown");
    assert_eq!(told.host.policy_name_in(2, last).as_deref(), Some("second"));
    assert_eq!(told.host.policy_name_in(9, last), None);
    assert_eq!(told.host.decide(&dispatch(&told.host)).outcome.word(), "proceed");
}
