use super::*;
use crate::{Configuration, ConfigurationError};

fn parse(budgets: &str) -> Result<Vec<Budget>, ConfigurationError> {
    Ok(Configuration::parse(&format!("version = 1\n{budgets}"))?.budgets)
}

#[test]
fn a_budget_says_whom_it_covers_and_who_shares() -> Result<(), ConfigurationError> {
    let budgets = parse(
        r#"
        [[budget]]
        scope = "run"
        limit = "10.00 USD"
        [[budget]]
        for = { team = "red-*", model = "claude-opus-*", task-type = "refactoring" }
        limit = "1.00 USD"
        window = "last 24h"
        thresholds = ["50%", "99.5%"]
        carry_over = "0.25 USD"
        [[budget]]
        name = "platform"
        for = { team = ["red", "blue"] }
        limit = "1.00 USD"
        hard = "1.00 USD"
        window = "month"
        time_zone = "Europe/Berlin"
        owner = "ada"
        [[budget]]
        for = {}
        limit = "5.00 USD"
        "#,
    )?;
    let names: Vec<&str> = budgets.iter().map(|budget| &*budget.name).collect();
    assert_eq!(names, ["run", "team=red-* task-type=refactoring model=claude-opus-*", "platform", "everything"]);
    assert_eq!(budgets[0], Budget::each(ScopeKind::Run, Nanodollars::new(10_000_000_000)));
    assert_eq!(budgets[1].window, Window::Rolling { length_ms: 86_400_000 });
    assert_eq!((&budgets[1].thresholds[..], budgets[1].carry_over.as_u64()), (&[500, 995][..], 250_000_000));
    assert_eq!(budgets[2].selector[0].1, Pattern::Shared(vec!["red".into(), "blue".into()]));
    assert_eq!(budgets[2].owner.as_deref(), Some("ada"));
    assert!(matches!(budgets[2].window, Window::Month(_)));
    let kinds: Vec<ScopeKind> = budgets.iter().map(Budget::kind).collect();
    assert_eq!(kinds, [ScopeKind::Run, ScopeKind::Team, ScopeKind::Team, ScopeKind::Organisation]);
    Ok(())
}

#[test]
fn a_glob_has_one_star_anywhere() {
    for (glob, covered, not) in
        [("*", "", None), ("red-*", "red-1", Some("red")), ("*-opus", "x-opus", Some("opus")), ("a*a", "aa", Some("a"))]
    {
        let pattern = Pattern::Each(glob.into());
        assert!(pattern.covers(covered), "{glob}");
        assert!(not.is_none_or(|not| !pattern.covers(not)), "{glob}");
    }
}

#[test]
fn what_is_wrong_with_a_budget_is_named() {
    let many = format!("for = {{ team = [{}] }}\nlimit = \"1.00 USD\"", vec!["\"x\""; 257].join(","));
    let long = format!("name = \"{}\"\nfor = {{}}\nlimit = \"1.00 USD\"", "n".repeat(257));
    let crossing: Vec<String> = (1..=16).map(|percent| format!("\"{percent}%\"")).collect();
    let crossing = format!("for = {{}}\nlimit = \"1.00 USD\"\nthresholds = [{}]", crossing.join(","));
    for (budget, says) in [
        ("limit = \"1.00 USD\"", "a budget says what it is for"),
        ("scope = \"team\"\nname = \"blue\"\nlimit = \"1.00 USD\"", "`for = { team = \"*\" }`"),
        ("scope = \"team\"\nfor = {}\nlimit = \"1.00 USD\"", "a budget says what it is for"),
        ("for = { colour = \"red\" }\nlimit = \"1.00 USD\"", "a budget cannot be for a `colour`"),
        ("for = { team = \"*-*\" }\nlimit = \"1.00 USD\"", "`*-*` is no pattern"),
        ("for = { team = \"\" }\nlimit = \"1.00 USD\"", "`` is no pattern"),
        ("for = { team = [] }\nlimit = \"1.00 USD\"", "and this one 0"),
        (many.as_str(), "and this one 257"),
        (long.as_str(), "a budget's name has 1 to 256 bytes"),
        (crossing.as_str(), "be at most 15"),
        ("for = {}\nlimit = 5", "`budget[0].limit`: invalid type: integer `5`, expected an amount of money"),
        ("for = {}\nlimit = \"5\"", "`limit`: "),
        ("for = {}\nlimit = \"9300000000.00 USD\"", "more than an account can hold"),
        ("for = {}\nlimit = \"2.00 USD\"\nhard = \"1.00 USD\"", "`hard` is 1.00 USD, below the limit of 2.00 USD"),
        ("for = {}\nlimit = \"1.00 USD\"\nthresholds = [\"0.8\"]", "`0.8` is no threshold"),
        ("for = {}\nlimit = \"1.00 USD\"\nthresholds = [\"90%\", \"80%\"]", "thresholds must ascend"),
        ("for = {}\nlimit = \"1.00 USD\"\nwindow = \"year\"", "`year` is no window"),
        (
            "scope = \"run\"\nlimit = \"1.00 USD\"\n[[budget]]\nscope = \"run\"\nlimit = \"2.00 USD\"",
            "two budgets are called `run`: give one of them another name, as in `name = \"run a day\"`",
        ),
    ] {
        let error = parse(&format!("[[budget]]\n{budget}\n")).map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains(says)), "{budget}: {error:?}");
    }
}
