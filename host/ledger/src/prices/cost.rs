//! The cost of one call: the exact sum over all classes of tokens, rounded once.

use tollgate_core::{Nanodollars, Usage};

use super::card::{ModelPrice, ServiceTier, TokenClass};
use super::rate::{FEMTODOLLARS_PER_NANODOLLAR, Rate, divide_half_up};

/// How a call is to be priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostOptions {
    /// The tier it was served at.
    pub tier: ServiceTier,
    /// Whether the size of its input says something about one call.
    pub long_context: LongContext,
}

/// Whether the long-context rates of a model are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongContext {
    /// For one call: its input decides.
    #[default]
    Apply,
    /// For an invocation, whose token sums say nothing about the size of a single call.
    Ignore,
}

/// Usage that cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// There are tokens of a class for which the model states no rate.
    #[error("the price table states no {} rate for this model: add it in a layer", class.as_str())]
    MissingRate {
        /// The class that was used.
        class: TokenClass,
    },
    /// Reasoning is a part of the output.
    #[error("the usage has {reasoning} reasoning tokens in {output} output tokens")]
    ReasoningAboveOutput {
        /// Reasoning tokens.
        reasoning: u64,
        /// All output tokens.
        output: u64,
    },
    /// The tokens or their price do not fit.
    #[error("the usage or its price is too large to be counted")]
    TooLarge,
}

impl ModelPrice {
    /// What the usage costs. The sum of tokens × rate over all classes is exact (in 10⁻¹⁵ dollars) and rounded to
    /// nanodollars once, halves up; so a call is at most half a nanodollar off, and the parts of a
    /// call priced one by one may differ from it by that much each.
    ///
    /// # Errors
    /// When a class that was used has no rate, the usage contradicts itself, or the sum does not fit.
    pub fn cost(&self, usage: &Usage, options: CostOptions) -> Result<Nanodollars, PriceError> {
        let input_tokens = match options.long_context {
            LongContext::Apply => usage.input().ok_or(PriceError::TooLarge)?,
            LongContext::Ignore => 0,
        };
        let card = self.card(options.tier, input_tokens);
        let Usage { uncached_input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } = *usage;
        let answer = output.checked_sub(reasoning).ok_or(PriceError::ReasoningAboveOutput { reasoning, output })?;
        let parts = [
            (TokenClass::Input, uncached_input, card.input),
            (TokenClass::CacheRead, cache_read, card.cache_read),
            (TokenClass::CacheWrite5m, cache_write_5m, card.cache_write_5m),
            (TokenClass::CacheWrite1h, cache_write_1h, card.cache_write_1h),
            (TokenClass::Output, answer, card.output),
            (TokenClass::Reasoning, reasoning, card.reasoning),
        ];
        let mut sum = 0_u128;
        for (class, tokens, rate) in parts {
            sum = sum.checked_add(part(class, tokens, rate)?).ok_or(PriceError::TooLarge)?;
        }
        let rounded = divide_half_up(sum, FEMTODOLLARS_PER_NANODOLLAR).ok_or(PriceError::TooLarge)?;
        u64::try_from(rounded).map(Nanodollars::new).map_err(|_| PriceError::TooLarge)
    }
}

fn part(class: TokenClass, tokens: u64, rate: Option<Rate>) -> Result<u128, PriceError> {
    if tokens == 0 {
        return Ok(0);
    }
    rate.map(|rate| rate.femtodollars(tokens)).ok_or(PriceError::MissingRate { class })
}
