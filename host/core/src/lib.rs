//! The words of Tollgate as types. Pure: no I/O, no clock, no async, no wasm.
#![warn(missing_docs)]
#![warn(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::indexing_slicing)]

mod money;
mod scope;
mod usage;

pub use money::{MoneyError, MoneyProblem, NANODOLLARS_PER_DOLLAR, Nanodollars};
pub use scope::{Reference, Scope, ScopeKind, ScopeKindError};
pub use usage::Usage;
