//! Loads policy plugins and decides dispatches. The only crate that knows wasmtime.
//!
//! | to know | open |
//! |---|---|
//! | how a dispatch is decided | [`Host::decide`] in `host.rs` |
//! | what is checked before a policy serves | `policy.rs` |
//! | what an evaluation may use | `engine.rs`, `instance.rs` |
//! | what a guest can reach | `state.rs` |
#![warn(missing_docs)]

mod bindings;
mod cache;
mod chain;
mod component;
pub mod control;
mod convert;
mod digest;
mod engine;
mod event;
mod generation;
mod host;
mod instance;
mod lent;
mod loader;
mod policy;
mod pool;
mod probe;
mod rows;
mod schema;
mod state;

pub use cache::Compiled;
pub use component::ComponentError;
pub use convert::Moment;
pub use digest::{ComponentDigest, DigestError};
pub use engine::EngineError;
pub use event::Event;
pub use generation::GenerationError;
pub use host::{Host, HostBuilder, HostError};
pub use instance::InstanceError;
pub use lent::{Lane, WhyCanonical};
pub use policy::{About, LoadError};
pub use probe::{ProbeError, ProbeFigures};
