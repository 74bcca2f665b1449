//! Case folders: tests as data, so that a case is written, read and reviewed without Rust.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Evaluate, Host, configure, host};
use crate::{ReferenceKind, Tier};

/// The files of a case. `config.toml` may be missing, which is the policy as it ships; so may `host.toml`.
const CONFIG: &str = "config.toml";
const HOST: &str = "host.toml";
const FACTS: &str = "facts.toml";
const EXPECT: &str = "expect.toml";

/// Runs every case folder in `folder` (below the package) and prints their names.
///
/// | file | what it holds |
/// |---|---|
/// | `facts.toml` | the facts; what is not there has the default of the builders |
/// | `expect.toml` | `verdict`: the whole verdict, as `verdict = "proceed"` or `verdict.refuse = { code = "attempts", actual = 6, limit = 6 }` |
/// | `config.toml` | the configuration; without it the policy as it ships |
/// | `host.toml` | `models` (name to tier), `task_types`, `stages`, `backends`, `tags`, `counters`, `identities` |
///
/// ```no_run
/// # use tollgate_sdk::{budget, ConfigError, Budget, Policy, Setup};
/// # struct MyPolicy;
/// # impl Policy for MyPolicy {
/// #     type Config = tollgate_sdk::NoConfig;
/// #     fn configure(_: Self::Config, _: &mut Setup) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// # impl Budget for MyPolicy {
/// #     fn evaluate(&self, _: &budget::Facts) -> budget::Verdict { budget::Verdict::Proceed }
/// # }
/// #[test]
/// fn cases() {
///     tollgate_sdk::test::cases::<MyPolicy, budget::Facts>("cases");
/// }
/// ```
///
/// # Panics
/// When a verdict is another than expected, a file is missing, unknown or cannot be read, or there is no case.
#[track_caller]
pub fn cases<P, F>(folder: impl AsRef<Path>)
where
    P: Evaluate<F>,
    F: DeserializeOwned,
{
    let folder = folder.as_ref();
    let names = match names(folder) {
        Ok(names) => names,
        Err(problem) => panic!("{problem}"),
    };
    assert!(!names.is_empty(), "there is no case in `{}`", folder.display());
    let mut failures = Vec::new();
    for name in names {
        let outcome = run::<P, F>(&folder.join(&name));
        print(&name, outcome.is_ok());
        if let Err(problem) = outcome {
            failures.push(format!("{name}: {problem}"));
        }
    }
    assert!(failures.is_empty(), "{} cases failed\n{}", failures.len(), failures.join("\n"));
}

#[expect(clippy::print_stdout, reason = "the test harness shows it where it is asked for")]
fn print(case: &str, passed: bool) {
    println!("case {case} ... {}", if passed { "ok" } else { "FAILED" });
}

/// The names of all case folders, in order; anything else is a mistake.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let cannot_read = |error| format!("cannot read `{}`: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if path.is_dir() => names.push(name.to_owned()),
            _ => return Err(format!("`{}` is not a case folder", path.display())),
        }
    }
    names.sort();
    Ok(names)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    verdict: Value,
}

fn run<P, F>(case: &Path) -> Result<(), String>
where
    P: Evaluate<F>,
    F: DeserializeOwned,
{
    only_known_files(case)?;
    let known: Catalogue = optional(case, HOST)?.unwrap_or_default();
    let _installed = known.host().install();
    let config: Value = optional(case, CONFIG)?.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let policy: P = configure(config).map_err(|refused| format!("{CONFIG}: {refused}"))?;
    let facts: F = required(case, FACTS)?;
    let expected: Expected = required(case, EXPECT)?;
    let verdict = policy.verdict(&facts);
    let written = serde_json::to_value(&verdict).map_err(|error| format!("the verdict cannot be written: {error}"))?;
    if written == expected.verdict {
        return Ok(());
    }
    Err(format!("\n  expected: {}\n       got: {written}\n            {verdict}", expected.verdict))
}

fn only_known_files(case: &Path) -> Result<(), String> {
    let entries = fs::read_dir(case).map_err(|error| error.to_string())?;
    for entry in entries {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        if ![CONFIG, HOST, FACTS, EXPECT].iter().any(|known| name == *known) {
            return Err(format!(
                "`{}` is no file of a case: use {CONFIG}, {HOST}, {FACTS} and {EXPECT}",
                name.display()
            ));
        }
    }
    Ok(())
}

fn required<T: DeserializeOwned>(case: &Path, file: &str) -> Result<T, String> {
    optional(case, file)?.ok_or_else(|| format!("{file} is missing"))
}

fn optional<T: DeserializeOwned>(case: &Path, file: &str) -> Result<Option<T>, String> {
    match fs::read_to_string(case.join(file)) {
        Ok(text) => toml::from_str(&text).map(Some).map_err(|error| format!("{file}: {error}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{file}: {error}")),
    }
}

/// `host.toml`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Catalogue {
    models: BTreeMap<String, Tier>,
    task_types: Vec<String>,
    stages: Vec<String>,
    backends: Vec<String>,
    tags: BTreeMap<String, String>,
    counters: BTreeMap<String, u64>,
    identities: BTreeMap<ReferenceKind, u64>,
}

impl Catalogue {
    fn host(&self) -> Host {
        let host = self.models.iter().fold(host(), |host, (name, tier)| host.model(name, *tier));
        let host = self.task_types.iter().fold(host, |host, name| host.task_type(name));
        let host = self.stages.iter().fold(host, |host, name| host.stage(name));
        let host = self.backends.iter().fold(host, |host, name| host.backend(name));
        let host = self.tags.iter().fold(host, |host, (name, value)| host.tag(name, value));
        let host = self.counters.iter().fold(host, |host, (name, number)| host.counter(name, *number));
        self.identities.iter().fold(host, |host, (kind, number)| host.identity(*kind, *number))
    }
}
