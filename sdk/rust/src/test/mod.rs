//! The native test kit: a policy is configured and called as plain Rust, the way a host would, without
//! WebAssembly. Not part of a guest.
//!
//! ```
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! # use tollgate_sdk::retry_ceiling::{Facts, Verdict};
//! # use tollgate_sdk::{ConfigError, Policy, ReasonCode, RetryCeiling, Setup};
//! # #[derive(Default, Serialize, Deserialize, JsonSchema)]
//! # #[serde(deny_unknown_fields, default)]
//! # struct Config { attempts: u32 }
//! # struct Ceiling { attempts: u32, failures: ReasonCode }
//! # impl Policy for Ceiling {
//! #     type Config = Config;
//! #     fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
//! #         Ok(Self { attempts: config.attempts, failures: setup.reason("failures") })
//! #     }
//! # }
//! # impl RetryCeiling for Ceiling {
//! #     fn evaluate(&self, facts: &Facts) -> Verdict {
//! #         if facts.attempts < self.attempts { return Verdict::Proceed; }
//! #         Verdict::Refuse(self.failures.exceeded(facts.attempts, self.attempts))
//! #     }
//! # }
//! use tollgate_sdk::{assert_verdict, test};
//!
//! let policy = test::policy::<Ceiling>("attempts = 3");
//! assert_verdict!(policy, test::retry_ceiling().attempts(2), Verdict::Proceed);
//! assert_verdict!(
//!     policy,
//!     test::retry_ceiling().attempts(3).task_type("refactoring"),
//!     Verdict::Refuse(test::reason("failures", 3_u32, 3_u32)),
//! );
//! ```
//!
//! Facts and verdicts can also stand in files: [`cases`].

#![expect(clippy::panic, reason = "a test that fails panics")]

pub(crate) mod ambient;
mod cases;
mod configure;
mod facts;
mod written;

pub use ambient::{Host, Installed, host};
pub use cases::cases;
pub use configure::{Configuration, Refused, configure, policy, schema, shipped};
pub use facts::{
    Account, BudgetFacts, CandidateFacts, KillSwitchFacts, RetryCeilingFacts, RoutingFacts, ScopeFacts, budget,
    candidate, kill_switch, retry_ceiling, routing, scope,
};
pub use written::{Measured, Written};

use std::fmt::{Debug, Display};

use crate::{Budget, KillSwitch, Policy, Reason, ReasonCode, RetryCeiling, Routing, Symbol};

/// The symbol of a name, as on this thread's host.
#[must_use]
pub fn name(name: &str) -> Symbol {
    crate::host::intern(name)
}

/// A reason as a policy would give it, to compare with. The quantities may be written: `"14.20 USD"`, `"20m"`,
/// `"80%"`, `"200000 tokens"`.
///
/// # Panics
/// When a text is no quantity, or the two are not of one unit.
#[must_use]
#[track_caller]
pub fn reason(code: &str, actual: impl Measured, limit: impl Measured) -> Reason {
    let ((unit, actual), (limit_unit, limit)) = (actual.measured(), limit.measured());
    assert_eq!(unit, limit_unit, "the two numbers of a reason are of one unit");
    Reason { code: name(code), unit, actual, limit }
}

/// A reason that is only a name.
#[must_use]
pub fn reason_alone(code: &str) -> Reason {
    ReasonCode::new(name(code)).alone()
}

/// A policy that can be asked about these facts: what the traits of the four kinds have in common.
pub trait Evaluate<Facts>: Policy {
    /// What it says.
    type Verdict: Clone + PartialEq + Debug + Display + serde::Serialize;

    /// Asks it.
    fn verdict(&self, facts: &Facts) -> Self::Verdict;
}

macro_rules! kinds {
    ($($kind:ident in $module:ident;)+) => {$(
        impl<P: $kind> Evaluate<crate::$module::Facts> for P {
            type Verdict = crate::$module::Verdict;

            fn verdict(&self, facts: &crate::$module::Facts) -> Self::Verdict {
                self.evaluate(facts)
            }
        }
    )+};
}

kinds! {
    KillSwitch in kill_switch;
    RetryCeiling in retry_ceiling;
    Routing in routing;
    Budget in budget;
}

/// Something that gives facts: a builder of this module, or facts themselves.
pub trait IntoFacts {
    /// Of which kind.
    type Facts: Debug;

    /// The facts.
    fn into_facts(self) -> Self::Facts;
}

/// Asks a policy about a dispatch and compares its verdict with the one that is expected; on a difference
/// shows both and the facts, with names for symbols.
#[macro_export]
macro_rules! assert_verdict {
    ($policy:expr, $facts:expr, $expected:expr $(,)?) => {
        $crate::test::check(&$policy, $facts, &$expected)
    };
}

/// What [`assert_verdict!`](crate::assert_verdict!) does.
///
/// # Panics
/// When the verdict is another.
#[doc(hidden)]
#[track_caller]
pub fn check<P, F: IntoFacts>(policy: &P, facts: F, expected: &P::Verdict)
where
    P: Evaluate<F::Facts>,
{
    let facts = facts.into_facts();
    let verdict = policy.verdict(&facts);
    assert!(verdict == *expected, "expected: {expected}\n     got: {verdict}\n     for: {facts:#?}");
}
