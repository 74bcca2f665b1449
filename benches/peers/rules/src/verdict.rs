//! What comes of it, as one number that every engine can return.

use std::fmt;

/// What stopped a dispatch. The number is what the engines' rules return, in billions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    SwitchEngaged = 1,
    RunCost,
    RunRate,
    Outlier,
    OutputLimit,
    FailedAttempts,
    Loop,
    FastFailures,
    FailuresInARow,
    FailingFor,
    RejectedAtPremium,
    NoCandidate,
    HardCeiling,
    Limit,
}

/// A rule that stopped it; or the candidate it goes to; or the milliseconds it waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict(i64);

const RULE: i64 = 1_000_000_000;
const CANDIDATE: i64 = 10_000_000;

impl Verdict {
    #[must_use]
    pub const fn stopped(rule: Rule) -> Self {
        Self(rule as i64 * RULE)
    }

    /// One that waits is decided again afterwards, so it has no candidate yet.
    #[must_use]
    pub const fn goes(candidate: usize, wait_ms: i64) -> Self {
        Self(if wait_ms > 0 { wait_ms } else { candidate as i64 * CANDIDATE })
    }

    /// Of a number that an engine returned.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// It goes now.
    #[must_use]
    pub const fn proceeds(self) -> bool {
        self.0 >= 0 && self.0 < RULE && self.0 % CANDIDATE == 0
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, candidate, wait_ms) = (self.0 / RULE, self.0 % RULE / CANDIDATE, self.0 % CANDIDATE);
        match (rule, wait_ms) {
            (0, 0) => write!(f, "goes to candidate {candidate}"),
            (0, wait_ms) => write!(f, "waits {wait_ms} ms"),
            _ => write!(f, "stopped by rule {rule}"),
        }
    }
}
