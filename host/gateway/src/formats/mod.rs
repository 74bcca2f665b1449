//! The wire formats of providers, as far as deciding and metering need them. Pure: bytes in, values out; no sockets, no clock.
//!
//! | to know | open |
//! |---|---|
//! | what a request asks for, and how it is changed | `request.rs`, `document.rs` |
//! | what an answer used | `usage.rs` |
//! | the same from a stream | `meter.rs`, over `events.rs` |
//! | how a refusal looks to the caller's SDK | `problem.rs` |

mod document;
mod events;
mod meter;
mod problem;
mod request;
mod usage;

pub(crate) use meter::{Meter, Metered};
pub(crate) use problem::{NextAction, Problem};
pub(crate) use request::ModelRequest;
pub(crate) use usage::answer_of;
