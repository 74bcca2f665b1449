//! Loads policy plugins and decides dispatches. The only crate that knows wasmtime.
//!
//! | to know | open |
//! |---|---|
//! | how a dispatch is decided | [`Host::decide`] in `host.rs` |
//! | what is checked before a policy serves | `policy.rs` |
//! | what an evaluation may use | `engine.rs`, `instance.rs` |
//! | what a guest can reach | `state.rs` |
//! | how policies change while it decides | `reload.rs`, `live.rs`, `watch.rs` |
//! | a candidate beside what runs | `candidate.rs`, `trials.rs` |
//! | what becomes of a policy that fails | `evaluate.rs`, `quarantine.rs` |
#![warn(missing_docs)]

mod attend;
mod bindings;
mod cache;
mod candidate;
mod canonical;
mod cause;
mod chain;
mod component;
pub mod control;
mod convert;
mod digest;
mod engine;
mod evaluate;
mod event;
mod generation;
mod host;
mod instance;
mod lent;
mod live;
mod loader;
mod observe;
mod policy;
mod pool;
mod probe;
mod purity;
mod quarantine;
mod reload;
mod rows;
mod samples;
mod schema;
mod state;
mod status;
mod trials;
mod wall;
mod watch;

pub use attend::Stopped;
pub use cache::Compiled;
pub use candidate::{CandidateReport, Difference, Figures, Said, SaidVerdict};
pub use cause::Cause;
pub use component::ComponentError;
pub use convert::Moment;
pub use digest::{ComponentDigest, DigestError};
pub use engine::EngineError;
pub use event::Event;
pub use generation::GenerationError;
pub use host::{Host, HostBuilder, HostError};
pub use instance::InstanceError;
pub use lent::{Lane, WhyCanonical};
pub use observe::PurityStatus;
pub use policy::{About, LoadError};
pub use probe::{ProbeError, ProbeFigures};
pub use quarantine::{Quarantine, QuarantineCause, Service};
pub use reload::{FailedReload, NotAccepted, ReloadError, RollbackError};
pub use status::{GenerationStatus, PolicyStatus, Status};
pub use trials::PromotionError;
pub use watch::{Look, Watcher, Watching};
