//! Write a Tollgate policy in Rust.
//!
//! A policy is a type with a configuration ([`Policy`]) and a function that says something about a dispatch:
//! one trait for each kind, [`KillSwitch`], [`RetryCeiling`], [`Routing`] and [`Budget`]. [`export!`] makes a
//! WebAssembly component of it. Natively it is plain Rust, and [`test`](mod@test) has what a unit test needs: facts in
//! one line, verdicts that can be read, case folders. This crate does no I/O and knows nothing of the host
//! but the contract in `wit/`.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tollgate_sdk::budget::{Facts, Verdict};
//! use tollgate_sdk::{Budget, ConfigError, Nanodollars, Policy, ReasonCode, Setup, ensure, test};
//!
//! /// What a single call may cost.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     /// Above this a call needs an approval.
//!     ceiling: Nanodollars,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { ceiling: Nanodollars::dollars(5) }
//!     }
//! }
//!
//! struct SingleCall {
//!     ceiling: Nanodollars,
//!     too_dear: ReasonCode,
//! }
//!
//! impl Policy for SingleCall {
//!     type Config = Config;
//!
//!     fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
//!         ensure(config.ceiling > Nanodollars::ZERO, "ceiling", "must be above 0.00 USD")?;
//!         Ok(Self { ceiling: config.ceiling, too_dear: setup.reason("single-call") })
//!     }
//! }
//!
//! impl Budget for SingleCall {
//!     fn evaluate(&self, facts: &Facts) -> Verdict {
//!         if facts.estimated_cost > self.ceiling && !facts.dispatch.approved {
//!             return Verdict::HoldForApproval(self.too_dear.exceeded(facts.estimated_cost, self.ceiling));
//!         }
//!         Verdict::Proceed
//!     }
//! }
//!
//! tollgate_sdk::export!(SingleCall: budget);
//!
//! // A test is a plain call:
//! let policy = test::policy::<SingleCall>(r#"ceiling = "2.00 USD""#);
//! let verdict = policy.evaluate(&test::budget().estimated_cost("2.50 USD").facts());
//! assert_eq!(verdict.to_string(), "hold-for-approval (single-call: 2.50 USD of 2.00 USD)");
//! ```

#![warn(missing_docs)]

#[cfg(any(target_family = "wasm", test))]
mod allocator;
pub mod budget;
mod dispatch;
mod export;
mod host;
pub mod kill_switch;
mod lookup;
mod money;
mod names;
mod policy;
mod reason;
pub mod retry_ceiling;
pub mod routing;
mod setup;
mod share;
mod span;
mod symbol;
#[cfg(not(target_family = "wasm"))]
pub mod test;
mod verdict;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wire;
mod words;

pub use dispatch::{Candidate, Dispatch, ScopeState};
pub use host::identity;
pub use lookup::Lookup;
pub use money::{MoneyError, Nanodollars};
pub use names::{
    Counter, CounterEvent, CounterRule, CounterScope, Model, NameKind, Reference, ReferenceKind, Tag, TagName,
};
pub use policy::{Budget, KillSwitch, Policy, RetryCeiling, Routing};
pub use reason::{Quantity, Reason, ReasonCode, Tokens, Unit};
pub use setup::{ConfigError, NoConfig, Setup, ensure};
pub use share::{Share, ShareError};
pub use span::{Span, SpanError, Timestamp};
pub use symbol::Symbol;
pub use words::{Health, Hosting, Priority, ScopeKind, SwitchMode, Tier};

/// What [`export!`] needs.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{About, Component, check_counters, configured, kinds};
}
