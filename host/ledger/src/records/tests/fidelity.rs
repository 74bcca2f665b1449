//! A record holds everything that a decision saw.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tollgate_core::{Covered, Priority, Repetition, Selector, Spending, Switch};

use super::*;

/// Known names, and the one that none is.
fn symbol() -> impl Strategy<Value = Symbol> {
    (0..=u32::try_from(NAMES.len()).unwrap()).prop_map(Symbol::from_u32)
}

fn reference() -> impl Strategy<Value = Reference> {
    any::<u64>().prop_map(Reference::from_u64)
}

fn tier() -> impl Strategy<Value = Tier> {
    select(Tier::ALL)
}

fn money() -> impl Strategy<Value = Nanodollars> {
    prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)].prop_map(Nanodollars::new)
}

fn kind() -> impl Strategy<Value = ScopeKind> {
    select(&ScopeKind::ALL[..])
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let free_slots = prop_oneof![any::<u32>(), Just(u32::MAX)];
    let words = (tier(), select(Health::ALL), select(Hosting::ALL), any::<bool>());
    (symbol(), symbol(), words, free_slots, money()).prop_map(
        |(model, backend, (tier, health, hosting, warm), free_slots, estimated_cost)| Candidate {
            model,
            backend,
            tier,
            health,
            hosting,
            warm,
            free_slots,
            estimated_cost,
        },
    )
}

fn account() -> impl Strategy<Value = Account> {
    let window_end_ms = prop_oneof![any::<u64>(), Just(u64::MAX)];
    (kind(), symbol(), money(), money(), money(), money(), window_end_ms).prop_map(
        |(kind, owner, spent, reserved, limit, hard, window_end_ms)| Account {
            kind,
            owner,
            spent,
            reserved,
            limit,
            hard,
            window_end_ms,
        },
    )
}

fn attempts() -> impl Strategy<Value = Attempts> {
    let loops = vec![Repetition::None, Repetition::SameFailure, Repetition::OutputLimit, Repetition::SameProposal];
    (any::<[u32; 4]>(), any::<[u64; 2]>(), option::of(tier()), select(loops)).prop_map(
        |([failed, streak, fast_failures, rejections], [elapsed, since], failed_tier, repetition)| Attempts {
            failed,
            streak,
            streak_elapsed_ms: elapsed,
            since_failure_ms: since,
            fast_failures,
            rejections,
            failed_tier,
            repetition,
            repetitions: failed,
        },
    )
}

fn any_dispatch() -> impl Strategy<Value = Dispatch> {
    let who = (vec((kind(), reference()), 0..8), option::of(reference()), option::of(reference()));
    let what = (symbol(), symbol(), symbol(), select(Priority::ALL), option::of(tier()), any::<bool>());
    let lists = (vec(candidate(), 0..66), vec(account(), 0..66), vec((symbol(), symbol()), 0..9));
    let spending = (money(), money(), kind(), any::<u32>());
    let rest = (any::<[u64; 3]>(), any::<u32>(), option::of(any::<u32>()), vec((symbol(), any::<u64>()), 0..9));
    (who, what, lists, spending, attempts(), rest).prop_map(|(who, what, lists, spending, attempts, rest)| {
        let (scopes, task, sample) = who;
        let (task_type, stage, requested_model, priority, requested_tier, approved) = what;
        let (candidates, accounts, tags) = lists;
        let ([now_ms, input_tokens, output_tokens], waited_ms, sticky, counters) = rest;
        let (run_cost, task_type_p95, fastest_scope, finished_runs) = spending;
        let spending = Spending { run_cost, task_type_p95, fastest_scope, finished_runs, ..Spending::default() };
        let mut dispatch = Dispatch {
            now_ms,
            waited_ms,
            task_type,
            stage,
            priority,
            approved,
            task,
            sample,
            spending,
            attempts,
            input_tokens,
            output_tokens,
            requested_tier,
            requested_model,
            sticky,
            candidates,
            accounts,
            tags,
            counters,
            ..Dispatch::default()
        };
        for (kind, reference) in scopes {
            dispatch.scopes.set(kind, reference);
        }
        dispatch
    })
}

fn board(host: &Host, dispatch: &Dispatch) -> SwitchBoard {
    let selectors = [
        Selector::Model(host.symbol("large")),
        Selector::TaskType(host.symbol("refactoring")),
        Selector::Scope(ScopeKind::Team, Reference::of("red")),
    ];
    selectors.into_iter().fold(SwitchBoard::default(), |board, selector| {
        let switch = Switch {
            selector,
            mode: SwitchMode::Drain,
            reason: reason(host),
            author: "operator".into(),
            engaged_ms: dispatch.now_ms,
            expires_ms: dispatch.now_ms.checked_add(1_000),
        };
        board.with(switch).unwrap()
    })
}

/// Through the queue's place, the record, the bytes and back.
fn round_trip(host: &Host, dispatch: &Dispatch, decision: &Decision) -> (DecisionRecord, Dispatch, Covered) {
    let mut slot = slot::Slot::default();
    // A place that was used before leaves nothing of it.
    slot.fill(DecisionId { session: 1, number: 1 }, &super::dispatch(host, 5), decision, &Context::default());
    slot.fill(DecisionId { session: 1, number: 2 }, dispatch, decision, &Context::default());
    let record = DecisionRecord::of(&slot, &host.0, &host.policies(1).unwrap()).unwrap();
    let bytes = rmp_serde::to_vec_named(&record).unwrap();
    let read: DecisionRecord = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, record);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<DecisionRecord>(&text).unwrap(), record, "{text}");
    let (dispatch, covered) = read.input.to_dispatch(&host.0);
    (read, dispatch, covered)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_decision_saw_comes_back_as_it_was(dispatch in any_dispatch(), switched in any::<bool>()) {
        let host = Host::new();
        let board = if switched { board(&host, &dispatch) } else { SwitchBoard::default() };
        let decision = decide(&dispatch, &board, &verdicts(&host));
        let (record, again, covered) = round_trip(&host, &dispatch, &decision);
        prop_assert!(!record.input.cut);
        prop_assert_eq!(&again, &dispatch);
        prop_assert_eq!(&covered, &decision.covered);
        let mut ruling = Ruling::open_covered(&again, covered);
        for entry in &decision.trail {
            ruling.hear(&mut { *entry }, OnError::Refuse);
        }
        prop_assert_eq!(ruling.conclude(1, Trail::new()).outcome, decision.outcome);
    }
}

#[test]
fn every_form_of_verdict_is_told_from_every_other() {
    let host = Host::new();
    let dispatch = dispatch(&host, 5);
    let forms = verdicts(&host);
    let record = |verdict: &Verdict| {
        let decision = decide(&dispatch, &SwitchBoard::default(), &[*verdict]);
        round_trip(&host, &dispatch, &decision).0.result.verdicts.remove(0)
    };
    for (place, one) in forms.iter().enumerate() {
        for (other_place, other) in forms.iter().enumerate() {
            assert_eq!(record(one).is_same(&record(other)), place == other_place, "{one:?} {other:?}");
        }
    }
    assert_eq!(&*record(&forms[1]).policy, "first");
    assert_eq!(record(&forms[1]).reason.unwrap().text(), "run-cost: 14.20 USD of 10.00 USD");
}

#[test]
fn names_that_the_host_does_not_know_are_kept_beside_the_facts() {
    let host = Host::new();
    let mut dispatch = dispatch(&host, 5);
    dispatch.task_type = Symbol::UNKNOWN;
    let decision = decide(&dispatch, &SwitchBoard::default(), &[]);
    let mut slot = slot::Slot::default();
    let mut names =
        Names { task: Some("seven"), task_type: Some("poetry"), stage: Some("planning"), ..Names::default() };
    names.scopes.set(ScopeKind::Team, "red");
    let context = Context { names, trace_id: Some([0xab; 16]), span_id: Some([1; 8]), ..Context::default() };
    slot.fill(DecisionId { session: 1, number: 1 }, &dispatch, &decision, &context);
    let record = DecisionRecord::of(&slot, &host.0, &host.policies(1).unwrap()).unwrap();
    assert_eq!(record.input.task_type.as_deref(), Some("poetry"));
    assert_eq!(record.input.stage.as_deref(), Some("coding"), "what the decision saw, whatever the caller says");
    assert_eq!(record.input.task.as_ref().unwrap().name.as_deref(), Some("seven"));
    assert_eq!(record.input.scopes[&ScopeKind::Team].name.as_deref(), Some("red"));
    assert_eq!(record.input.scopes[&ScopeKind::Run].name, None);
    assert_eq!(record.trace_id.as_deref(), Some("ab".repeat(16).as_str()));
    assert_eq!(record.input.to_dispatch(&host.0).0, dispatch);
    host.0.intern("poetry").unwrap();
    assert_ne!(record.input.to_dispatch(&host.0).0.task_type, Symbol::UNKNOWN, "another host may know it");
}
