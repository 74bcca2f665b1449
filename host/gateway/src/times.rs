//! How long things may take, each with its reason. Nothing here reads a clock.

use std::time::Duration;

use tollgate_core::Milliseconds;
use tollgate_core::config::BackendTimes;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// To connect to a backend.
    pub connect: Duration,
    /// From sending a request to the first byte of its answer. Ten minutes: a long answer that is not streamed takes minutes.
    pub first_byte: Duration,
    /// Between two pieces of a stream.
    pub between_pieces: Duration,
    /// From the first byte of an answer to its last.
    pub whole: Duration,
    /// How long an unused connection to a backend is kept.
    pub idle_connection: Duration,
    /// How long a call is kept waiting by policies in all. Below the ten minutes of the providers' SDKs.
    pub longest_wait: Duration,
    /// How long a held call waits for its approval at most, where its caller says `Prefer: wait=…`. Nine minutes: the SDKs wait ten.
    pub longest_hold: Duration,
    /// How long a call waits for the reservations of others to end.
    pub queue: Duration,
    /// How long the last event of a stream may take to reach its client.
    pub last_word: Duration,
    /// How long calls under way may take to end once the gateway is ending; then they are cut.
    pub drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(10),
            first_byte: seconds(600),
            between_pieces: seconds(120),
            whole: seconds(1_800),
            idle_connection: seconds(60),
            longest_wait: seconds(120),
            longest_hold: seconds(540),
            queue: seconds(2),
            last_word: seconds(1),
            drain: seconds(30),
        }
    }
}

impl Times {
    /// Those of a backend, where its configuration says otherwise.
    pub(crate) fn of_backend(self, told: BackendTimes) -> Self {
        let or = |told: Option<Milliseconds>, time| told.map_or(time, |told| Duration::from_millis(told.as_u64()));
        Self {
            connect: or(told.connect, self.connect),
            first_byte: or(told.first_byte, self.first_byte),
            between_pieces: or(told.between_pieces, self.between_pieces),
            whole: or(told.whole, self.whole),
            ..self
        }
    }

    /// How long after it was sent a call is settled at the latest; one that is not by then was lost, and costs all that was
    /// reserved. A minute beyond what its parts may take, so that nothing that is still under way is taken for lost.
    pub(crate) fn resolved_within(&self) -> Duration {
        self.first_byte.saturating_add(self.whole).saturating_add(Duration::from_secs(60))
    }
}
