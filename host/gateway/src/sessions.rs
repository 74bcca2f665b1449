//! Runs of keys that name none: a key's calls are one run until it has been idle for 30 minutes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// An agent that says nothing for so long has ended its session.
const IDLE_MS: u64 = 30 * 60 * 1_000;
/// Keys that are remembered; when there are more, those that are idle are forgotten.
const MAX_KEYS: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

#[derive(Clone, Copy, Debug)]
struct Session {
    started_ms: u64,
    last_ms: u64,
}

impl Sessions {
    /// The run of a key's call at a moment.
    pub(crate) fn of(&self, key: &str, now_ms: u64) -> String {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_KEYS && !sessions.contains_key(key) {
            sessions.retain(|_, session| now_ms.saturating_sub(session.last_ms) <= IDLE_MS);
            // All of them are at work: the newcomer's calls are runs of their own, which forgets no one's ceiling.
            if sessions.len() >= MAX_KEYS {
                return format!("{key}@{now_ms}");
            }
        }
        let session = sessions.entry(key.to_owned()).or_insert(Session { started_ms: now_ms, last_ms: now_ms });
        if now_ms.saturating_sub(session.last_ms) > IDLE_MS {
            session.started_ms = now_ms;
        }
        session.last_ms = session.last_ms.max(now_ms);
        format!("{key}@{}", session.started_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_more_than_thirty_minutes_begins_a_new_run() {
        let sessions = Sessions::default();
        assert_eq!(sessions.of("k", 5), "k@5");
        assert_eq!(sessions.of("k", 5 + IDLE_MS), "k@5");
        assert_eq!(sessions.of("k", 6 + 2 * IDLE_MS), format!("k@{}", 6 + 2 * IDLE_MS));
        assert_eq!(sessions.of("other", 7), "other@7");
    }

    #[test]
    fn the_table_is_bounded() {
        let sessions = Sessions::default();
        for key in 0..=MAX_KEYS {
            sessions.of(&key.to_string(), 1);
        }
        assert_eq!(sessions.0.lock().unwrap().len(), MAX_KEYS);
        sessions.of("late", 2 + IDLE_MS);
        assert_eq!(sessions.0.lock().unwrap().len(), 1);
    }
}
