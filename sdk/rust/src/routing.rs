//! Which model takes the dispatch: facts and verdicts of a [`Routing`](crate::Routing).

use crate::dispatch::{Candidate, Dispatch, facts};
use crate::{Nanodollars, Reason, Symbol, Tier, Tokens};

facts! {
    /// What a routing policy is told.
    pub struct Facts {
        /// The dispatch.
        pub dispatch: Dispatch,
        /// The lowest tier the retry ceilings left; a candidate below it is an error of the policy.
        pub floor: Tier,
        /// The tier a workflow gate asked for, whose key may override.
        pub requested_tier: Option<Tier>,
        /// The model the caller named.
        pub requested_model: Symbol,
        /// The index of the candidate that took the run, task and stage so far, while it still holds.
        pub sticky: Option<u32>,
        /// What the tightest scope of the dispatch can still pay; [`Nanodollars::MAX`] without a budget.
        pub affordable: Nanodollars,
        /// Times a verifier rejected the task's work.
        pub rejections: u32,
        /// What the dispatch sends, cached or not; 0 where unknown.
        pub input: Tokens,
        /// At most 64; neither covered by a switch nor down.
        pub candidates: Vec<Candidate>,
    }
}

/// No floor, no wish, no bound, and no candidate.
impl Default for Facts {
    fn default() -> Self {
        Self {
            dispatch: Dispatch::default(),
            floor: Tier::Low,
            requested_tier: None,
            requested_model: Symbol::UNKNOWN,
            sticky: None,
            affordable: Nanodollars::MAX,
            rejections: 0,
            input: Tokens(0),
            candidates: Vec::new(),
        }
    }
}

/// What a routing policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Verdict {
    /// The candidate with this index takes it.
    UseCandidate(u32),
    /// Leaves it to other policies; where none has an opinion, the host takes the cheapest candidate at or
    /// above the floor, of the requested model where there is one.
    NoOpinion,
    /// Not at all.
    Refuse(Reason),
}
