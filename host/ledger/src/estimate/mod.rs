//! How much to reserve for a dispatch.
//!
//! | way | promise | price of it |
//! |---|---|---|
//! | [`worst_case`] | no overshoot, where the provider keeps to `max_tokens` | budgets fill with what will not be spent; a dispatch that only reservations keep out waits briefly ([`crate::book::Refusal::is_brief`]) |
//! | [`Sketches::quantile`] | at most the stated share of calls costs more, each by at most the stated amount | an overshoot, recorded as an overrun |
//!
//! [`Calibration`] says how good past estimates were.

mod calibration;
mod quantile;
mod worst_case;

pub use calibration::Calibration;
pub use quantile::{Prior, QuantileEstimate, Sketches};
pub use worst_case::{EstimateError, InputSize, OutputLimit, WorstCase, worst_case};
