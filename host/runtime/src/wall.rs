//! The one place of this crate that reads the wall clock: for when a generation began to serve. No decision looks at it;
//! what a decision knows of time is in its dispatch.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch; 0 on a machine whose clock is before it.
#[expect(clippy::disallowed_methods, reason = "the clock that people read off a status; no verdict rests on it")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
