//! Holds a single call that is dearer than its kind of task may cost, until someone approves it.
//!
//! A policy to copy: a configuration with defaults that have reasons, names and tables made once, a verdict
//! with evidence, and tests that need no WebAssembly.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_sdk::budget::{Facts, Verdict};
use tollgate_sdk::{Budget, ConfigError, Lookup, NameKind, Nanodollars, Policy, ReasonCode, Setup, ensure};

/// Above what nine of ten calls of a coding agent cost, so that ordinary work never waits for a person.
pub const DEFAULT_CEILING: Nanodollars = Nanodollars::dollars(5);

/// What the policy can be told. Everything has a default.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a call may cost without an approval.
    pub ceiling: Nanodollars,
    /// Ceilings of their own for task types; `*` stands for any characters.
    pub task_types: BTreeMap<String, Nanodollars>,
}

impl Default for Config {
    fn default() -> Self {
        Self { ceiling: DEFAULT_CEILING, task_types: BTreeMap::new() }
    }
}

/// The policy, configured: what a dispatch is compared with.
#[derive(Debug)]
pub struct SingleCall {
    ceiling: Nanodollars,
    task_types: Lookup<Nanodollars>,
    too_dear: ReasonCode,
}

impl Policy for SingleCall {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        ensure(config.ceiling > Nanodollars::ZERO, "ceiling", "must be above 0.00 USD")?;
        let ceilings = config.task_types.iter().map(|(pattern, ceiling)| (pattern.as_str(), *ceiling));
        Ok(Self {
            ceiling: config.ceiling,
            task_types: setup.lookup(NameKind::TaskType, ceilings)?,
            too_dear: setup.reason("single-call"),
        })
    }
}

impl Budget for SingleCall {
    fn evaluate(&self, facts: &Facts) -> Verdict {
        let ceiling = *self.task_types.find(facts.dispatch.task_type).unwrap_or(&self.ceiling);
        if facts.estimated_cost > ceiling && !facts.dispatch.approved {
            return Verdict::HoldForApproval(self.too_dear.exceeded(facts.estimated_cost, ceiling));
        }
        Verdict::Proceed
    }
}

tollgate_sdk::export!(SingleCall: budget);
