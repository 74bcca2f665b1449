//! What calls cost, what may be spent, and what was spent.
//!
//! Entry points: [`prices::PriceTable`] tells what a call costs.
#![warn(missing_docs)]
#![warn(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a test that panics is a test that fails"
    )
)]

pub mod book;
pub mod prices;
