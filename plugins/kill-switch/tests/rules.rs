//! Every rule of the kill switch at its boundaries, natively.

use kill_switch::{Config, OUTLIER_FLOOR, RATE_TIME_TO_LIVE, RUN_COST_CEILING, RUN_COST_TIME_TO_LIVE, SpendSwitch};
use proptest::prelude::*;
use tollgate_sdk::kill_switch::{Facts, Moment, Selector, Verdict};
use tollgate_sdk::{KillSwitch, Nanodollars, Reason, ScopeKind, Span, SwitchMode, assert_verdict, test};

fn cut_run(time_to_live: Span, reason: Reason) -> Verdict {
    Verdict::trip(Selector::Scope(ScopeKind::Run), SwitchMode::Cut, time_to_live, reason)
}

#[test]
fn cases() {
    test::cases::<SpendSwitch, Facts>("cases");
}

#[test]
fn nothing_covered_and_nothing_spent_proceeds() {
    assert_verdict!(test::shipped::<SpendSwitch>(), test::kill_switch(), Verdict::Proceed);
}

#[test]
fn a_switch_stops_what_would_start_and_only_a_cut_what_runs() {
    let policy = test::shipped::<SpendSwitch>();
    let stop = Verdict::Stop(test::reason_alone("maintenance"));
    for (mode, moment, expected) in [
        (SwitchMode::Drain, Moment::Dispatch, stop),
        (SwitchMode::Drain, Moment::Extend, Verdict::Proceed),
        (SwitchMode::Drain, Moment::Post, Verdict::Proceed),
        (SwitchMode::Cut, Moment::Dispatch, stop),
        (SwitchMode::Cut, Moment::Extend, stop),
        (SwitchMode::Cut, Moment::Post, stop),
    ] {
        let facts = test::kill_switch().covered(mode).covered_reason("maintenance").moment(moment);
        assert_verdict!(policy, facts, expected);
    }
}

#[test]
fn a_switch_without_a_reason_still_gives_one() {
    let facts = test::kill_switch().covered(SwitchMode::Cut);
    assert_verdict!(test::shipped::<SpendSwitch>(), facts, Verdict::Stop(test::reason_alone("switch-engaged")));
}

#[test]
fn no_approval_lifts_a_switch() {
    let facts = test::kill_switch().covered(SwitchMode::Drain).approved();
    assert_verdict!(test::shipped::<SpendSwitch>(), facts, Verdict::Stop(test::reason_alone("switch-engaged")));
}

#[test]
fn a_run_past_its_ceiling_trips_at_every_moment() {
    let policy = test::shipped::<SpendSwitch>();
    let past = RUN_COST_CEILING.saturating_add(Nanodollars::new(1));
    assert_verdict!(policy, test::kill_switch().run_cost(RUN_COST_CEILING), Verdict::Proceed);
    for moment in [Moment::Dispatch, Moment::Extend, Moment::Post] {
        let expected = cut_run(RUN_COST_TIME_TO_LIVE, test::reason("run-cost", past, RUN_COST_CEILING));
        assert_verdict!(policy, test::kill_switch().run_cost(past).moment(moment), expected);
        assert_verdict!(policy, test::kill_switch().run_cost(past).moment(moment).approved(), expected);
    }
}

#[test]
fn a_drained_run_past_its_ceiling_is_cut_but_not_drained_again() {
    let facts = || test::kill_switch().run_cost("1001.00 USD").covered(SwitchMode::Drain).moment(Moment::Extend);
    let expected = cut_run(RUN_COST_TIME_TO_LIVE, test::reason("run-cost", "1001.00 USD", RUN_COST_CEILING));
    assert_verdict!(test::shipped::<SpendSwitch>(), facts(), expected);
    let drains = test::policy::<SpendSwitch>("run_cost.mode = 'drain'");
    assert_verdict!(drains, facts(), Verdict::Proceed);
}

#[test]
fn a_run_that_spends_too_fast_trips() {
    let policy = test::shipped::<SpendSwitch>();
    assert_verdict!(policy, test::kill_switch().run_spend_per_minute("25.00 USD"), Verdict::Proceed);
    assert_verdict!(
        policy,
        test::kill_switch().run_spend_per_minute("25.01 USD"),
        cut_run(RATE_TIME_TO_LIVE, test::reason("run-spend-per-minute", "25.01 USD", "25.00 USD")),
    );
}

#[test]
fn the_rate_of_other_scopes_is_off_until_it_is_set() {
    let facts = || test::kill_switch().fastest(ScopeKind::Team, "40.01 USD");
    assert_verdict!(test::shipped::<SpendSwitch>(), facts(), Verdict::Proceed);
    let policy =
        test::policy::<SpendSwitch>("scope_rate = { enabled = true, per_minute = '40.00 USD', time_to_live = '5m' }");
    let reason = test::reason("scope-spend-per-minute", "40.01 USD", "40.00 USD");
    let expected = Verdict::trip(Selector::Scope(ScopeKind::Team), SwitchMode::Drain, Span::minutes(5), reason);
    assert_verdict!(policy, facts(), expected);
    assert_verdict!(policy, test::kill_switch().fastest(ScopeKind::Team, "40.00 USD"), Verdict::Proceed);
}

#[test]
fn an_outlier_trips_only_on_a_percentile_that_can_be_trusted() {
    let policy = test::shipped::<SpendSwitch>();
    let facts = || test::kill_switch().task_type_p95("2.00 USD").finished_runs(20).run_cost("20.01 USD");
    let reason = test::reason("run-cost-outlier", "20.01 USD", "20.00 USD");
    let expected = Verdict::trip(Selector::Scope(ScopeKind::Run), SwitchMode::Drain, Span::days(1), reason);
    assert_verdict!(policy, facts(), expected);
    assert_verdict!(policy, facts().run_cost("20.00 USD"), Verdict::Proceed);
    assert_verdict!(policy, facts().finished_runs(19), Verdict::Proceed);
    assert_verdict!(policy, facts().approved(), Verdict::Proceed);
}

#[test]
fn small_change_is_no_outlier() {
    let policy = test::shipped::<SpendSwitch>();
    let facts = || test::kill_switch().task_type_p95("0.01 USD").finished_runs(100);
    assert_verdict!(policy, facts().run_cost(OUTLIER_FLOOR), Verdict::Proceed);
    let reason = test::reason("run-cost-outlier", "5.01 USD", OUTLIER_FLOOR);
    let expected = Verdict::trip(Selector::Scope(ScopeKind::Run), SwitchMode::Drain, Span::days(1), reason);
    assert_verdict!(policy, facts().run_cost("5.01 USD"), expected);
}

#[test]
fn every_rule_can_be_switched_off() {
    let policy = test::policy::<SpendSwitch>(
        "run_cost.enabled = false\nrun_rate.enabled = false\noutlier.enabled = false\nscope_rate.enabled = false",
    );
    let facts = test::kill_switch()
        .run_cost("9999.00 USD")
        .run_spend_per_minute("9999.00 USD")
        .fastest(ScopeKind::Key, "9999.00 USD")
        .finished_runs(1000);
    assert_verdict!(policy, facts, Verdict::Proceed);
}

#[test]
fn a_task_type_has_limits_of_its_own_also_where_the_rule_is_off() {
    let _host = test::host().task_type("migration-schema").task_type("boilerplate").install();
    let policy = test::policy::<SpendSwitch>(
        "run_cost.enabled = false\n[task_types]\n'migration-*' = { run_cost = '400.00 USD' }\nboilerplate = { run_cost = '3.00 USD', outlier_factor = 2 }",
    );
    let facts = |task_type, cost| test::kill_switch().task_type(task_type).run_cost(cost);
    assert_verdict!(policy, facts("migration-schema", "400.00 USD"), Verdict::Proceed);
    assert_verdict!(
        policy,
        facts("migration-schema", "400.01 USD"),
        cut_run(RUN_COST_TIME_TO_LIVE, test::reason("run-cost", "400.01 USD", "400.00 USD")),
    );
    assert_verdict!(
        policy,
        facts("boilerplate", "3.01 USD"),
        cut_run(RUN_COST_TIME_TO_LIVE, test::reason("run-cost", "3.01 USD", "3.00 USD")),
    );
    assert_verdict!(policy, facts("another", "5000.00 USD"), Verdict::Proceed);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (config, names) in [
        ("run_cost.time_to_live = '0s'", "run_cost.time_to_live"),
        ("outlier.factor = 0", "/outlier/factor"),
        ("run_cost.ceiling = '250.00'", "/run_cost/ceiling"),
        ("run_costs.ceiling = '250.00 USD'", "run_costs"),
        ("run_cost.mode = 'stop'", "/run_cost/mode"),
    ] {
        let refused = test::configure::<SpendSwitch>(config).expect_err(config);
        assert!(refused.to_string().contains(names), "{config}: {refused}");
    }
}

#[test]
fn an_empty_configuration_is_the_default_one() {
    let written = tollgate_sdk::test::schema::<SpendSwitch>();
    let defaults = written.pointer("/properties/run_cost/default/ceiling");
    assert_eq!(
        defaults.and_then(|value| value.as_str()),
        Some(Config::default().run_cost.ceiling.to_string().as_str())
    );
}

thread_local! {
    /// Configured once for the many cases below.
    static POLICY: SpendSwitch = test::policy("scope_rate.enabled = true");
}

fn verdict(facts: &Facts) -> Verdict {
    POLICY.with(|policy| policy.evaluate(facts))
}

proptest! {
    #[test]
    fn a_trip_carries_evidence_and_an_end(cost in 0_u64..1_000, rate in 0_u64..100, scope_rate in 0_u64..100, p95 in 0_u64..50, runs in 0_u32..40) {
        let facts = test::kill_switch()
            .run_cost(Nanodollars::dollars(cost))
            .run_spend_per_minute(Nanodollars::dollars(rate))
            .fastest(ScopeKind::Project, Nanodollars::dollars(scope_rate))
            .task_type_p95(Nanodollars::dollars(p95))
            .finished_runs(runs)
            .facts();
        match verdict(&facts) {
            Verdict::Trip(trip) => {
                prop_assert!(trip.reason.actual > trip.reason.limit);
                prop_assert!(trip.time_to_live > Span::ZERO);
            }
            verdict => prop_assert_eq!(verdict, Verdict::Proceed),
        }
    }

    #[test]
    fn more_spend_never_lifts_a_trip(cost in 0_u64..500, more in 0_u64..500) {
        let facts = |cost| test::kill_switch().run_cost(Nanodollars::dollars(cost)).facts();
        let proceeds = |cost| verdict(&facts(cost)) == Verdict::Proceed;
        prop_assert!(proceeds(cost) || !proceeds(cost.saturating_add(more)));
    }
}
