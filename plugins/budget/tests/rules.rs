//! Every rung of the budget ladder at its boundaries, natively.

use budget::{CAP_OUTPUT_TOKENS, Ladder, SLOW};
use proptest::prelude::*;
use tollgate_sdk::budget::{Facts, Verdict};
use tollgate_sdk::{Budget, Nanodollars, Priority, ScopeKind, Span, assert_verdict, test};

/// A budget of 100 dollars, with a hard ceiling of 110, of which so much is spent.
fn team(spent: &str) -> test::ScopeFacts {
    test::scope(ScopeKind::Team, "100.00 USD").owner("platform-leads").spent(spent)
}

fn facts(spent: &str, estimated_cost: &str) -> test::BudgetFacts {
    test::budget().scope(team(spent)).estimated_cost(estimated_cost)
}

fn hold(actual: &str) -> Verdict {
    Verdict::HoldForApproval(test::reason("budget-limit", actual, "100.00 USD"))
}

#[test]
fn cases() {
    test::cases::<Ladder, Facts>("cases");
}

#[test]
fn without_a_budget_everything_proceeds() {
    assert_verdict!(test::shipped::<Ladder>(), test::budget().estimated_cost("900.00 USD"), Verdict::Proceed);
}

#[test]
fn work_that_can_wait_is_slowed_from_the_threshold_on() {
    let policy = test::shipped::<Ladder>();
    let low = |spent| facts(spent, "1.00 USD").priority(Priority::Low);
    assert_verdict!(policy, low("79.99 USD"), Verdict::Proceed);
    assert_verdict!(policy, low("80.00 USD"), Verdict::Slow(SLOW));
    assert_verdict!(policy, low("80.00 USD").waited("500ms"), Verdict::Slow(Span::milliseconds(1_500)));
    assert_verdict!(policy, low("80.00 USD").waited("2s"), Verdict::Proceed);
    for priority in [Priority::Normal, Priority::High] {
        assert_verdict!(policy, facts("80.00 USD", "1.00 USD").priority(priority), Verdict::Proceed);
    }
    let off = test::policy::<Ladder>("slow = '0s'");
    assert_verdict!(off, low("90.00 USD"), Verdict::Proceed);
}

#[test]
fn what_is_reserved_counts_as_spent() {
    let policy = test::shipped::<Ladder>();
    let scope = team("40.00 USD").reserved("40.00 USD");
    let low = test::budget().scope(scope).estimated_cost("1.00 USD").priority(Priority::Low);
    assert_verdict!(policy, low, Verdict::Slow(SLOW));
    let scope = team("60.00 USD").reserved("50.00 USD");
    let reason = test::reason("platform-leads", "110.01 USD", "110.00 USD");
    assert_verdict!(policy, test::budget().scope(scope).estimated_cost("0.01 USD"), Verdict::Refuse(reason));
}

#[test]
fn at_the_limit_low_priority_and_dear_work_needs_an_approval() {
    let policy = test::shipped::<Ladder>();
    let low = |spent, cost| facts(spent, cost).priority(Priority::Low).waited("2s");
    assert_verdict!(policy, low("99.00 USD", "1.00 USD"), Verdict::Proceed);
    assert_verdict!(policy, low("99.00 USD", "1.01 USD"), hold("100.01 USD"));
    assert_verdict!(policy, low("99.00 USD", "1.01 USD").approved(), Verdict::Proceed);
    assert_verdict!(policy, facts("99.00 USD", "1.01 USD"), Verdict::Proceed);
    assert_verdict!(policy, facts("99.00 USD", "4.99 USD"), Verdict::Proceed);
    assert_verdict!(policy, facts("99.00 USD", "5.00 USD"), hold("104.00 USD"));
    assert_verdict!(policy, facts("99.00 USD", "5.00 USD").priority(Priority::High), hold("104.00 USD"));
    assert_verdict!(policy, facts("99.00 USD", "5.00 USD").approved(), Verdict::Proceed);
}

#[test]
fn over_the_hard_ceiling_is_refused_in_the_name_of_the_owner() {
    let policy = test::shipped::<Ladder>();
    let refused = |code, actual| Verdict::Refuse(test::reason(code, actual, "110.00 USD"));
    assert_verdict!(policy, facts("109.00 USD", "1.00 USD"), Verdict::Proceed);
    assert_verdict!(policy, facts("109.00 USD", "1.01 USD"), refused("platform-leads", "110.01 USD"));
    assert_verdict!(policy, facts("109.00 USD", "1.01 USD").approved(), refused("platform-leads", "110.01 USD"));
    let nobody = test::scope(ScopeKind::Run, "100.00 USD").spent("109.00 USD");
    let facts = test::budget().scope(nobody).estimated_cost("1.01 USD");
    assert_verdict!(policy, facts, refused("budget-hard-ceiling", "110.01 USD"));
}

#[test]
fn the_scope_that_is_furthest_over_is_named() {
    let policy = test::shipped::<Ladder>();
    let run = test::scope(ScopeKind::Run, "10.00 USD").owner("runner").spent("10.00 USD");
    let facts = test::budget().scope(team("110.00 USD")).scope(run).estimated_cost("2.00 USD");
    let reason = test::reason("platform-leads", "112.00 USD", "110.00 USD");
    assert_verdict!(policy, facts, Verdict::Refuse(reason));
}

#[test]
fn what_costs_nothing_is_never_held_for_money() {
    let policy = test::shipped::<Ladder>();
    assert_verdict!(policy, facts("500.00 USD", "0.00 USD"), Verdict::Proceed);
    assert_verdict!(policy, facts("500.00 USD", "0.00 USD").priority(Priority::Low).waited("2s"), Verdict::Proceed);
    let empty = test::budget().scope(test::scope(ScopeKind::Key, "0.00 USD"));
    assert_verdict!(policy, empty, Verdict::Proceed);
}

#[test]
fn a_budget_of_nothing_refuses_the_first_nanodollar() {
    let policy = test::shipped::<Ladder>();
    let facts = test::budget().scope(test::scope(ScopeKind::Key, "0.00 USD")).estimated_cost(Nanodollars::new(1));
    let reason = test::reason("budget-hard-ceiling", Nanodollars::new(1), Nanodollars::ZERO);
    assert_verdict!(policy, facts, Verdict::Refuse(reason));
}

#[test]
fn outputs_are_capped_only_where_that_is_configured() {
    let shipped = test::shipped::<Ladder>();
    assert_verdict!(shipped, facts("95.00 USD", "1.00 USD"), Verdict::Proceed);
    let policy = test::policy::<Ladder>("cap_output.enabled = true");
    let cap = Verdict::CapOutput(CAP_OUTPUT_TOKENS);
    assert_verdict!(policy, facts("89.99 USD", "1.00 USD"), Verdict::Proceed);
    assert_verdict!(policy, facts("90.00 USD", "1.00 USD"), cap);
    assert_verdict!(policy, facts("90.00 USD", "1.00 USD").output(8_192_u64), Verdict::Proceed);
    assert_verdict!(policy, facts("90.00 USD", "1.00 USD").output(8_193_u64), cap);
    let low = || facts("90.00 USD", "1.00 USD").priority(Priority::Low);
    assert_verdict!(policy, low(), Verdict::Slow(SLOW));
    assert_verdict!(policy, low().waited("2s"), cap);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (config, names) in [
        ("approaching = '0%'", "approaching"),
        ("approaching = 0.8", "/approaching"),
        ("cap_output.tokens = 0", "cap_output.tokens"),
        ("cap_output.tokens = 4294967296", "cap_output.tokens"),
        ("slow = '60d'", "slow"),
        ("dear = '5'", "/dear"),
        ("limit = '5.00 USD'", "limit"),
    ] {
        let refused = test::configure::<Ladder>(config).expect_err(config);
        assert!(refused.to_string().contains(names), "{config}: {refused}");
    }
}

/// How strict a verdict is.
fn rung(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Proceed => 0,
        Verdict::CapOutput(_) => 1,
        Verdict::Slow(_) => 2,
        Verdict::HoldForApproval(_) => 3,
        Verdict::Refuse(_) => 4,
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let scope = (0_u64..130, 0_u64..30, 1_u64..120);
    let priority = prop::sample::select(vec![Priority::Low, Priority::Normal, Priority::High]);
    (prop::collection::vec(scope, 0..5), 0_u64..12, priority, any::<bool>()).prop_map(
        |(scopes, cost, priority, approved)| {
            let facts = test::budget().estimated_cost(Nanodollars::dollars(cost)).priority(priority);
            let facts = scopes.into_iter().fold(facts, |facts, (spent, reserved, limit)| {
                let scope = test::scope(ScopeKind::Run, Nanodollars::dollars(limit));
                let scope = scope.spent(Nanodollars::dollars(spent)).reserved(Nanodollars::dollars(reserved));
                facts.scope(scope)
            });
            if approved { facts.approved().facts() } else { facts.facts() }
        },
    )
}

thread_local! {
    /// Configured once for the many cases below.
    static POLICY: Ladder = test::policy("cap_output.enabled = true");
}

fn verdict(facts: &Facts) -> Verdict {
    POLICY.with(|policy| policy.evaluate(facts))
}

proptest! {
    #[test]
    fn another_scope_never_makes_it_milder(mut facts in any_facts(), spent in 0_u64..130) {
        let before = rung(&verdict(&facts));
        let scope = test::scope(ScopeKind::Key, "100.00 USD").spent(Nanodollars::dollars(spent));
        facts.scopes.push(scope.into());
        prop_assert!(rung(&verdict(&facts)) >= before);
    }

    #[test]
    fn nothing_that_passes_a_hard_ceiling_goes(facts in any_facts()) {
        let passes = facts.scopes.iter().any(|scope| scope.with(facts.estimated_cost) > scope.hard);
        let refused = matches!(verdict(&facts), Verdict::Refuse(_));
        prop_assert_eq!(refused, passes && facts.estimated_cost > Nanodollars::ZERO);
    }

    #[test]
    fn waiting_as_told_ends_after_one_wait(facts in any_facts()) {
        if let Verdict::Slow(wait) = verdict(&facts) {
            let mut later = facts;
            later.dispatch.waited = wait;
            prop_assert!(!matches!(verdict(&later), Verdict::Slow(_)));
        }
    }
}
