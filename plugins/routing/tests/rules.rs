//! Every rule of routing, natively.

use proptest::prelude::*;
use routing::{TABLE, Table};
use tollgate_sdk::routing::{Facts, Verdict};
use tollgate_sdk::{Candidate, Health, Hosting, Nanodollars, Routing, Tier, assert_verdict, test};

/// One model of each tier, dearer with each: the indexes 0, 1 and 2.
fn offers(task_type: &str) -> test::RoutingFacts {
    test::routing()
        .task_type(task_type)
        .candidate(test::candidate("small", Tier::Low, "0.10 USD"))
        .candidate(test::candidate("medium", Tier::Middle, "0.50 USD"))
        .candidate(test::candidate("large", Tier::Premium, "2.00 USD"))
}

const LOW: Verdict = Verdict::UseCandidate(0);
const MIDDLE: Verdict = Verdict::UseCandidate(1);
const PREMIUM: Verdict = Verdict::UseCandidate(2);

#[test]
fn cases() {
    test::cases::<Table, Facts>("cases");
}

#[test]
fn every_row_of_the_table_is_followed() {
    let policy = test::shipped::<Table>();
    for (task_type, tier, _) in TABLE {
        let expected = match tier {
            Tier::Low => LOW,
            Tier::Middle => MIDDLE,
            Tier::Premium => PREMIUM,
        };
        assert_verdict!(policy, offers(task_type), expected);
    }
}

#[test]
fn the_table_says_what_the_design_says() {
    let of = |tier| TABLE.iter().filter(move |row| row.1 == tier).map(|row| row.0).collect::<Vec<_>>();
    assert_eq!(of(Tier::Low), ["boilerplate", "refactoring", "test-generation", "documentation"]);
    assert_eq!(of(Tier::Middle), ["specification", "test-plan"]);
    assert_eq!(of(Tier::Premium), ["architecture", "security", "novel-integration", "root-cause"]);
    assert!(TABLE.iter().all(|row| !row.2.is_empty()));
}

#[test]
fn what_nobody_classified_is_premium_unless_configured() {
    let policy = test::shipped::<Table>();
    assert_verdict!(policy, offers("poetry"), PREMIUM);
    assert_verdict!(policy, offers("x").task_type(tollgate_sdk::Symbol::UNKNOWN), PREMIUM);
    let cheap = test::policy::<Table>("unknown = 'middle'");
    assert_verdict!(cheap, offers("poetry"), MIDDLE);
}

#[test]
fn rows_can_be_added_and_replaced_and_use_wildcards() {
    let _host = test::host().task_type("docs-api").task_type("refactoring").install();
    let policy = test::policy::<Table>(
        "more = [{ task_type = 'docs-*', tier = 'low', reason = 'as documentation' }, { task_type = 'refactoring', tier = 'middle', reason = 'our code is old' }]",
    );
    assert_verdict!(policy, offers("docs-api"), LOW);
    assert_verdict!(policy, offers("refactoring"), MIDDLE);
    assert_verdict!(policy, offers("boilerplate"), LOW);
    let only = test::policy::<Table>("table = [{ task_type = 'poetry', tier = 'low', reason = 'nobody checks' }]");
    assert_verdict!(only, offers("poetry"), LOW);
    assert_verdict!(only, offers("boilerplate"), PREMIUM);
}

#[test]
fn rejected_work_goes_to_premium() {
    let policy = test::shipped::<Table>();
    assert_verdict!(policy, offers("boilerplate").rejections(1), PREMIUM);
    assert_verdict!(policy, offers("boilerplate").rejections(1).sticky(0), PREMIUM);
    let middle = test::policy::<Table>("rejected = 'middle'");
    assert_verdict!(middle, offers("boilerplate").rejections(1), MIDDLE);
    assert_verdict!(middle, offers("architecture").rejections(1), PREMIUM);
}

#[test]
fn nothing_goes_below_the_floor() {
    let policy = test::shipped::<Table>();
    assert_verdict!(policy, offers("boilerplate").floor(Tier::Middle), MIDDLE);
    assert_verdict!(policy, offers("boilerplate").floor(Tier::Premium), PREMIUM);
    assert_verdict!(policy, offers("boilerplate").floor(Tier::Middle).sticky(0), MIDDLE);
    assert_verdict!(policy, offers("boilerplate").floor(Tier::Middle).requested_tier(Tier::Low), MIDDLE);
}

#[test]
fn a_gate_overrides_the_table_in_both_directions() {
    let policy = test::shipped::<Table>();
    assert_verdict!(policy, offers("boilerplate").requested_tier(Tier::Premium), PREMIUM);
    assert_verdict!(policy, offers("architecture").requested_tier(Tier::Low), LOW);
    assert_verdict!(policy, offers("architecture").requested_tier(Tier::Low).rejections(3), LOW);
    assert_verdict!(policy, offers("architecture").requested_tier(Tier::Low).sticky(2), LOW);
    assert_verdict!(policy, offers("architecture").requested_tier(Tier::Premium).sticky(2), PREMIUM);
}

#[test]
fn a_run_stays_where_its_cache_is() {
    let policy = test::shipped::<Table>();
    assert_verdict!(policy, offers("boilerplate").sticky(2), PREMIUM);
    assert_verdict!(policy, offers("architecture").sticky(1), MIDDLE);
}

#[test]
fn a_run_moves_when_its_candidate_no_longer_holds() {
    let policy = test::shipped::<Table>();
    let facts = |sticky| {
        test::routing()
            .task_type("boilerplate")
            .candidate(test::candidate("small", Tier::Low, "0.10 USD"))
            .candidate(sticky)
            .sticky(1)
    };
    let large = || test::candidate("large", Tier::Premium, "2.00 USD").warm();
    assert_verdict!(policy, facts(large()), MIDDLE);
    assert_verdict!(policy, facts(large().health(Health::Degraded)), LOW);
    assert_verdict!(policy, facts(large().free_slots(0)), LOW);
    assert_verdict!(policy, facts(large()).affordable("1.99 USD"), LOW);
    assert_verdict!(policy, facts(large()).affordable("2.00 USD"), MIDDLE);
    assert_verdict!(policy, facts(large()).sticky(9), LOW);
}

#[test]
fn the_cheapest_at_or_above_the_tier_takes_it() {
    let policy = test::shipped::<Table>();
    let facts = test::routing()
        .task_type("test-plan")
        .candidate(test::candidate("a", Tier::Middle, "0.50 USD"))
        .candidate(test::candidate("b", Tier::Premium, "0.40 USD"))
        .candidate(test::candidate("c", Tier::Low, "0.01 USD"));
    assert_verdict!(policy, facts, Verdict::UseCandidate(1));
}

#[test]
fn among_equals_the_warm_then_the_requested_then_the_weaker_then_the_first() {
    let policy = test::shipped::<Table>();
    let equal = |model| test::candidate(model, Tier::Low, "0.10 USD");
    let facts = || test::routing().task_type("boilerplate").candidate(equal("a")).candidate(equal("b"));
    assert_verdict!(policy, facts(), Verdict::UseCandidate(0));
    assert_verdict!(policy, facts().requested_model("b"), Verdict::UseCandidate(1));
    assert_verdict!(policy, facts().requested_model("b").candidate(equal("c").warm()), Verdict::UseCandidate(2));
    let ignores = test::policy::<Table>("requested_model = 'ignore'");
    assert_verdict!(policy, facts().requested_model("b"), Verdict::UseCandidate(1));
    assert_verdict!(ignores, facts(), Verdict::UseCandidate(0));
    let stronger = test::routing()
        .task_type("boilerplate")
        .candidate(test::candidate("strong", Tier::Premium, "0.10 USD"))
        .candidate(equal("weak"));
    assert_verdict!(policy, stronger, Verdict::UseCandidate(1));
}

#[test]
fn a_requested_model_is_honoured_where_that_is_configured() {
    let policy = test::policy::<Table>("requested_model = 'honour'");
    assert_verdict!(policy, offers("boilerplate").requested_model("large"), PREMIUM);
    assert_verdict!(policy, offers("architecture").requested_model("small"), LOW);
    assert_verdict!(policy, offers("architecture").requested_model("small").floor(Tier::Middle), PREMIUM);
    assert_verdict!(policy, offers("boilerplate").requested_model("large").affordable("1.00 USD"), LOW);
    assert_verdict!(policy, offers("boilerplate").requested_model("nobody"), LOW);
    let shipped = test::shipped::<Table>();
    assert_verdict!(shipped, offers("boilerplate").requested_model("large"), LOW);
}

#[test]
fn local_hardware_goes_first_while_it_has_free_slots() {
    let policy = test::shipped::<Table>();
    let facts = |slots| {
        test::routing()
            .task_type("boilerplate")
            .candidate(test::candidate("cheap", Tier::Low, "0.01 USD"))
            .candidate(test::candidate("own", Tier::Low, "0.02 USD").local(slots))
    };
    assert_verdict!(policy, facts(1), Verdict::UseCandidate(1));
    assert_verdict!(policy, facts(0), Verdict::UseCandidate(0));
}

#[test]
fn a_degraded_backend_only_where_no_healthy_one_is_good_enough_and_a_full_one_last() {
    let policy = test::shipped::<Table>();
    let slow = || test::candidate("slow", Tier::Low, "0.01 USD").health(Health::Degraded);
    let full = || test::candidate("full", Tier::Low, "0.00 USD").local(0);
    let facts = || test::routing().task_type("boilerplate").candidate(full()).candidate(slow());
    assert_verdict!(policy, facts(), Verdict::UseCandidate(1));
    assert_verdict!(policy, facts().candidate(test::candidate("well", Tier::Premium, "3.00 USD")), PREMIUM);
    assert_verdict!(policy, test::routing().task_type("boilerplate").candidate(full()), Verdict::UseCandidate(0));
    let down = test::candidate("down", Tier::Low, "0.01 USD").health(Health::Down);
    let nothing = Verdict::Refuse(test::reason_alone("no-candidate"));
    assert_verdict!(policy, test::routing().task_type("boilerplate").candidate(down), nothing);
}

#[test]
fn what_cannot_be_paid_is_stepped_down_and_then_left_to_the_budgets() {
    let policy = test::shipped::<Table>();
    assert_verdict!(policy, offers("architecture").affordable("2.00 USD"), PREMIUM);
    assert_verdict!(policy, offers("architecture").affordable("1.99 USD"), MIDDLE);
    assert_verdict!(policy, offers("architecture").affordable("0.49 USD"), LOW);
    assert_verdict!(policy, offers("architecture").affordable("0.09 USD"), LOW);
    let raised = offers("architecture").floor(Tier::Premium).affordable("1.99 USD");
    assert_verdict!(policy, raised, PREMIUM);
    let asked = offers("architecture").requested_tier(Tier::Premium).affordable("1.99 USD");
    assert_verdict!(policy, asked, PREMIUM);
    let strict = test::policy::<Table>("below_wanted = 'refuse'");
    assert_verdict!(strict, offers("architecture").affordable("1.99 USD"), PREMIUM);
}

#[test]
fn without_a_candidate_the_floor_allows_it_is_refused() {
    let policy = test::shipped::<Table>();
    let nothing = Verdict::Refuse(test::reason_alone("no-candidate"));
    assert_verdict!(policy, test::routing(), nothing);
    let low_only = || test::routing().candidate(test::candidate("small", Tier::Low, "0.10 USD"));
    assert_verdict!(policy, low_only(), LOW);
    assert_verdict!(policy, low_only().floor(Tier::Middle), nothing);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (config, names) in [
        ("more = [{ task_type = 'x', tier = 'low', reason = ' ' }]", "table.x"),
        ("more = [{ task_type = 'x', tier = 'low' }]", "reason"),
        ("more = [{ task_type = '', tier = 'low', reason = 'r' }]", "task_type"),
        ("unknown = 'best'", "/unknown"),
        (
            "table = [{ task_type = 'x', tier = 'low', reason = 'r' }, { task_type = 'x', tier = 'middle', reason = 's' }]",
            "twice",
        ),
        ("default = 'low'", "default"),
    ] {
        let refused = test::configure::<Table>(config).expect_err(config);
        assert!(refused.to_string().contains(names), "{config}: {refused}");
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let tier = || prop::sample::select(vec![Tier::Low, Tier::Middle, Tier::Premium]);
    let health = prop::sample::select(vec![Health::Healthy, Health::Degraded, Health::Down]);
    let candidate =
        (tier(), health, any::<bool>(), 0_u32..3, 0_u64..6).prop_map(|(tier, health, local, free_slots, dollars)| {
            Candidate {
                tier,
                health,
                hosting: if local { Hosting::Local } else { Hosting::Remote },
                free_slots,
                estimated_cost: Nanodollars::dollars(dollars),
                ..Candidate::default()
            }
        });
    let candidates = prop::collection::vec(candidate, 0..8);
    (candidates, tier(), prop::option::of(tier()), prop::option::of(0_u32..9), 0_u64..6, 0_u32..2).prop_map(
        |(candidates, floor, requested_tier, sticky, affordable, rejections)| Facts {
            floor,
            requested_tier,
            sticky,
            affordable: Nanodollars::dollars(affordable),
            rejections,
            candidates,
            ..Facts::default()
        },
    )
}

thread_local! {
    /// Configured once for the many cases below.
    static SHIPPED: Table = test::shipped();
}

proptest! {
    #[test]
    fn the_choice_is_offered_and_allowed_and_paid_where_anything_can_be(facts in any_facts()) {
        match SHIPPED.with(|policy| policy.evaluate(&facts)) {
            Verdict::UseCandidate(index) => {
                let candidate = facts.candidates.get(index as usize);
                prop_assert!(candidate.is_some(), "out of range");
                let candidate = candidate.copied().unwrap_or_default();
                prop_assert!(candidate.tier >= facts.floor);
                prop_assert!(candidate.health != Health::Down);
                prop_assert!(facts.requested_tier.is_none_or(|tier| candidate.tier >= tier));
                let least = facts.floor.max(facts.requested_tier.unwrap_or(Tier::Low));
                let mut others = facts.candidates.iter().filter(|other| other.health != Health::Down && other.tier >= least);
                let payable = others.any(|other| other.estimated_cost <= facts.affordable);
                prop_assert!(!payable || candidate.estimated_cost <= facts.affordable);
            }
            Verdict::Refuse(_) => {
                let usable = |candidate: &&Candidate| {
                    candidate.health != Health::Down
                        && candidate.tier >= facts.floor.max(facts.requested_tier.unwrap_or(Tier::Low))
                };
                prop_assert_eq!(facts.candidates.iter().filter(usable).count(), 0);
            }
            Verdict::NoOpinion => prop_assert!(false, "it always has one"),
        }
    }
}
