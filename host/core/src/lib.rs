//! The words of Tollgate as types: dispatch, verdict, decision, permit, money, tiers, and the rules that turn
//! verdicts into a decision. Pure: no I/O, no clock, no async, no wasm.
//!
//! | to know | open |
//! |---|---|
//! | what a decision may use | [`Dispatch`] |
//! | how verdicts become a decision | [`Ruling`] |
//! | what counts as an attempt | [`History`] |
//! | what an operator writes | [`Configuration`] |
#![warn(missing_docs)]
#![warn(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "tests may panic"))]

mod budget;
mod catalogue;
pub mod config;
mod decision;
mod dispatch;
mod document;
mod duration;
pub mod form;
mod history;
mod money;
pub mod reclaim;
mod ruling;
mod scope;
mod switch;
mod symbol;
mod tier;
mod usage;
mod verdict;
mod window;

pub use budget::{
    Budget, BudgetProblem, Dimension, DimensionError, MAX_AMOUNT, MAX_BUDGET_NAME_BYTES, MAX_THRESHOLDS, Pattern,
    PatternError, default_hard,
};
pub use catalogue::{Backend, Catalogue};
pub use config::{Configuration, ConfigurationError};
pub use decision::{Decision, Outcome, PERMIT_LIFETIME_MS, Permit, PolicyIndex, Refusal, Source, Trail, TrailEntry};
pub use dispatch::{
    Account, Attempts, Candidate, Dispatch, MAX_ACCOUNTS, MAX_CANDIDATES, Repetition, ScopePath, Spending,
};
pub use document::{
    AccountDocument, AttemptsDocument, CandidateDocument, DispatchDocument, DocumentError, SpendingDocument,
};
pub use duration::{Milliseconds, MillisecondsError};
pub use history::{
    CounterBy, CounterEvent, CounterRule, Failure, History, Memory, Movement, Remembered, Report, Status,
};
pub use money::{MoneyError, MoneyProblem, NANODOLLARS_PER_DOLLAR, Nanodollars};
pub use ruling::Ruling;
pub use scope::{Reference, Scope, ScopeKind, ScopeKindError};
pub use switch::{Covered, MAX_SWITCHES, Selector, Switch, SwitchBoard, TooManySwitches};
pub use symbol::{InternError, Symbol, Symbols};
pub use tier::{Health, Hosting, PolicyKind, Priority, Tier, WordError};
pub use usage::Usage;
pub use verdict::{
    BudgetVerdict, EvaluationFailure, KillSwitchVerdict, OnError, Reason, RetryCeilingVerdict, RoutingVerdict,
    SwitchMode, Trip, TripSelector, Unit, Verdict,
};
pub use window::{Bounds, Window, WindowError};
