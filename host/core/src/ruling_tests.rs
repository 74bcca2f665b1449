//! Table and property tests of how verdicts become a decision.

use proptest::prelude::*;

use super::*;
use crate::decision::PolicyIndex;
use crate::{Hosting, Selector, Switch, Trip, TripSelector, Unit};

const REASON: Reason = Reason { code: Symbol::from_u32(7), unit: Unit::Count, actual: 5, limit: 4 };

fn candidate(model: u32, tier: Tier, cost: u64) -> Candidate {
    Candidate {
        model: Symbol::from_u32(model),
        backend: Symbol::from_u32(90),
        tier,
        health: Health::Healthy,
        hosting: Hosting::Remote,
        warm: false,
        free_slots: u32::MAX,
        estimated_cost: Nanodollars::new(cost),
    }
}

fn dispatch() -> Dispatch {
    let candidates = vec![candidate(1, Tier::Low, 10), candidate(2, Tier::Middle, 30), candidate(3, Tier::Premium, 50)];
    Dispatch { candidates, ..Dispatch::default() }
}

fn entry(verdict: Verdict) -> TrailEntry {
    let kind = verdict.kind().unwrap_or(PolicyKind::Budget);
    TrailEntry { policy: PolicyIndex(0), kind, verdict, shadow: false, last_good: false, fuel: 0, nanoseconds: 0 }
}

fn decide(dispatch: &Dispatch, board: &SwitchBoard, verdicts: &[Verdict]) -> Decision {
    let mut ruling = Ruling::open(dispatch, board);
    let mut trail: Trail = verdicts.iter().map(|verdict| entry(*verdict)).collect();
    for entry in &mut trail {
        ruling.hear(entry, OnError::Refuse);
    }
    ruling.conclude(1, trail)
}

fn switch(selector: Selector) -> Switch {
    Switch {
        selector,
        mode: SwitchMode::Drain,
        reason: REASON,
        author: "operator".into(),
        engaged_ms: 0,
        expires_ms: None,
    }
}

#[test]
fn without_an_opinion_the_cheapest_at_or_above_the_floor_is_taken() {
    let raised = [Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Middle))];
    for (verdicts, expected) in [(&[][..], 0), (&raised[..], 1)] {
        let decision = decide(&dispatch(), &SwitchBoard::default(), verdicts);
        assert_eq!(decision.outcome.permit().map(Permit::candidate), Some(expected));
    }
}

#[test]
fn without_an_opinion_the_model_that_was_asked_for_is_taken_where_it_can_be() {
    let asking = |model| Dispatch { requested_model: Symbol::from_u32(model), ..dispatch() };
    let taken = |dispatch: &Dispatch, verdicts: &[Verdict]| {
        decide(dispatch, &SwitchBoard::default(), verdicts).outcome.permit().map(Permit::candidate)
    };
    assert_eq!([1, 2, 3, 9].map(|model| taken(&asking(model), &[])), [Some(0), Some(1), Some(2), Some(0)]);
    let raised = [Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Middle))];
    assert_eq!(taken(&asking(1), &raised), Some(1), "it is below the floor");
    let mut sick = asking(2);
    sick.candidates[1].health = Health::Down;
    assert_eq!(taken(&sick, &[]), Some(0));
    sick.candidates.push(Candidate { backend: Symbol::from_u32(91), ..candidate(2, Tier::Middle, 90) });
    assert_eq!(taken(&sick, &[]), Some(3), "another backend serves it");
    let routed = [Verdict::Routing(RoutingVerdict::UseCandidate(2))];
    assert_eq!(taken(&asking(1), &routed), Some(2));
}

#[test]
fn a_decision_is_made_again_from_what_the_switches_covered() -> Result<(), crate::TooManySwitches> {
    let over_the_model = SwitchBoard::default().with(switch(Selector::Model(Symbol::from_u32(1))))?;
    let over_all = over_the_model.with(switch(Selector::Everything))?;
    let over_each = (2..4).try_fold(over_the_model.clone(), |board, model| {
        board.with(switch(Selector::Model(Symbol::from_u32(model))))
    })?;
    for (board, candidates) in [(&SwitchBoard::default(), 0), (&over_the_model, 1), (&over_all, 1), (&over_each, 7)] {
        let dispatch = dispatch();
        let decision = decide(&dispatch, board, &[]);
        assert_eq!(decision.covered.candidates, candidates);
        assert_eq!(decision.covered.by.is_some(), board.cover(&dispatch).is_some());
        let ruling = Ruling::open_covered(&dispatch, decision.covered.clone());
        assert_eq!(ruling.cover(), Ruling::open(&dispatch, board).cover());
        assert_eq!(ruling.conclude(1, Trail::new()), decision);
    }
    Ok(())
}

#[test]
fn a_candidate_below_the_floor_or_out_of_range_is_an_error_of_the_policy() {
    let raise = Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Premium));
    for (index, failure) in [
        (0, EvaluationFailure::BelowFloor),
        (3, EvaluationFailure::CandidateOutOfRange),
        (u32::MAX, EvaluationFailure::CandidateOutOfRange),
    ] {
        let route = Verdict::Routing(RoutingVerdict::UseCandidate(index));
        let decision = decide(&dispatch(), &SwitchBoard::default(), &[raise, route]);
        assert_eq!(decision.trail[1].verdict, Verdict::Failed(failure, OnError::Refuse));
        assert_eq!(decision.outcome.permit().map(Permit::candidate), Some(2), "routing then has no opinion");
    }
}

#[test]
fn a_candidate_that_is_down_or_switched_off_cannot_be_used() -> Result<(), crate::TooManySwitches> {
    let mut dispatch = dispatch();
    dispatch.candidates[0].health = Health::Down;
    let board = SwitchBoard::default().with(switch(Selector::Model(Symbol::from_u32(2))))?;
    let decision = decide(&dispatch, &board, &[Verdict::Routing(RoutingVerdict::UseCandidate(1))]);
    assert_eq!(decision.outcome.permit().map(Permit::candidate), Some(2));

    dispatch.candidates.truncate(2);
    let decision = decide(&dispatch, &board, &[]);
    let cause = Refusal::ModelsSwitchedOff(REASON);
    assert_eq!(decision.outcome, Outcome::Refuse { by: Source::Host, cause });

    dispatch.candidates.truncate(1);
    let decision = decide(&dispatch, &board, &[]);
    assert_eq!(decision.outcome, Outcome::Refuse { by: Source::Host, cause: Refusal::NoCandidate });
    Ok(())
}

#[test]
fn a_dispatch_with_too_many_facts_is_refused() {
    let mut many = dispatch();
    many.candidates = vec![candidate(1, Tier::Low, 1); MAX_CANDIDATES];
    assert!(decide(&many, &SwitchBoard::default(), &[]).outcome.permit().is_some());
    many.candidates.push(candidate(1, Tier::Low, 1));
    let decision = decide(&many, &SwitchBoard::default(), &[]);
    assert_eq!(decision.outcome, Outcome::Refuse { by: Source::Host, cause: Refusal::TooManyFacts });
}

#[test]
fn the_strictest_verdict_wins_and_the_longest_wait() {
    let slow = |milliseconds| Verdict::Budget(BudgetVerdict::Slow { milliseconds });
    let hold = Verdict::Budget(BudgetVerdict::HoldForApproval(REASON));
    let refuse = Verdict::Budget(BudgetVerdict::Refuse(REASON));
    for (verdicts, word) in [
        (vec![slow(0)], "proceed"),
        (vec![slow(5), Verdict::Budget(BudgetVerdict::Proceed)], "slow"),
        (vec![hold, slow(5)], "hold"),
        (vec![slow(5), refuse, hold], "refuse"),
    ] {
        assert_eq!(decide(&dispatch(), &SwitchBoard::default(), &verdicts).outcome.word(), word, "{verdicts:?}");
    }
    let decision = decide(&dispatch(), &SwitchBoard::default(), &[slow(5), slow(9), slow(7)]);
    assert!(matches!(decision.outcome, Outcome::Slow { milliseconds: 9, .. }));
}

#[test]
fn the_smallest_output_cap_goes_into_the_permit() {
    let cap = |tokens| Verdict::Budget(BudgetVerdict::CapOutput { tokens });
    let decision = decide(&dispatch(), &SwitchBoard::default(), &[cap(900), cap(300), cap(700)]);
    assert_eq!(decision.outcome.permit().and_then(Permit::output_cap), Some(300));
}

#[test]
fn a_policy_that_fails_refuses_unless_its_configuration_says_otherwise() {
    for (kind, on_error, word) in [
        (PolicyKind::KillSwitch, OnError::Refuse, "refuse"),
        (PolicyKind::Budget, OnError::LastGood, "refuse"),
        (PolicyKind::RetryCeiling, OnError::Proceed, "proceed"),
        (PolicyKind::Routing, OnError::Refuse, "proceed"),
    ] {
        let dispatch = dispatch();
        let mut ruling = Ruling::open(&dispatch, &SwitchBoard::default());
        let verdict = Verdict::Failed(EvaluationFailure::Trapped, on_error);
        ruling.hear(&mut TrailEntry { kind, ..entry(verdict) }, on_error);
        assert_eq!(ruling.conclude(1, Trail::new()).outcome.word(), word, "{kind}");
    }
}

#[test]
fn a_shadow_changes_nothing_and_is_judged_like_any_other() {
    let dispatch = dispatch();
    let mut ruling = Ruling::open(&dispatch, &SwitchBoard::default());
    for verdict in [Verdict::Budget(BudgetVerdict::Refuse(REASON)), Verdict::Routing(RoutingVerdict::UseCandidate(9))] {
        let mut shadow = TrailEntry { shadow: true, ..entry(verdict) };
        ruling.hear(&mut shadow, OnError::Refuse);
        let invalid = Verdict::Failed(EvaluationFailure::CandidateOutOfRange, OnError::Refuse);
        assert_eq!(shadow.verdict, if verdict.kind() == Some(PolicyKind::Routing) { invalid } else { verdict });
    }
    assert_eq!(ruling.conclude(1, Trail::new()).outcome.word(), "proceed");
}

#[test]
fn what_nobody_has_decided_or_said_lets_nothing_go() {
    assert_eq!(Decision::pending().outcome.word(), "refuse");
    let dispatch = dispatch();
    let mut ruling = Ruling::open(&dispatch, &SwitchBoard::default());
    ruling.hear(&mut TrailEntry::unsaid(PolicyIndex(0), PolicyKind::Budget), OnError::Refuse);
    assert_eq!(ruling.conclude(1, Trail::new()).outcome.word(), "refuse");
}

#[test]
fn a_permit_ends_with_its_second_and_with_its_epoch() -> Result<(), crate::TooManySwitches> {
    let dispatch = Dispatch { now_ms: 5_000, ..dispatch() };
    let board = SwitchBoard::default();
    let decision = decide(&dispatch, &board, &[]);
    let permit = decision.outcome.permit().cloned();
    let later = board.with(switch(Selector::Everything))?;
    for (now_ms, epoch, live) in
        [(5_999, board.epoch(), true), (6_000, board.epoch(), false), (5_001, later.epoch(), false)]
    {
        assert_eq!(permit.as_ref().map(|permit| permit.is_live(now_ms, epoch)), Some(live));
    }
    Ok(())
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    let tier = prop_oneof![Just(Tier::Low), Just(Tier::Middle), Just(Tier::Premium)];
    let trip = Trip { selector: TripSelector::Everything, mode: SwitchMode::Cut, time_to_live_ms: 1, reason: REASON };
    prop_oneof![
        Just(Verdict::KillSwitch(KillSwitchVerdict::Proceed)),
        Just(Verdict::KillSwitch(KillSwitchVerdict::Stop(REASON))),
        Just(Verdict::KillSwitch(KillSwitchVerdict::Trip(trip))),
        tier.prop_map(|tier| Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(tier))),
        (0_u32..9).prop_map(|milliseconds| Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds })),
        Just(Verdict::RetryCeiling(RetryCeilingVerdict::HoldForHuman(REASON))),
        Just(Verdict::RetryCeiling(RetryCeilingVerdict::Refuse(REASON))),
        (0_u32..5).prop_map(|index| Verdict::Routing(RoutingVerdict::UseCandidate(index))),
        Just(Verdict::Routing(RoutingVerdict::NoOpinion)),
        (0_u32..9).prop_map(|tokens| Verdict::Budget(BudgetVerdict::CapOutput { tokens })),
        Just(Verdict::Budget(BudgetVerdict::HoldForApproval(REASON))),
        Just(Verdict::Budget(BudgetVerdict::Refuse(REASON))),
        Just(Verdict::Failed(EvaluationFailure::Trapped, OnError::Refuse)),
    ]
}

fn refuses(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::KillSwitch(KillSwitchVerdict::Stop(_) | KillSwitchVerdict::Trip(_))
            | Verdict::RetryCeiling(RetryCeilingVerdict::Refuse(_))
            | Verdict::Budget(BudgetVerdict::Refuse(_))
            | Verdict::Failed(_, OnError::Refuse)
    )
}

proptest! {
    #[test]
    fn a_refusal_by_any_policy_is_never_lost(verdicts in prop::collection::vec(any_verdict(), 0..12)) {
        let decision = decide(&dispatch(), &SwitchBoard::default(), &verdicts);
        if verdicts.iter().any(refuses) {
            prop_assert_eq!(decision.outcome.word(), "refuse");
        }
        prop_assert_eq!(decision.trail.len(), verdicts.len());
    }

    #[test]
    fn the_floor_never_falls(verdicts in prop::collection::vec(any_verdict(), 0..12)) {
        let dispatch = dispatch();
        let mut ruling = Ruling::open(&dispatch, &SwitchBoard::default());
        let mut floor = ruling.floor();
        for verdict in verdicts {
            ruling.hear(&mut entry(verdict), OnError::Refuse);
            prop_assert!(ruling.floor() >= floor);
            floor = ruling.floor();
        }
    }

    #[test]
    fn a_permit_names_a_usable_candidate_at_or_above_the_floor(
        raises in prop::collection::vec(any_verdict(), 0..6),
        routes in prop::collection::vec((0_u32..5).prop_map(|index| Verdict::Routing(RoutingVerdict::UseCandidate(index))), 0..3),
        down in 0_usize..3,
    ) {
        let mut dispatch = dispatch();
        dispatch.candidates[down].health = Health::Down;
        let raises = raises.into_iter().filter(|verdict| verdict.kind() == Some(PolicyKind::RetryCeiling));
        let verdicts: Vec<_> = raises.chain(routes).collect();
        let decision = decide(&dispatch, &SwitchBoard::default(), &verdicts);
        if let Some(permit) = decision.outcome.permit() {
            let candidate = dispatch.candidates[permit.candidate() as usize];
            prop_assert!(candidate.tier >= decision.floor);
            prop_assert_ne!(candidate.health, Health::Down);
        }
    }

    #[test]
    fn the_outcome_does_not_depend_on_what_the_evaluations_cost(
        verdicts in prop::collection::vec((any_verdict(), 0_u64..1_000, 0_u32..1_000_000), 0..12),
    ) {
        let dispatch = dispatch();
        let board = SwitchBoard::default();
        let mut timed = Ruling::open(&dispatch, &board);
        for (verdict, fuel, nanoseconds) in &verdicts {
            timed.hear(&mut TrailEntry { fuel: *fuel, nanoseconds: *nanoseconds, ..entry(*verdict) }, OnError::Refuse);
        }
        let verdicts: Vec<_> = verdicts.iter().map(|(verdict, ..)| *verdict).collect();
        prop_assert_eq!(timed.conclude(1, Trail::new()).outcome, decide(&dispatch, &board, &verdicts).outcome);
    }
}
