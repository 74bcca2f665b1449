//! Every rung of the ladder at its boundaries, natively.

use proptest::prelude::*;
use retry_ceiling::{BACK_OFF_BASE, BACK_OFF_CAP, ELAPSED_CEILING, HOLD_AFTER, Ladder, REFUSE_AFTER};
use tollgate_sdk::retry_ceiling::{Facts, Repetition, Verdict};
use tollgate_sdk::{RetryCeiling, Span, Tier, assert_verdict, test};

fn hold(code: &str, actual: u32, limit: u32) -> Verdict {
    Verdict::HoldForHuman(test::reason(code, actual, limit))
}

/// Failures long past, so that nothing waits.
fn failures(failures: u32) -> test::RetryCeilingFacts {
    test::retry_ceiling().failures(failures).since_failure("1d").failed_tier(Tier::Low)
}

#[test]
fn cases() {
    test::cases::<Ladder, Facts>("cases");
}

#[test]
fn the_ladder_is_climbed_rung_by_rung() {
    let policy = test::shipped::<Ladder>();
    assert_verdict!(policy, test::retry_ceiling(), Verdict::Proceed);
    assert_verdict!(policy, failures(1), Verdict::Proceed);
    assert_verdict!(policy, failures(2), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(policy, failures(3), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(policy, failures(3).since_failure("0s"), Verdict::BackOff(BACK_OFF_BASE));
    assert_verdict!(policy, failures(4), hold("failures-in-a-row", 4, HOLD_AFTER));
    assert_verdict!(policy, failures(5), hold("failures-in-a-row", 5, HOLD_AFTER));
    let refused = |attempts| Verdict::Refuse(test::reason("failed-attempts", attempts, REFUSE_AFTER));
    assert_verdict!(policy, failures(6), refused(6_u32));
    assert_verdict!(policy, failures(u32::MAX), refused(u32::MAX));
}

#[test]
fn the_floor_rises_above_the_tier_that_failed() {
    let policy = test::shipped::<Ladder>();
    for (failed, floor) in [(Tier::Low, Tier::Middle), (Tier::Middle, Tier::Premium), (Tier::Premium, Tier::Premium)] {
        assert_verdict!(policy, failures(2).failed_tier(failed), Verdict::RaiseFloor(floor));
        let rejected = test::retry_ceiling().rejections(1).failed_tier(failed);
        assert_verdict!(policy, rejected, Verdict::RaiseFloor(floor));
    }
    let unknown = test::retry_ceiling().failures(2).since_failure("1d");
    assert_verdict!(policy, unknown, Verdict::RaiseFloor(Tier::Middle));
}

#[test]
fn attempts_before_an_idle_gap_still_raise_the_floor_but_do_not_hold() {
    let policy = test::shipped::<Ladder>();
    let facts = || failures(5).streak(0).since_failure("2h");
    assert_verdict!(policy, facts(), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(policy, facts().attempts(6), Verdict::Refuse(test::reason("failed-attempts", 6_u32, 6_u32)));
}

#[test]
fn a_wait_counts_from_the_failure_and_ends() {
    let policy = test::shipped::<Ladder>();
    let facts = |passed: &str, waited: &str| failures(3).since_failure(passed).waited(waited);
    assert_verdict!(policy, facts("3s", "0s"), Verdict::BackOff(Span::seconds(7)));
    assert_verdict!(policy, facts("9999ms", "0s"), Verdict::BackOff(Span::milliseconds(1)));
    assert_verdict!(policy, facts("10s", "0s"), Verdict::RaiseFloor(Tier::Middle));
    // A host that does not move its clock still gets to the end.
    assert_verdict!(policy, facts("0s", "4s"), Verdict::BackOff(Span::seconds(6)));
    assert_verdict!(policy, facts("0s", "10s"), Verdict::RaiseFloor(Tier::Middle));
}

#[test]
fn waits_double_up_to_the_cap() {
    let policy = test::policy::<Ladder>("hold_after = 50\nrefuse_after = 50");
    for (streak, wait) in [(3, Span::seconds(10)), (4, Span::seconds(20)), (7, Span::seconds(160)), (8, BACK_OFF_CAP)] {
        assert_verdict!(policy, failures(streak).since_failure("0s"), Verdict::BackOff(wait));
    }
    assert_verdict!(policy, failures(49).since_failure("0s"), Verdict::BackOff(BACK_OFF_CAP));
    let off = test::policy::<Ladder>("back_off.base = '0s'");
    assert_verdict!(off, failures(3).since_failure("0s"), Verdict::RaiseFloor(Tier::Middle));
}

#[test]
fn a_fast_failure_trips_early() {
    let policy = test::shipped::<Ladder>();
    assert_verdict!(policy, failures(1).fast_failures(1), Verdict::Proceed);
    assert_verdict!(policy, failures(2).fast_failures(0), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(policy, failures(2).fast_failures(1), hold("fast-failures", 1, 1));
    let patient = test::policy::<Ladder>("fast_failures = { in_a_row = 3, from_attempt = 3 }");
    assert_verdict!(patient, failures(3).fast_failures(2), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(patient, failures(3).fast_failures(3), hold("fast-failures", 3, 3));
    let off = test::policy::<Ladder>("fast_failures.enabled = false");
    assert_verdict!(off, failures(2).fast_failures(2), Verdict::RaiseFloor(Tier::Middle));
}

#[test]
fn a_task_that_goes_on_failing_for_too_long_is_held() {
    let policy = test::shipped::<Ladder>();
    let facts = |streak, elapsed: &str| failures(streak).streak_elapsed(elapsed);
    assert_verdict!(policy, facts(1, "3h"), Verdict::Proceed);
    assert_verdict!(policy, facts(2, "20m"), Verdict::RaiseFloor(Tier::Middle));
    let reason = test::reason("failing-for", "1200001ms", ELAPSED_CEILING);
    assert_verdict!(policy, facts(2, "1200001ms"), Verdict::HoldForHuman(reason));
    let off = test::policy::<Ladder>("elapsed.enabled = false");
    assert_verdict!(off, facts(2, "3h"), Verdict::RaiseFloor(Tier::Middle));
}

#[test]
fn each_loop_ends_in_its_own_way() {
    let policy = test::shipped::<Ladder>();
    let facts = |repetition, times| failures(1).repeated(repetition, times);
    for (repetition, code) in [
        (Repetition::SameFailure, "same-failure"),
        (Repetition::TimedOutContext, "timed-out-context"),
        (Repetition::SameProposal, "same-proposal"),
    ] {
        assert_verdict!(policy, facts(repetition, 2), Verdict::Proceed);
        assert_verdict!(policy, facts(repetition, 3), hold(code, 3, 3));
        assert_verdict!(policy, facts(repetition, 3).approved(), Verdict::Proceed);
    }
    let refused = Verdict::Refuse(test::reason("output-limit", 2_u32, 2_u32));
    assert_verdict!(policy, facts(Repetition::OutputLimit, 1), Verdict::Proceed);
    assert_verdict!(policy, facts(Repetition::OutputLimit, 2), refused);
    assert_verdict!(policy, facts(Repetition::OutputLimit, 2).approved(), refused);
    let ignores = test::policy::<Ladder>("repetitions.same_proposal = { times = 1, then = 'ignore' }");
    assert_verdict!(ignores, facts(Repetition::SameProposal, 9), Verdict::Proceed);
}

#[test]
fn a_context_above_its_ceiling_is_refused_and_an_unknown_one_is_not() {
    let _host = test::host().task_type("coding-go").install();
    let policy = test::policy::<Ladder>("context_ceilings = { 'coding-*' = 200000 }");
    let facts = |tokens: u64| test::retry_ceiling().task_type("coding-go").input(tokens);
    assert_verdict!(policy, facts(200_000), Verdict::Proceed);
    let refused = Verdict::Refuse(test::reason("split-the-task", "200001 tokens", "200000 tokens"));
    assert_verdict!(policy, facts(200_001), refused);
    assert_verdict!(policy, facts(200_001).approved(), refused);
    assert_verdict!(policy, facts(0), Verdict::Proceed);
    assert_verdict!(policy, facts(900_000).task_type("planning"), Verdict::Proceed);
}

#[test]
fn premium_that_was_rejected_twice_waits_for_a_human() {
    let policy = test::shipped::<Ladder>();
    let facts = |rejections| test::retry_ceiling().rejections(rejections).failed_tier(Tier::Premium);
    assert_verdict!(policy, facts(1), Verdict::RaiseFloor(Tier::Premium));
    assert_verdict!(policy, facts(2), hold("rejected-at-premium", 2, 2));
    assert_verdict!(policy, facts(2).failed_tier(Tier::Middle), Verdict::RaiseFloor(Tier::Premium));
}

#[test]
fn an_approval_lets_holds_pass_and_nothing_else() {
    let policy = test::shipped::<Ladder>();
    assert_verdict!(policy, failures(4).approved(), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(policy, failures(4).approved().since_failure("0s"), Verdict::BackOff(Span::seconds(20)));
    assert_verdict!(policy, failures(2).fast_failures(2).approved(), Verdict::RaiseFloor(Tier::Middle));
    assert_verdict!(policy, failures(6).approved(), Verdict::Refuse(test::reason("failed-attempts", 6_u32, 6_u32)));
}

#[test]
fn a_ladder_out_of_order_is_refused() {
    for (config, names) in [
        ("hold_after = 7", "hold_after"),
        ("escalate_after = 7", "escalate_after"),
        ("back_off = { base = '10m' }", "back_off.base"),
        ("back_off = { cap = '50d' }", "back_off.cap"),
        ("context_ceilings = { x = 0 }", "context_ceilings.x"),
        ("escalate_after = 0", "/escalate_after"),
        ("hold_after = '4'", "/hold_after"),
        ("repetitions.same_failure = { times = 4 }", "then"),
        ("retries = 3", "retries"),
    ] {
        let refused = test::configure::<Ladder>(config).expect_err(config);
        assert!(refused.to_string().contains(names), "{config}: {refused}");
    }
}

/// How strict a verdict is.
fn rung(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Proceed => 0,
        Verdict::RaiseFloor(_) => 1,
        Verdict::BackOff(_) => 2,
        Verdict::HoldForHuman(_) => 3,
        Verdict::Refuse(_) => 4,
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let repetition = prop::option::of(prop::sample::select(vec![
        Repetition::SameFailure,
        Repetition::TimedOutContext,
        Repetition::OutputLimit,
        Repetition::SameProposal,
    ]));
    let tier = prop::option::of(prop::sample::select(vec![Tier::Low, Tier::Middle, Tier::Premium]));
    ((0_u32..8, 0_u32..8, 0_u64..3_000, 0_u64..3_000), (0_u32..4, 0_u32..4, tier), (repetition, 0_u32..5)).prop_map(
        |((attempts, streak, elapsed, since), (fast, rejections, failed_tier), (repetition, repetitions))| Facts {
            failed_tier,
            repetition,
            repetitions,
            ..test::retry_ceiling()
                .attempts(attempts.max(streak))
                .streak(streak)
                .streak_elapsed(Span::seconds(elapsed))
                .since_failure(Span::seconds(since))
                .fast_failures(fast)
                .rejections(rejections)
                .facts()
        },
    )
}

thread_local! {
    /// Configured once for the many cases below.
    static SHIPPED: Ladder = test::shipped();
}

fn shipped(facts: &Facts) -> Verdict {
    SHIPPED.with(|policy| policy.evaluate(facts))
}

proptest! {
    #[test]
    fn one_failure_more_is_never_judged_milder(facts in any_facts()) {
        let mut worse = facts.clone();
        worse.attempts = worse.attempts.saturating_add(1);
        worse.streak = worse.streak.saturating_add(1);
        worse.since_failure = Span::ZERO;
        prop_assert!(rung(shipped(&worse)) >= rung(shipped(&facts)));
    }

    #[test]
    fn waiting_as_told_ends_after_one_wait(facts in any_facts()) {
        if let Verdict::BackOff(wait) = shipped(&facts) {
            let mut later = facts;
            let passed = later.since_failure.as_milliseconds().saturating_add(wait.as_milliseconds());
            later.since_failure = Span::milliseconds(passed);
            later.dispatch.waited = wait;
            prop_assert!(!matches!(shipped(&later), Verdict::BackOff(_)));
        }
    }

    #[test]
    fn rejected_work_never_goes_back_to_the_tier_that_failed(mut facts in any_facts(), rejections in 1_u32..9) {
        facts.rejections = rejections;
        let failed = facts.failed_tier.unwrap_or(Tier::Low);
        match shipped(&facts) {
            Verdict::Proceed => prop_assert!(false, "proceeds without a floor"),
            Verdict::RaiseFloor(floor) => prop_assert!(floor > failed || failed == Tier::Premium),
            _ => {}
        }
    }
}
