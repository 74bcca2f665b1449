//! The policy's rules, natively: no WebAssembly is needed for a test.

use template::{DEFAULT_CEILING, SingleCall};
use tollgate_sdk::budget::{Facts, Verdict};
use tollgate_sdk::{assert_verdict, test};

fn hold(actual: &str, limit: &str) -> Verdict {
    Verdict::HoldForApproval(test::reason("single-call", actual, limit))
}

#[test]
fn cases() {
    test::cases::<SingleCall, Facts>("cases");
}

#[test]
fn a_call_above_the_ceiling_waits_for_an_approval() {
    let policy = test::shipped::<SingleCall>();
    assert_verdict!(policy, test::budget().estimated_cost(DEFAULT_CEILING), Verdict::Proceed);
    assert_verdict!(policy, test::budget().estimated_cost("5.01 USD"), hold("5.01 USD", "5.00 USD"));
    assert_verdict!(policy, test::budget().estimated_cost("5.01 USD").approved(), Verdict::Proceed);
}

#[test]
fn the_most_specific_pattern_is_the_ceiling_of_a_task_type() {
    let _host = test::host().task_type("test-plan").task_type("test-generation").install();
    let policy = test::policy::<SingleCall>("[task_types]\n'test-*' = '1.00 USD'\n'test-plan' = '3.00 USD'");
    let facts = |task_type| test::budget().task_type(task_type).estimated_cost("2.00 USD");
    assert_verdict!(policy, facts("test-generation"), hold("2.00 USD", "1.00 USD"));
    assert_verdict!(policy, facts("test-plan"), Verdict::Proceed);
    assert_verdict!(policy, facts("refactoring"), Verdict::Proceed);
}

#[test]
fn a_ceiling_of_nothing_is_refused() {
    let refused = test::configure::<SingleCall>("ceiling = '0.00 USD'").expect_err("it would hold everything");
    assert_eq!(refused.to_string(), "`ceiling`: must be above 0.00 USD");
}
