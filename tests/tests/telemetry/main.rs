//! What the gateway tells of itself: spans at a collector, numbers for Prometheus, lines of the log; and that no prompt and no key is
//! in any of it, nor in what is left on the disk.

mod collector;
mod exposition;
mod metrics;
mod secrets;
#[path = "../gateway/site.rs"]
#[allow(dead_code, reason = "the gateway's own tests use all of it")]
mod site;
mod spans;
