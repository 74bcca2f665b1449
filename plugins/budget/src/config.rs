//! What the budget policy can be told. Everything has a default, and every default its reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_sdk::{Nanodollars, Share, Span, Tokens};

/// A fifth of the window's money is left: early enough to change something.
pub const APPROACHING: Share = Share::percent(80);

/// Enough that work which can wait lets other work go first; not so much that a client gives up.
pub const SLOW: Span = Span::seconds(2);

/// Above what nineteen of twenty calls of a coding agent cost: what is dearer is worth a person's glance
/// where the limit is reached, and everything else would only be held up by one.
pub const DEAR: Nanodollars = Nanodollars::dollars(5);

/// Half of what is left after the work that can wait was slowed.
pub const CAP_OUTPUT_AT: Share = Share::percent(90);

/// Room for a whole file of code; not for a whole program in one answer.
pub const CAP_OUTPUT_TOKENS: Tokens = Tokens(8_192);

/// The configuration of the budget policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The share of a limit, spent and reserved, from which low-priority work is slowed.
    pub approaching: Share,
    /// How long it waits, in all. `"0s"` switches the rule off.
    pub slow: Span,
    /// From this estimate on a dispatch that would pass a limit needs an approval, whatever its priority.
    pub dear: Nanodollars,
    /// Shorter answers near a limit.
    pub cap_output: CapOutput,
}

impl Default for Config {
    fn default() -> Self {
        Self { approaching: APPROACHING, slow: SLOW, dear: DEAR, cap_output: CapOutput::default() }
    }
}

/// Shorter answers near a limit. Off, because an answer that is cut short is often paid twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CapOutput {
    /// Whether the rule is on.
    pub enabled: bool,
    /// The share of a limit, spent and reserved, from which on.
    pub at: Share,
    /// The most tokens of output, 1 to 4,294,967,295.
    pub tokens: Tokens,
}

impl Default for CapOutput {
    fn default() -> Self {
        Self { enabled: false, at: CAP_OUTPUT_AT, tokens: CAP_OUTPUT_TOKENS }
    }
}
