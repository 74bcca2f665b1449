//! Both lanes into a policy say the same: the shipped policies, and one that says every fact, about any dispatch, call after
//! call.

use proptest::prelude::*;
use tollgate_core::{
    Account, Attempts, Candidate, Dispatch, Health, Hosting, Nanodollars, Priority, Reason, Reference, Repetition,
    ScopeKind, Selector, Spending, Switch, SwitchMode, Symbol, Tier,
};
use tollgate_runtime::{Host, Lane};
use tollgate_tests::{Chain, PolicyEntry};

const NOW_MS: u64 = 1_768_399_200_000;

fn host(lane: &str) -> Host {
    let lane = format!("lane = \"{lane}\"");
    let shipped = |name: &str| PolicyEntry::shipped(name).key(&lane);
    let chain = ["kill-switch", "retry-ceiling", "routing", "budget"]
        .into_iter()
        .fold(Chain::new(), |chain, name| chain.policy(&shipped(name)));
    // In shadow, so that no verdict of one keeps another from being asked.
    let shadow = "mode = \"shadow\"";
    let every_fact = PolicyEntry::guest("every-fact").config("as = \"every-fact\"").key(&lane).key(shadow);
    let chain = chain.policy(&shipped("budget").called("again").key(shadow)).policy(&every_fact);
    let host = chain.host().expect("what ships loads");
    host.engage(Switch {
        selector: Selector::Scope(ScopeKind::Team, Reference::of("stopped")),
        mode: SwitchMode::Drain,
        reason: Reason::default(),
        author: "test".into(),
        engaged_ms: 0,
        expires_ms: None,
    })
    .expect("the first switch");
    host
}

fn money() -> impl Strategy<Value = Nanodollars> {
    prop_oneof![Just(0), 0..400_000_000_000_u64, any::<u64>()].prop_map(Nanodollars::new)
}

fn tier() -> impl Strategy<Value = Tier> {
    prop::sample::select(Tier::ALL.to_vec())
}

fn symbol() -> impl Strategy<Value = Symbol> {
    (0..12_u32).prop_map(Symbol::from_u32)
}

prop_compose! {
    fn attempts()(
        failed in 0..12_u32, streak in 0..12_u32, streak_elapsed_ms in 0..20_000_000_u64,
        since_failure_ms in 0..1_000_000_u64, fast_failures in 0..6_u32, rejections in 0..5_u32,
        failed_tier in prop::option::of(tier()), repetitions in 0..8_u32,
        repetition in prop::sample::select(vec![
            Repetition::None, Repetition::SameFailure, Repetition::TimedOutContext, Repetition::OutputLimit,
            Repetition::SameProposal,
        ]),
    ) -> Attempts {
        Attempts {
            failed, streak, streak_elapsed_ms, since_failure_ms, fast_failures, rejections, failed_tier, repetition,
            repetitions,
        }
    }
}

prop_compose! {
    fn candidate()(
        model in symbol(), backend in symbol(), tier in tier(), warm: bool, free_slots in 0..4_u32,
        estimated_cost in money(), local: bool,
        health in prop::sample::select(vec![Health::Healthy, Health::Degraded, Health::Down]),
    ) -> Candidate {
        let hosting = if local { Hosting::Local } else { Hosting::Remote };
        Candidate { model, backend, tier, health, hosting, warm, free_slots, estimated_cost }
    }
}

prop_compose! {
    fn account()(
        kind in prop::sample::select(ScopeKind::ALL.to_vec()), owner in symbol(), spent in money(), reserved in money(),
        limit in money(), over in 0..50_000_000_000_u64, window_end_ms: u64,
    ) -> Account {
        Account { kind, owner, spent, reserved, limit, hard: limit.saturating_add(Nanodollars::new(over)), window_end_ms }
    }
}

prop_compose! {
    fn spending()(
        run_cost in money(), run_per_minute in money(), scope_per_minute in money(), task_type_p95 in money(),
        finished_runs in 0..100_u32, fastest_scope in prop::sample::select(ScopeKind::ALL.to_vec()),
    ) -> Spending {
        Spending { run_cost, run_per_minute, scope_per_minute, fastest_scope, task_type_p95, finished_runs }
    }
}

prop_compose! {
    fn who()(
        now_ms in NOW_MS..NOW_MS + 1_000_000, waited_ms in 0..100_000_u32, task_type in symbol(), stage in symbol(),
        priority in prop::sample::select(vec![Priority::Low, Priority::Normal, Priority::High]), approved: bool,
        stopped in prop::bool::weighted(0.1),
    ) -> Dispatch {
        let mut dispatch = Dispatch { now_ms, waited_ms, task_type, stage, priority, approved, ..Dispatch::default() };
        dispatch.scopes.set(ScopeKind::Run, Reference::of("run"));
        dispatch.scopes.set(ScopeKind::Team, Reference::of(if stopped { "stopped" } else { "red" }));
        dispatch
    }
}

prop_compose! {
    fn dispatch()(
        who in who(), attempts in attempts(), spending in spending(), input_tokens in 0..2_000_000_u64,
        output_tokens in 0..200_000_u64, requested_tier in prop::option::of(tier()), requested_model in symbol(),
        sticky in prop::option::of(0..70_u32), candidates in prop::collection::vec(candidate(), 0..=64),
        accounts in prop::collection::vec(account(), 0..=64),
    ) -> Dispatch {
        Dispatch {
            attempts, spending, input_tokens, output_tokens, requested_tier, requested_model, sticky, candidates, accounts,
            ..who
        }
    }
}

#[test]
fn both_lanes_decide_alike_about_any_dispatch() {
    let (lent, canonical) = (host("auto"), host("canonical"));
    assert!(lent.policies().iter().all(|about| about.lane == Lane::Lent));
    assert!(canonical.policies().iter().all(|about| about.lane != Lane::Lent));
    let config = ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&dispatch(), |dispatch| {
        let (one, other) = (lent.decide(&dispatch), canonical.decide(&dispatch));
        let verdicts = |decision: &tollgate_core::Decision| {
            decision.trail.iter().map(|entry| (entry.policy, entry.kind, entry.verdict)).collect::<Vec<_>>()
        };
        prop_assert_eq!(verdicts(&one), verdicts(&other));
        prop_assert_eq!(&one.outcome, &other.outcome);
        prop_assert_eq!(one.floor, other.floor);
        // A trip changes what the next dispatch meets; both must have tripped alike.
        prop_assert_eq!(lent.switches().switches().len(), canonical.switches().switches().len());
        for switch in lent.switches().switches().iter().filter(|switch| &*switch.author != "test") {
            lent.lift(switch.selector);
            canonical.lift(switch.selector);
        }
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}
