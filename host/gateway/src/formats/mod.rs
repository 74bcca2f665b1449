//! The wire formats of providers, as far as deciding and metering need them. Pure: bytes in, values out; no sockets, no clock.
//!
//! | to know | open |
//! |---|---|
//! | which requests are metered | `endpoint.rs` |
//! | what a request asks for, and how it is changed | `request.rs`, `document.rs` |
//! | what bounds its input | `size.rs` |
//! | what an answer used | `usage.rs` |
//! | the same from a stream | `meter.rs`, over `events.rs` |
//! | how a refusal looks to the caller's SDK | `problem.rs` |

mod document;
mod endpoint;
mod events;
#[cfg(test)]
mod golden;
mod meter;
mod problem;
mod request;
mod size;
mod text;
mod usage;

pub(crate) use endpoint::{Endpoint, below};
pub(crate) use meter::{Meter, Metered};
pub(crate) use problem::{NextAction, Problem};
pub(crate) use request::ModelRequest;
pub(crate) use usage::answer_of;
