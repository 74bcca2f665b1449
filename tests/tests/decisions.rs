//! What holds for whole chains, whatever the policies: the same decision on every instance, thread and repetition;
//! the strictest wins; a shadow changes nothing; a trip stops what comes after it.

use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tollgate_core::{
    Decision, Dispatch, Nanodollars, Outcome, PolicyIndex, PolicyKind, Reference, ScopeKind, Selector, Source, Symbol,
    Tier, TrailEntry, Verdict,
};
use tollgate_runtime::{Event, Host};
use tollgate_tests::{Chain, PolicyEntry, dispatch};

const DOLLAR: u64 = 1_000_000_000;

fn witness_as(name: &str) -> PolicyEntry {
    PolicyEntry::witness().called(name)
}

fn host(policies: &[PolicyEntry]) -> Host {
    let chain = policies.iter().fold(Chain::new(), |chain, policy| chain.policy(policy));
    chain.host().expect("the witness loads")
}

/// A decision without the times.
#[derive(Debug, PartialEq)]
struct Said {
    outcome: Outcome,
    floor: Tier,
    trail: Vec<(PolicyIndex, PolicyKind, Verdict, u64)>,
}

fn said(decision: &Decision) -> Said {
    Said {
        outcome: decision.outcome.clone(),
        floor: decision.floor,
        trail: decision.trail.iter().map(|entry| (entry.policy, entry.kind, entry.verdict, entry.fuel)).collect(),
    }
}

/// Dispatches that reach every verdict of the witness but trips, whose switches would outlast the dispatch.
fn any_dispatch(host: &Host) -> impl Strategy<Value = Dispatch> + use<> {
    let base = dispatch(host);
    (0..7_u32, 0..100_000_u64, 2..100 * DOLLAR, 0..130 * DOLLAR, prop::collection::vec(0..200 * DOLLAR, 0..5)).prop_map(
        move |(failed, since_failure_ms, run_cost, spent, costs)| {
            let mut dispatch = base.clone();
            dispatch.attempts.failed = failed;
            dispatch.attempts.since_failure_ms = since_failure_ms;
            // A dollar sharp is a sign to the witness.
            dispatch.spending.run_cost = Nanodollars::new(run_cost + u64::from(run_cost == DOLLAR));
            dispatch.accounts.iter_mut().for_each(|account| account.spent = Nanodollars::new(spent));
            let offered = dispatch.candidates.clone();
            let priced = costs.iter().zip(offered.iter().cycle());
            dispatch.candidates = priced
                .map(|(cost, candidate)| tollgate_core::Candidate {
                    estimated_cost: Nanodollars::new(*cost),
                    ..*candidate
                })
                .collect();
            dispatch
        },
    )
}

fn dispatches(host: &Host, count: u32) -> Vec<Dispatch> {
    let mut runner = TestRunner::deterministic();
    let strategy = any_dispatch(host);
    let mut one = || strategy.new_tree(&mut runner).expect("no filter").current();
    use proptest::strategy::ValueTree;
    (0..count).map(|_| one()).collect()
}

#[test]
fn pooled_and_fresh_instances_decide_the_same() {
    let pooled = host(&[PolicyEntry::witness()]);
    let fresh = host(&[PolicyEntry::witness().key("isolation = \"fresh\"")]);
    let verdicts = |decision: &Decision| -> Vec<Verdict> { decision.trail.iter().map(|entry| entry.verdict).collect() };
    let mut words = std::collections::BTreeSet::new();
    for dispatch in dispatches(&pooled, 500) {
        let (one, other) = (pooled.decide(&dispatch), fresh.decide(&dispatch));
        assert_eq!(one.outcome, other.outcome, "{dispatch:?}");
        assert_eq!(one.floor, other.floor);
        assert_eq!(verdicts(&one), verdicts(&other));
        words.extend(verdicts(&one).iter().map(Verdict::word));
    }
    let reached = ["back-off", "no-opinion", "proceed", "raise-floor", "refuse", "slow", "use-candidate"];
    assert!(reached.iter().all(|word| words.contains(word)), "too tame dispatches: {words:?}");
}

#[test]
fn repeated_dispatch_gets_the_same_verdicts_for_the_same_fuel() {
    for isolation in ["pooled", "fresh"] {
        let host = host(&[PolicyEntry::witness().key(&format!("isolation = \"{isolation}\""))]);
        for dispatch in dispatches(&host, 50) {
            let first = said(&host.decide(&dispatch));
            for _ in 0..5 {
                assert_eq!(said(&host.decide(&dispatch)), first, "{isolation}: {dispatch:?}");
            }
        }
    }
}

#[test]
fn several_threads_decide_the_same_at_once() {
    let host = Arc::new(host(&[PolicyEntry::witness(), witness_as("second")]));
    let dispatches: Arc<Vec<_>> = Arc::new(dispatches(&host, 200));
    let alone: Vec<_> = dispatches.iter().map(|dispatch| said(&host.decide(dispatch))).collect();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (host, dispatches) = (Arc::clone(&host), Arc::clone(&dispatches));
            thread::spawn(move || -> Vec<Said> {
                // Each from another end, so that no two ask about the same dispatch all the time.
                let from = number * dispatches.len() / 4;
                let mut said: Vec<_> = dispatches[from..]
                    .iter()
                    .chain(&dispatches[..from])
                    .map(|dispatch| said(&host.decide(dispatch)))
                    .collect();
                said.rotate_right(from);
                said
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("a decision does not panic"), alone);
    }
}

#[test]
fn shadow_policy_is_written_down_and_changes_nothing() {
    let without = host(&[PolicyEntry::witness()]);
    let with = host(&[PolicyEntry::witness(), witness_as("candidate").key("mode = \"shadow\"")]);
    let shadow_alone = host(&[witness_as("candidate").key("mode = \"shadow\"")]);
    for dispatch in dispatches(&with, 200) {
        let (one, other) = (without.decide(&dispatch), with.decide(&dispatch));
        assert_eq!(one.outcome, other.outcome, "{dispatch:?}");
        assert_eq!(one.floor, other.floor);
        let (shadows, others): (Vec<&TrailEntry>, Vec<_>) = other.trail.iter().partition(|entry| entry.shadow);
        let verdicts = |entries: &[&TrailEntry]| entries.iter().map(|entry| entry.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&others), one.trail.iter().map(|entry| entry.verdict).collect::<Vec<_>>());
        assert_eq!(verdicts(&shadows), verdicts(&others), "the shadow is asked the same");
        let alone = shadow_alone.decide(&dispatch);
        assert!(alone.floor == Tier::Low && !matches!(alone.outcome, Outcome::Slow { .. } | Outcome::Hold { .. }));
    }
}

#[test]
fn shadow_policy_that_trips_or_fails_stops_nothing() {
    let failing = PolicyEntry::guest("trap-in-evaluate").config("only_marked = true").key("mode = \"shadow\"");
    let tripping = witness_as("tripping").key("mode = \"shadow\"");
    let host = host(&[failing, tripping]);
    let mut dispatch = tollgate_tests::marked(&host);
    assert_eq!(host.decide(&dispatch).outcome.word(), "proceed");
    dispatch.spending.run_cost = Nanodollars::new(101 * DOLLAR);
    assert_eq!(host.decide(&dispatch).outcome.word(), "proceed");
    assert!(host.switches().switches().is_empty());
}

#[test]
fn of_two_policies_of_a_kind_the_strictest_wins() {
    let proceeds = PolicyEntry::guest("endless-loop").called("proceeds").config("only_marked = true");
    for policies in [[proceeds.clone(), PolicyEntry::witness()], [PolicyEntry::witness(), proceeds]] {
        let host = host(&policies);
        let strict = if policies[0].clone().is_called("witness") { PolicyIndex(0) } else { PolicyIndex(1) };
        let mut dispatch = dispatch(&host);
        dispatch.accounts[0].spent = Nanodollars::new(60 * DOLLAR);
        let slowed = host.decide(&dispatch).outcome;
        assert!(matches!(slowed, Outcome::Slow { by: Source::Policy(by, PolicyKind::Budget), .. } if by == strict));
        dispatch.accounts[0].spent = Nanodollars::new(101 * DOLLAR);
        let decision = host.decide(&dispatch);
        assert!(
            matches!(decision.outcome, Outcome::Refuse { by: Source::Policy(by, PolicyKind::Budget), .. } if by == strict)
        );
        let asked = decision.trail.iter().filter(|entry| entry.kind == PolicyKind::Budget).count();
        assert_eq!(asked, 2, "all policies of a kind are asked");
    }
}

#[test]
fn trip_covers_the_next_dispatch_of_the_run_and_ends_the_permits_before_it() {
    let host = host(&[PolicyEntry::witness()]);
    let mut dear = dispatch(&host);
    dear.spending.run_cost = Nanodollars::new(101 * DOLLAR);
    let cheap = dispatch(&host);
    let mut other_run = dispatch(&host);
    other_run.scopes.set(ScopeKind::Run, Reference::of("another run"));

    let before = host.decide(&cheap);
    let permit = before.outcome.permit().expect("nothing is against it");
    assert!(permit.is_live(cheap.now_ms, host.switches().epoch()));

    let tripped = host.decide(&dear);
    assert_eq!(tripped.outcome.word(), "refuse", "what trips does not go either");
    assert!(!permit.is_live(cheap.now_ms, host.switches().epoch()), "sent now, it would pass the switch");
    let run = Selector::Scope(ScopeKind::Run, dear.scopes.of(ScopeKind::Run).expect("it has a run"));
    assert_eq!(host.switches().switches().iter().map(|switch| switch.selector).collect::<Vec<_>>(), [run]);
    assert_eq!(&*host.switches().switches()[0].author, "policy:witness");

    assert_eq!(host.decide(&cheap).outcome.word(), "refuse", "the run is stopped");
    assert_eq!(host.decide(&other_run).outcome.word(), "proceed", "no other run is");
    let later = Dispatch { now_ms: cheap.now_ms + 60_000, ..cheap.clone() };
    assert_eq!(host.decide(&later).outcome.word(), "proceed", "the switch has expired");
    host.lift(run);
    assert_eq!(host.decide(&cheap).outcome.word(), "proceed", "the switch is lifted");
}

#[test]
fn trip_of_what_has_no_name_engages_nothing_and_is_told() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let builder = Host::builder().on_event(move |event| heard.lock().expect("no panic").push(event.clone()));
    let host = Chain::new().policy(&PolicyEntry::witness()).host_with(builder).expect("the witness loads");
    let mut dispatch = dispatch(&host);
    dispatch.spending.run_cost = Nanodollars::new(DOLLAR);
    assert_eq!(host.decide(&dispatch).outcome.word(), "refuse");
    let selectors: Vec<_> = host.switches().switches().iter().map(|switch| switch.selector).collect();
    assert_ne!(selectors, [Selector::TaskType(Symbol::UNKNOWN)], "it would stop every task of no known type");
    assert!(matches!(told.lock().expect("no panic")[..], [Event::SwitchNotEngaged { .. }]));
}

#[test]
fn too_many_facts_are_refused_before_any_policy_is_asked() {
    let host = host(&[PolicyEntry::witness()]);
    let mut dispatch = dispatch(&host);
    dispatch.candidates = vec![dispatch.candidates[0]; 65];
    let decision = host.decide(&dispatch);
    assert!(matches!(
        decision.outcome,
        Outcome::Refuse { by: Source::Host, cause: tollgate_core::Refusal::TooManyFacts }
    ));
    assert!(decision.trail.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A refusal by any policy is never lost, and the floor never falls, whatever stands beside it.
    #[test]
    fn more_policies_never_make_a_decision_milder(seed in 0_usize..500) {
        thread_local! {
            static HOSTS: (Host, Host, Vec<Dispatch>) = {
                let one = host(&[PolicyEntry::witness()]);
                let proceeds = PolicyEntry::guest("endless-loop").called("proceeds").config("only_marked = true");
                let more = host(&[proceeds, PolicyEntry::witness(), witness_as("second")]);
                let dispatches = dispatches(&one, 500);
                (one, more, dispatches)
            };
        }
        HOSTS.with(|(one, more, dispatches)| {
            let (one, more) = (one.decide(&dispatches[seed]), more.decide(&dispatches[seed]));
            let rank = |decision: &Decision| ["proceed", "slow", "hold", "refuse"].iter().position(|word| *word == decision.outcome.word());
            prop_assert!(rank(&more) >= rank(&one));
            prop_assert!(more.floor >= one.floor);
            Ok(())
        })?;
    }
}
