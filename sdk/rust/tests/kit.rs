//! The test kit itself: what it installs, what it refuses, and how a failure reads.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_sdk::budget::{Facts, Verdict};
use tollgate_sdk::{
    Budget, ConfigError, Counter, CounterEvent, CounterRule, CounterScope, Lookup, NameKind, Nanodollars, Policy,
    ReasonCode, ScopeKind, Setup, Span, Symbol, Tag, TagName, Tier, assert_verdict, test,
};

const TEAM: TagName = TagName("x-team");
const FAILURES: CounterRule =
    CounterRule { name: "failures", event: CounterEvent::Failure, by: CounterScope::Team, window: Span::hours(1) };

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    ceiling: Nanodollars,
    undeclared: bool,
}

/// Refuses the team `red` above a ceiling, and every team that fails too often.
struct Sample {
    ceiling: Nanodollars,
    team: Tag,
    red: Symbol,
    failures: Counter,
    too_dear: ReasonCode,
    too_many: ReasonCode,
}

impl Policy for Sample {
    type Config = Config;

    const TAGS: &'static [TagName] = &[TEAM];
    const COUNTERS: &'static [CounterRule] = &[FAILURES];

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if config.undeclared {
            setup.tag(TagName("x-other"));
        }
        Ok(Self {
            ceiling: config.ceiling,
            team: setup.tag(TEAM),
            red: setup.name("red"),
            failures: setup.counter(FAILURES),
            too_dear: setup.reason("too-dear"),
            too_many: setup.reason("too-many-failures"),
        })
    }
}

impl Budget for Sample {
    fn evaluate(&self, facts: &Facts) -> Verdict {
        if let Some(failures) = self.failures.read().filter(|failures| *failures > 2) {
            return Verdict::Refuse(self.too_many.exceeded(failures, 2_u64));
        }
        if self.team.read() == Some(self.red) && facts.estimated_cost > self.ceiling {
            return Verdict::Refuse(self.too_dear.exceeded(facts.estimated_cost, self.ceiling));
        }
        Verdict::Proceed
    }
}

tollgate_sdk::export!(Sample: budget);

#[test]
fn tags_and_counters_are_read_from_the_installed_host() {
    let policy = test::policy::<Sample>("ceiling = '1.00 USD'");
    let dear = || test::budget().estimated_cost("2.00 USD");
    assert_verdict!(policy, dear(), Verdict::Proceed);
    let refused = Verdict::Refuse(test::reason("too-dear", "2.00 USD", "1.00 USD"));
    {
        let _host = test::host().tag("x-team", "red").install();
        assert_verdict!(policy, dear(), refused);
        let _inner = test::host().tag("x-team", "blue").counter("failures", 2).install();
        assert_verdict!(policy, dear(), Verdict::Proceed);
    }
    let _host = test::host().counter("failures", 3).install();
    assert_verdict!(policy, dear(), Verdict::Refuse(test::reason("too-many-failures", 3_u64, 2_u64)));
}

#[test]
fn an_undeclared_tag_refuses_the_configuration() {
    let refused = test::configure::<Sample>("undeclared = true").err().expect("it reads `x-other`");
    assert_eq!(refused.to_string(), "`x-other`: read, but not declared: add it to `Policy::TAGS`");
}

#[test]
fn a_configuration_is_checked_against_the_schema_first() {
    for (config, names) in [
        ("celing = '1.00 USD'", "celing"),
        ("ceiling = '1.00'", "/ceiling"),
        ("ceiling = 1", "/ceiling"),
        ("ceiling = '99999999999.00 USD'", "larger"),
        ("ceiling =", "ceiling ="),
    ] {
        let refused = test::configure::<Sample>(config).err().expect(config);
        assert!(refused.to_string().contains(names), "{config}: {refused}");
    }
    assert!(test::configure::<Sample>(serde_json::json!({ "ceiling": "1.00 USD" })).is_ok());
}

#[test]
fn the_most_specific_pattern_wins_and_a_repeated_one_is_refused() -> Result<(), ConfigError> {
    struct Tables(Lookup<u32>);

    impl Policy for Tables {
        type Config = tollgate_sdk::NoConfig;

        fn configure(_: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
            let twice = setup.lookup(NameKind::TaskType, [("a", 1), ("a", 2)]);
            assert_eq!(twice.unwrap_err().to_string(), "`a`: stands there twice: remove one");
            assert!(setup.lookup(NameKind::Stage, [("", 1)]).is_err());
            let values = [("*", 0), ("test-*", 1), ("*-plan", 2), ("test-plan", 3), ("beyond", 4)];
            Ok(Self(setup.lookup(NameKind::TaskType, values)?))
        }
    }

    let _host = test::host().task_type("test-plan").task_type("test-run").task_type("a-plan").task_type("x").install();
    let table = test::shipped::<Tables>().0;
    let find = |name| table.find(test::name(name)).copied();
    assert_eq!(find("test-plan"), Some(3));
    assert_eq!(find("test-run"), Some(1));
    assert_eq!(find("a-plan"), Some(2));
    assert_eq!(find("x"), Some(0));
    assert_eq!(find("beyond"), Some(4), "named without a wildcard, so the catalogue does not matter");
    assert_eq!(find("unheard-of"), None);
    assert_eq!(table.find(Symbol::UNKNOWN), None);
    Ok(())
}

#[test]
fn models_are_matched_by_pattern() {
    struct Models(usize);

    impl Policy for Models {
        type Config = tollgate_sdk::NoConfig;

        fn configure(_: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
            Ok(Self(setup.models_matching("claude-*").len()))
        }
    }

    let host = test::host().model("claude-opus", Tier::Premium).model("claude-haiku", Tier::Low);
    let _host = host.model("gpt", Tier::Middle).install();
    assert_eq!(test::shipped::<Models>().0, 2);
}

#[test]
fn a_name_that_no_host_takes_refuses_the_configuration() {
    #[derive(Debug)]
    struct Names;

    impl Policy for Names {
        type Config = tollgate_sdk::NoConfig;

        fn configure(_: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
            setup.name(&"x".repeat(257));
            Ok(Self)
        }
    }

    let refused = test::configure::<Names>("").expect_err("257 bytes");
    assert!(refused.to_string().contains("257 bytes"), "{refused}");
}

#[test]
fn a_scope_computes_what_follows_from_the_rest() {
    let facts = test::budget().scope(test::scope(ScopeKind::Run, "10.00 USD").spent("6.00 USD").reserved("2.00 USD"));
    let facts = facts.facts();
    let scope = facts.scopes.first().expect("one scope");
    assert_eq!((scope.utilisation_permille, scope.hard), (800, Nanodollars::dollars(11)));
}

#[test]
fn a_failed_comparison_shows_names_and_facts() {
    let outcome = catch_unwind(|| {
        let policy = test::policy::<Sample>("");
        let refused = Verdict::Refuse(test::reason("too-dear", "2.00 USD", "1.00 USD"));
        assert_verdict!(policy, test::budget().task_type("refactoring"), refused);
    });
    let message = panic_message(outcome);
    for part in ["expected: refuse (too-dear: 2.00 USD of 1.00 USD)", "got: proceed", "task_type: refactoring"] {
        assert!(message.contains(part), "{message}");
    }
}

/// Writes one case into a new folder and runs the folder.
fn run_case(files: &[(&str, &str)]) -> std::thread::Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = folder.path().join("one");
    fs::create_dir(&case).expect("a case folder");
    for (name, text) in files {
        fs::write(case.join(name), text).expect("a case file");
    }
    let path = folder.path().to_path_buf();
    catch_unwind(move || test::cases::<Sample, Facts>(path))
}

fn panic_message(outcome: std::thread::Result<()>) -> String {
    let panic = outcome.expect_err("it fails");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_case_with_all_its_files_passes() {
    let outcome = run_case(&[
        ("config.toml", "ceiling = '1.00 USD'"),
        ("host.toml", "tags = { x-team = 'red' }\ncounters = { failures = 1 }\nmodels = { opus = 'premium' }"),
        ("facts.toml", "estimated_cost = '2.00 USD'\n[[scopes]]\nkind = 'work-item'\nlimit = '3.00 USD'"),
        ("expect.toml", "verdict.refuse = { code = 'too-dear', actual = '2.00 USD', limit = '1.00 USD' }"),
    ]);
    assert!(outcome.is_ok());
}

#[test]
fn mistakes_in_a_case_are_failures() {
    let facts = ("facts.toml", "estimated_cost = '2.00 USD'");
    let proceeds = ("expect.toml", "verdict = 'proceed'");
    for (files, names) in [
        (vec![facts, ("expect.toml", "verdict.slow = '2s'")], "got: \"proceed\""),
        (vec![facts, ("expect.toml", "verdict = 'proceeds'")], "proceeds"),
        (vec![facts], "expect.toml is missing"),
        (vec![proceeds], "facts.toml is missing"),
        (vec![facts, proceeds, ("notes.md", "")], "notes.md"),
        (vec![("facts.toml", "estimated = '2.00 USD'"), proceeds], "estimated"),
        (vec![("facts.toml", "estimated_cost = 2"), proceeds], "facts.toml"),
        (vec![("facts.toml", "[dispatch]\ntasktype = 'x'"), proceeds], "tasktype"),
        (vec![("facts.toml", "[[scopes]]\nkind = 'run'\nlimit = '1.00 USD'\nleft = 3"), proceeds], "left"),
        (vec![facts, ("expect.toml", "verdict = 'proceed'\nwhy = 'cheap'")], "why"),
        (vec![facts, proceeds, ("config.toml", "ceilings = 3")], "ceilings"),
        (vec![facts, proceeds, ("host.toml", "tag = {}")], "tag"),
    ] {
        let message = panic_message(run_case(&files));
        assert!(message.contains(names), "{names}: {message}");
    }
}

#[test]
fn no_case_at_all_is_a_failure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |path: &Path| {
        let path = path.to_path_buf();
        panic_message(catch_unwind(move || test::cases::<Sample, Facts>(path)))
    };
    assert!(run(folder.path()).contains("there is no case"));
    assert!(run(&folder.path().join("elsewhere")).contains("cannot read"));
    fs::write(folder.path().join("case.toml"), "").expect("a file");
    assert!(run(folder.path()).contains("is not a case folder"));
}
