//! What a call used, in the one normal form that every provider's numbers are brought into.

use serde::{Deserialize, Serialize};

/// Tokens of one call, or of a whole invocation.
///
/// The four input classes are disjoint; `reasoning` is a part of `output` (Anthropic's
/// `input_tokens` excludes the cache, OpenAI's `prompt_tokens` includes it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Input read afresh.
    pub uncached_input: u64,
    /// Input read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Input written to the cache for one hour.
    pub cache_write_1h: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of the output that was reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// All that was sent, cached or not; nothing where the sum does not fit.
    #[must_use]
    pub fn input(&self) -> Option<u64> {
        self.uncached_input
            .checked_add(self.cache_read)?
            .checked_add(self.cache_write_5m)?
            .checked_add(self.cache_write_1h)
    }
}
