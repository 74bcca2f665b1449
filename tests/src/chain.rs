//! Chains in a few lines, and dispatches for them.

use std::fmt::Write;
use std::path::Path;

use tollgate_core::{Account, Configuration, Dispatch, Nanodollars, Reference, ScopeKind, Spending};
use tollgate_runtime::{Host, HostBuilder, HostError};

use crate::built::{compile_cache, guest, plugins_folder};

/// What the guests take for a sign; the number is that of `tests/guests/plain-policy`.
const MARK: u64 = 666_000_666;

const MODELS: &str = r#"
    version = 1
    task_types = ["refactoring", "security"]
    stages = ["planning", "coding"]

    [[model]]
    name = "small"
    tier = "low"

    [[model]]
    name = "medium"
    tier = "middle"

    [[model]]
    name = "large"
    tier = "premium"

    [[backend]]
    name = "cloud"
    models = ["small", "medium", "large"]
"#;

/// A configuration with three models, and the policies that are added to it.
#[derive(Clone, Default)]
pub struct Chain {
    limits: Vec<String>,
    policies: String,
}

/// One `[[policy]]` of a chain.
#[derive(Clone)]
pub struct PolicyEntry {
    name: String,
    component: String,
    keys: String,
    config: String,
}

impl PolicyEntry {
    /// A guest of `tests/guests`, under its own name.
    #[must_use]
    pub fn guest(name: &str) -> Self {
        Self::file(name, &guest(name))
    }

    /// A component from any file.
    #[must_use]
    pub fn file(name: &str, file: &Path) -> Self {
        let component = file.display().to_string();
        Self { name: name.to_owned(), component, keys: String::new(), config: String::new() }
    }

    /// The guest that behaves.
    #[must_use]
    pub fn witness() -> Self {
        Self::guest("witness").config("as = \"witness\"")
    }

    /// A policy that ships, with its default configuration.
    #[must_use]
    pub fn shipped(name: &str) -> Self {
        Self { component: name.to_owned(), ..Self::file(name, Path::new("")) }
    }

    /// Another name than the component's.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Whether that is its name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    /// A key of the policy, such as `mode = "shadow"`.
    #[must_use]
    pub fn key(mut self, line: &str) -> Self {
        self.keys.push_str(line);
        self.keys.push('\n');
        self
    }

    /// A key of the plugin's own configuration.
    #[must_use]
    pub fn config(mut self, line: &str) -> Self {
        self.config.push_str(line);
        self.config.push('\n');
        self
    }
}

impl Chain {
    /// Without a policy. A deadline is a wall clock's: on a busy machine it must not be what ends a sane evaluation.
    #[must_use]
    pub fn new() -> Self {
        Self::default().limit("deadline = \"10s\"")
    }

    /// A key of `[limits]`, in place of the same key said before.
    #[must_use]
    pub fn limit(mut self, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().map(str::trim).map(str::to_owned);
        self.limits.retain(|earlier| key(earlier) != key(line));
        self.limits.push(line.to_owned());
        self
    }

    /// One more policy.
    #[must_use]
    pub fn policy(mut self, policy: &PolicyEntry) -> Self {
        let PolicyEntry { name, component, keys, config } = policy;
        // A write to a string does not fail.
        let _ = write!(
            self.policies,
            "[[policy]]\nname = {name:?}\ncomponent = {component:?}\n{keys}\n[policy.config]\n{config}\n"
        );
        self
    }

    /// The configuration as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{MODELS}\n[limits]\n{}\n{}", self.limits.join("\n"), self.policies)
    }

    /// The host that decides by it.
    ///
    /// # Errors
    /// When one of its policies does not load.
    pub fn host(&self) -> Result<Host, HostError> {
        self.host_with(Host::builder())
    }

    /// The same, from a builder that has more to say.
    ///
    /// # Errors
    /// When one of its policies does not load.
    pub fn host_with(&self, builder: HostBuilder) -> Result<Host, HostError> {
        let configuration = Configuration::parse(&self.text())?;
        builder.compile_cache(compile_cache()).plugin_folder(plugins_folder()).build(&configuration)
    }
}

/// A dispatch that the witness lets go.
#[must_use]
pub fn dispatch(host: &Host) -> Dispatch {
    let dollars = |dollars: u64| Nanodollars::new(dollars * 1_000_000_000);
    let mut costs = [10, 40, 200].iter().map(|cents| Nanodollars::new(cents * 10_000_000));
    let mut dispatch = Dispatch {
        now_ms: 1_767_225_600_000,
        task_type: host.symbol("refactoring"),
        stage: host.symbol("coding"),
        task: Some(Reference::of("issue-42")),
        sample: Some(Reference::of("run-7")),
        input_tokens: 20_000,
        output_tokens: 2_000,
        spending: Spending { run_cost: dollars(3), ..Spending::default() },
        candidates: host.catalogue().candidates(|_, _| costs.next()),
        ..Dispatch::default()
    };
    for (kind, name) in [(ScopeKind::Team, "red"), (ScopeKind::Run, "run-7"), (ScopeKind::Key, "ci")] {
        dispatch.scopes.set(kind, Reference::of(name));
        dispatch.accounts.push(Account {
            kind,
            owner: host.symbol("refactoring"),
            spent: dollars(20),
            reserved: dollars(5),
            limit: dollars(100),
            hard: dollars(110),
            window_end_ms: u64::MAX,
        });
    }
    dispatch
}

/// A dispatch that the witness lets go, after it raised the floor, and that hostile guests fall upon.
#[must_use]
pub fn marked(host: &Host) -> Dispatch {
    let mut dispatch = dispatch(host);
    dispatch.attempts.failed = 3;
    dispatch.spending.run_cost = Nanodollars::new(MARK);
    dispatch.input_tokens = MARK;
    dispatch.output_tokens = MARK;
    dispatch
}
