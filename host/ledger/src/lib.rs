//! What calls cost, what may be spent, and what was spent.
//!
//! | to know | open |
//! |---|---|
//! | what a call costs | [`prices::PriceTable`] |
//! | how much to reserve for it | [`estimate`] |
//! | whether a dispatch still fits | [`book::Book`], the pure state machine |
//! | what was spent on what | [`report`] |
//! | what is in a recorded trace | [`trace`] |
//! | what was decided, and on what grounds | [`records`] |
//! | how that survives a crash | [`Ledger`], the book on a [`store`] |
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
pub mod calls;
pub mod estimate;
mod export;
mod import;
mod ledger;
pub mod prices;
pub mod records;
pub mod report;
pub mod store;
pub mod trace;

pub use export::{ExportError, ExportFormat, export};
pub use import::{ImportError, Imported, import_trace};
pub use ledger::{
    AccountStanding, BudgetLeft, DATABASE, Durability, Ledger, LedgerError, MAX_WAITING, OpenError, Options, Ticket,
};
