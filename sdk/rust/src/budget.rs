//! What a dispatch may cost, given what was spent: facts and verdicts of a [`Budget`](crate::Budget).

use crate::dispatch::{Dispatch, ScopeState, facts};
use crate::{Nanodollars, Reason, Span, Symbol, Tier, Tokens};

facts! {
    /// What a budget policy is told.
    pub struct Facts {
        /// The dispatch.
        pub dispatch: Dispatch,
        /// The model that routing chose.
        pub model: Symbol,
        /// Its tier.
        pub tier: Tier,
        /// What the dispatch is expected to cost.
        pub estimated_cost: Nanodollars,
        /// The output the dispatch may produce; 0 where unknown.
        pub output: Tokens,
        /// One for each budget that applies; at most 64.
        pub scopes: Vec<ScopeState>,
    }
}

/// A free dispatch of the low tier that no budget covers.
impl Default for Facts {
    fn default() -> Self {
        Self {
            dispatch: Dispatch::default(),
            model: Symbol::UNKNOWN,
            tier: Tier::Low,
            estimated_cost: Nanodollars::ZERO,
            output: Tokens(0),
            scopes: Vec::new(),
        }
    }
}

/// What a budget policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Verdict {
    /// No objection.
    Proceed,
    /// Wait so long, at most 49 days, then decide again.
    Slow(Span),
    /// Go, with at most so many output tokens.
    CapOutput(Tokens),
    /// Until someone approves.
    HoldForApproval(Reason),
    /// Not at all.
    Refuse(Reason),
}
