//! No endless loops: facts and verdicts of a [`RetryCeiling`](crate::RetryCeiling).

use crate::dispatch::{Dispatch, facts};
use crate::{Reason, Span, Tier, Tokens};

/// The loop a task is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Repetition {
    /// The same failure fingerprint in a row.
    SameFailure,
    /// A timeout, and the same context again.
    TimedOutContext,
    /// Stopped at the output limit, and the same request again.
    OutputLimit,
    /// The same proposal again, without progress.
    SameProposal,
}

facts! {
    /// What a retry ceiling is told.
    #[derive(Default)]
    pub struct Facts {
        /// The dispatch.
        pub dispatch: Dispatch,
        /// Failed attempts of the task since it last succeeded. A provider's outage is not among them.
        pub attempts: u32,
        /// Those of them without an idle gap between one and the next, up to now.
        pub streak: u32,
        /// From the start of the streak's first attempt to now; zero without a streak.
        pub streak_elapsed: Span,
        /// From the end of the last failed attempt to now; zero without one.
        pub since_failure: Span,
        /// Fast failures in a row at the end of the streak.
        pub fast_failures: u32,
        /// Times a verifier rejected the task's work.
        pub rejections: u32,
        /// The highest tier whose work failed or was rejected since the last success.
        pub failed_tier: Option<Tier>,
        /// The loop the task is in.
        pub repetition: Option<Repetition>,
        /// How many times in a row.
        pub repetitions: u32,
        /// What the dispatch sends, cached or not; 0 where unknown.
        pub input: Tokens,
    }
}

/// What a retry ceiling says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Verdict {
    /// No objection.
    Proceed,
    /// Nothing below this tier may take the dispatch.
    RaiseFloor(Tier),
    /// Wait so long, at most 49 days, then decide again.
    BackOff(Span),
    /// Until a human approves.
    HoldForHuman(Reason),
    /// Not at all.
    Refuse(Reason),
}
