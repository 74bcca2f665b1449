//! What a policy author writes: [`Policy`], and a trait for each kind that the policy is.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{ConfigError, CounterRule, Setup, TagName, budget, kill_switch, retry_ceiling, routing};

/// What every kind of policy has in common: a configuration, and how it becomes a policy.
///
/// Policies are pure: the same facts, the same verdict. They have no clock, no files and no memory of
/// earlier dispatches; `Send + Sync` keeps cells out, in which such a memory would hide.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a policy",
    label = "has no configuration",
    note = "write `impl tollgate_sdk::Policy for {Self}`"
)]
pub trait Policy: Sized + Send + Sync + 'static {
    /// What it can be told; its JSON Schema is part of what the plugin says about itself. Give it
    /// `#[serde(deny_unknown_fields, default)]`, and the values that ship as its `Default`.
    type Config: DeserializeOwned + JsonSchema;

    /// The request headers and metadata fields it reads.
    const TAGS: &'static [TagName] = &[];

    /// The counters that the host keeps for it, at most eight.
    const COUNTERS: &'static [CounterRule] = &[];

    /// Makes a policy of its configuration.
    ///
    /// # Errors
    /// When a setting makes no sense, with the setting and what to change. The policy is then never activated.
    fn configure(config: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError>;
}

/// A policy that stops what must not go on. Also asked while a stream runs and when its cost is known.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is exported as `kill_switch` and does not implement `tollgate_sdk::KillSwitch`",
    label = "does not say what it decides",
    note = "write the `impl`, or leave `kill_switch` out of `export!`"
)]
pub trait KillSwitch: Policy {
    /// What it says about one dispatch. Called for every one: what can be done once belongs into
    /// [`Policy::configure`].
    fn evaluate(&self, facts: &kill_switch::Facts) -> kill_switch::Verdict;
}

/// A policy that keeps tasks out of endless loops: a stronger model, a pause or a human after so many failures.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is exported as `retry_ceiling` and does not implement `tollgate_sdk::RetryCeiling`",
    label = "does not say what it decides",
    note = "write the `impl`, or leave `retry_ceiling` out of `export!`"
)]
pub trait RetryCeiling: Policy {
    /// What it says about one dispatch. Called for every one: what can be done once belongs into
    /// [`Policy::configure`].
    fn evaluate(&self, facts: &retry_ceiling::Facts) -> retry_ceiling::Verdict;
}

/// A policy that chooses which model takes a dispatch.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is exported as `routing` and does not implement `tollgate_sdk::Routing`",
    label = "does not say what it decides",
    note = "write the `impl`, or leave `routing` out of `export!`"
)]
pub trait Routing: Policy {
    /// What it says about one dispatch. Called for every one: what can be done once belongs into
    /// [`Policy::configure`].
    fn evaluate(&self, facts: &routing::Facts) -> routing::Verdict;
}

/// A policy that says what a dispatch may cost, given what was spent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is exported as `budget` and does not implement `tollgate_sdk::Budget`",
    label = "does not say what it decides",
    note = "write the `impl`, or leave `budget` out of `export!`"
)]
pub trait Budget: Policy {
    /// What it says about one dispatch. Called for every one: what can be done once belongs into
    /// [`Policy::configure`].
    fn evaluate(&self, facts: &budget::Facts) -> budget::Verdict;
}
