//! What an operator writes: one TOML document with a version. Unknown keys are mistakes, and every mistake
//! names its line.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::form::{self, FormError};
use crate::{Budget, Milliseconds, OnError, Tier};

mod backend;
mod gateway;
mod keys;
mod limits;
mod records;
mod reload;
mod review;
mod telemetry;
mod tls;

pub use backend::{Api, BackendConfiguration, BackendTimes, HealthCheck};
pub use gateway::GatewayRules;
pub use keys::KeyRules;
pub use limits::Limits;
pub use records::RecordRules;
pub use reload::{CandidateConfiguration, CandidateRules, PurityRules, QuarantineRules, ReloadRules};
pub use review::{Mistake, Review};
pub use telemetry::TelemetryRules;
pub use tls::TlsConfiguration;

/// The version of the configuration's form that this build reads.
pub const CONFIGURATION_VERSION: u32 = 1;

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// [`CONFIGURATION_VERSION`].
    pub version: u32,
    /// How attempts are counted.
    #[serde(default)]
    pub attempts: AttemptRules,
    /// What a plugin may use.
    #[serde(default)]
    pub limits: Limits,
    /// Who may ask.
    #[serde(default)]
    pub keys: KeyRules,
    /// What goes through.
    #[serde(default)]
    pub gateway: GatewayRules,
    /// How listeners prove who they are; they speak in the clear where nothing is said.
    pub tls: Option<TlsConfiguration>,
    /// Generations and files.
    #[serde(default)]
    pub reload: ReloadRules,
    /// When a policy that fails is no longer asked.
    #[serde(default)]
    pub quarantine: QuarantineRules,
    /// How often purity is checked in service.
    #[serde(default)]
    pub purity: PurityRules,
    /// How candidates are compared.
    #[serde(default)]
    pub candidate: CandidateRules,
    /// What stays of decisions.
    #[serde(default)]
    pub records: RecordRules,
    /// Where the gateway tells of itself.
    #[serde(default)]
    pub telemetry: TelemetryRules,
    /// The models there are.
    #[serde(default, rename = "model")]
    pub models: Vec<ModelConfiguration>,
    /// What serves them.
    #[serde(default, rename = "backend")]
    pub backends: Vec<BackendConfiguration>,
    /// Task types that wildcards can match, beside those that policies name.
    #[serde(default)]
    pub task_types: Vec<String>,
    /// Stages, likewise.
    #[serde(default)]
    pub stages: Vec<String>,
    /// The chain.
    #[serde(default, rename = "policy")]
    pub policies: Vec<PolicyConfiguration>,
    /// What scopes may spend.
    #[serde(default, rename = "budget")]
    pub budgets: Vec<Budget>,
}

/// How attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttemptRules {
    /// A pause this long after a failure ends a streak: what failed before it says little about what comes
    /// after. 30 minutes, the idle gap that also ends an unnamed session.
    pub idle: Milliseconds,
    /// A failure in less than this is a fast one: nothing was worked on. 10 seconds, below what any model call
    /// that does work takes in an agent's session.
    pub fast: Milliseconds,
}

impl Default for AttemptRules {
    fn default() -> Self {
        Self { idle: Milliseconds::new(30 * 60 * 1_000), fast: Milliseconds::new(10_000) }
    }
}

/// A model and its tier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfiguration {
    /// As providers and price tables name it.
    pub name: String,
    /// The class of capability it belongs to.
    pub tier: Tier,
    /// What it is for.
    #[serde(default)]
    pub kind: ModelKind,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// It writes. One that a price table calls an embedding model is one all the same.
    #[default]
    Chat,
    /// It embeds. No conversation is routed to it, and no other model takes its place.
    Embedding,
}

/// A plugin plus its configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfiguration {
    /// Unique; what records and messages call it.
    pub name: String,
    /// A file (`./policies/mine.wasm`, taken from the configuration's folder), or the name of a plugin in the plugin
    /// folder (`kill-switch`). The policy's own name where nothing is said.
    pub component: Option<String>,
    /// `sha256:…` of the file; another file is refused.
    pub digest: Option<String>,
    /// What it means when the policy cannot be evaluated.
    #[serde(default)]
    pub on_error: OnError,
    /// Whether its verdicts count.
    #[serde(default)]
    pub mode: PolicyMode,
    /// Whether instances are reused.
    #[serde(default)]
    pub isolation: Isolation,
    /// How the plugin is called.
    #[serde(default)]
    pub lane: Lane,
    /// Handed to the plugin as JSON, after its schema has been checked.
    #[serde(default)]
    pub config: toml::Table,
    /// Another version, which is asked about the same dispatches and changes nothing until it is promoted.
    pub candidate: Option<CandidateConfiguration>,
}

impl PolicyConfiguration {
    /// A policy of that name from a file, with everything else as where nothing is said.
    #[must_use]
    pub fn of_file(name: impl Into<String>, file: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            component: Some(file.into()),
            digest: None,
            on_error: OnError::default(),
            mode: PolicyMode::default(),
            isolation: Isolation::default(),
            lane: Lane::default(),
            config: toml::Table::new(),
            candidate: None,
        }
    }

    /// Where the component is.
    #[must_use]
    pub fn component(&self) -> &str {
        self.component.as_deref().unwrap_or(&self.name)
    }
}

/// How a plugin is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// By facts written into the memory that the plugin lends, where it lends some; else as `canonical`.
    #[default]
    Auto,
    /// Through the component's exports.
    Canonical,
}

/// Whether a policy's verdicts count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyMode {
    /// They do.
    #[default]
    Enforce,
    /// They are recorded and change nothing.
    Shadow,
}

/// Whether a policy's instances are reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Kept for each thread, and used again.
    #[default]
    Pooled,
    /// A new one for every evaluation, for plugins that are not trusted; some 25 µs each.
    Fresh,
}

/// Why a configuration was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// It is not TOML, has an unknown key, a missing key, or a value of the wrong form.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Written for another version of Tollgate.
    #[error("`version = {found}`: this build reads version {CONFIGURATION_VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// Two of the same name.
    #[error("two {what} are called `{name}`: give one of them another name")]
    Duplicate {
        /// Two of what.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two budgets of the same name; one that has none is called by what it is for.
    #[error(
        "two budgets are called `{name}`: give one of them another name, as in `name = \"{name} a day\"` beside its \
         `for` (a budget without a name is called by what it is for)"
    )]
    SameBudget {
        /// The name.
        name: String,
    },
    /// A number that cannot be meant.
    #[error("`{key} = {value}`: {advice}")]
    OutOfRange {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it can be.
        advice: &'static str,
    },
    /// A backend serves a model that is not there.
    #[error("backend `{backend}` serves `{model}`, which no [[model]] names: add one with its tier")]
    UnknownModel {
        /// Which backend.
        backend: String,
        /// Which model.
        model: String,
    },
}

impl Configuration {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first mistake, with its line where it is one of form.
    pub fn parse(text: &str) -> Result<Self, ConfigurationError> {
        let configuration: Self = form::from_toml(text)?;
        configuration.check()?;
        Ok(configuration)
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        self.mistakes().into_iter().next().map_or(Ok(()), Err)
    }

    /// What was read and cannot be meant.
    fn mistakes(&self) -> Vec<ConfigurationError> {
        let mut mistakes = Vec::new();
        if self.version != CONFIGURATION_VERSION {
            mistakes.push(ConfigurationError::Version { found: self.version });
        }
        let checks = [
            self.check_key_rules(),
            self.check_gateway_rules(),
            self.check_reload_rules(),
            self.records.check(),
            self.telemetry.check(),
            unique("models", self.models.iter().map(|model| model.name.as_str())),
            unique("backends", self.backends.iter().map(|backend| backend.name.as_str())),
            unique("policies", self.policies.iter().map(|policy| policy.name.as_str())),
            self.check_budget_names(),
        ];
        mistakes.extend(checks.into_iter().filter_map(Result::err));
        mistakes.extend(self.backends.iter().filter_map(BackendConfiguration::mistake));
        let tiers = self.tiers();
        for backend in &self.backends {
            for model in backend.models.iter().filter(|model| !tiers.contains_key(model.as_str())) {
                let (backend, model) = (backend.name.clone(), model.clone());
                mistakes.push(ConfigurationError::UnknownModel { backend, model });
            }
        }
        mistakes
    }

    fn check_budget_names(&self) -> Result<(), ConfigurationError> {
        let mut named = BTreeSet::new();
        let again = self.budgets.iter().find(|budget| !named.insert(&budget.name));
        again.map_or(Ok(()), |budget| Err(ConfigurationError::SameBudget { name: budget.name.to_string() }))
    }

    /// Each model's tier.
    #[must_use]
    pub fn tiers(&self) -> BTreeMap<&str, Tier> {
        self.models.iter().map(|model| (model.name.as_str(), model.tier)).collect()
    }
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), ConfigurationError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ConfigurationError::Duplicate { what, name: name.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nanodollars;

    const SMALL: &str = r#"
        version = 1
        task_types = ["refactoring"]
        [[model]]
        name = "claude-opus-4-6"
        tier = "premium"
        [[backend]]
        name = "anthropic"
        models = ["claude-opus-4-6"]
        [[policy]]
        name = "kill-switch"
        [[budget]]
        scope = "run"
        limit = "10.00 USD"
    "#;

    #[test]
    fn a_small_configuration_gets_its_defaults() -> Result<(), ConfigurationError> {
        let configuration = Configuration::parse(SMALL)?;
        assert_eq!(configuration.attempts, AttemptRules::default());
        assert_eq!(configuration.policies[0].component(), "kill-switch");
        assert_eq!(configuration.policies[0].on_error, OnError::Refuse);
        assert_eq!(configuration.budgets[0].hard, Nanodollars::new(11_000_000_000));
        Ok(())
    }

    #[test]
    fn every_mistake_is_named() {
        for (from, to, says) in [
            ("version = 1", "version = 2", "this build reads version 1"),
            ("tier = \"premium\"", "tier = \"best\"", "unknown variant `best`"),
            ("scope = \"run\"", "scope = \"run\"\ncolour = 1", "unknown field `colour`"),
            ("models = [\"claude-opus-4-6\"]", "models = [\"gpt-9\"]", "backend `anthropic` serves `gpt-9`"),
            ("\"10.00 USD\"", "10", "`budget[0].limit`: invalid type: integer `10`, expected an amount of money"),
            ("\"10.00 USD\"", "\"10 dollars\"", "`10 dollars` is not an amount of money"),
            ("\"10.00 USD\"", "\"10.00 USD\"\nhard = \"9.00 USD\"", "`hard` is 9.00 USD, below the limit"),
            ("[[policy]]", "[[policy]]\nname = \"kill-switch\"\n[[policy]]", "two policies are called `kill-switch`"),
        ] {
            let text = SMALL.replace(from, to);
            let message = Configuration::parse(&text).map_err(|error| error.to_string());
            assert!(message.as_ref().is_err_and(|message| message.contains(says)), "{to}: {message:?}");
        }
    }

    #[test]
    fn a_mistake_of_form_names_its_line() {
        let text = SMALL.replace("tier = \"premium\"", "tier = 3");
        assert!(Configuration::parse(&text).is_err_and(|error| error.to_string().contains("line 6")));
    }
}
