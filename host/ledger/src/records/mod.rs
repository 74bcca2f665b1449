//! Decision records: what a decision saw and what came of it, in rotating files of MessagePack.
//!
//! | to know | open |
//! |---|---|
//! | how a decision is recorded without waiting | [`Recorder`] in `recorder.rs` |
//! | what a record holds | `form/` |
//! | how files are written, followed by others and deleted | `files.rs`, `writer.rs` |
//! | how they are read, also where they are cut off | [`read()`](read()) in `reader.rs` |
//!
//! Records lie in the ledger's crate, since they are what stays of a decision on the disk: the runtime decides and
//! touches none. They are read without a WebAssembly engine. docs/record-format.md is the form for others.
//!
//! A record holds everything that `decide` saw, so that deciding it again with the same plugins and configuration gives
//! the same verdicts. It never holds a prompt or a key: neither is part of a dispatch, and of a scope of the kind `key` only the
//! opaque reference is kept.

mod context;
mod event;
mod files;
mod filter;
mod form;
mod id;
mod reader;
mod recorder;
mod slot;
mod writer;

pub use context::{Context, Names, Origin, Origins, ScopeNames};
pub use event::{Event, rfc3339};
pub use files::{LOCK, OpenError};
pub use filter::Filter;
pub use form::{
    AccountRecord, CandidateRecord, CoveredRecord, DecisionRecord, DispatchRecord, Entry, Header, Lost, Metrics, Name,
    PolicyRecord, PolicySet, ReasonRecord, ResultRecord, SelectorRecord, SwitchRecord, Thing, TripRecord, VERSION,
    VerdictRecord, Word,
};
pub use id::{DecisionId, DecisionIdError};
pub use reader::{Item, Problem, ReadError, Recorded, Records, read};
pub use recorder::{Naming, Options, Recorder, Status};
pub use slot::{MAX_COUNTERS, MAX_NAME_BYTES, MAX_TAGS};

#[cfg(test)]
mod tests;
