//! The rates of one model, resolved for every service tier and context size when the table is read, so that
//! pricing a call is six multiplications.
//!
//! The rules are those of LiteLLM's own calculator, so that both give the same bill:
//! - A rate that a tier does not state is the standard rate. A rate above a context size replaces the whole
//!   call's rate, not only that of the tokens above it.
//! - Without a rate for cache reads or writes, those tokens cost what fresh input costs. Without one for
//!   one-hour writes, they cost what five-minute writes cost.
//! - Reasoning costs what output costs unless the model states a rate for it; a tier with its own output
//!   rate and no reasoning rate charges reasoning as that output.
//! - A batch discount covers the classes it is stated for; with a batch rate for input, cached input without
//!   one costs what batch input costs. Where no batch rate is stated there is no discount (LiteLLM
//!   guesses half; a guess in the payer's favour is how a bill comes out above a budget).

use std::collections::BTreeMap;

use super::rate::Rate;

/// What a token was used for. The input classes are disjoint; `Reasoning` is a part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenClass {
    /// Input read afresh.
    Input,
    /// Input read from the prompt cache.
    CacheRead,
    /// Input written to the cache for five minutes.
    CacheWrite5m,
    /// Input written to the cache for one hour.
    CacheWrite1h,
    /// Output without its reasoning.
    Output,
    /// Output that was reasoning.
    Reasoning,
}

impl TokenClass {
    /// The words for a message: `cache read`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache read",
            Self::CacheWrite5m => "cache write (5 minutes)",
            Self::CacheWrite1h => "cache write (1 hour)",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
        }
    }
}

/// How soon the provider was asked to answer; they exclude each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceTier {
    /// As usual.
    #[default]
    Standard,
    /// Within a day, at a discount.
    Batch,
    /// Sooner, dearer.
    Priority,
    /// When there is room, cheaper.
    Flex,
}

/// Which rate: what for, at which tier, for calls whose input is larger than so many tokens (0: all).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RateKey {
    pub(super) class: TokenClass,
    pub(super) tier: ServiceTier,
    pub(super) above: u64,
}

/// The rates as a table states them.
pub(super) type StatedRates = BTreeMap<RateKey, Rate>;

/// One rate for each class. Nothing where no rate is known: tokens of that class cannot be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateCard {
    pub(super) input: Option<Rate>,
    pub(super) cache_read: Option<Rate>,
    pub(super) cache_write_5m: Option<Rate>,
    pub(super) cache_write_1h: Option<Rate>,
    pub(super) output: Option<Rate>,
    pub(super) reasoning: Option<Rate>,
}

/// The cards of one tier: that for all calls, and those for calls whose input is larger than `above`, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bands {
    base: RateCard,
    long: Vec<(u64, RateCard)>,
}

/// What one model costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPrice {
    pub(super) provider: Option<Box<str>>,
    pub(super) max_input_tokens: Option<u64>,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) embeds: bool,
    standard: Bands,
    batch: Bands,
    priority: Bands,
    flex: Bands,
}

impl ModelPrice {
    /// Resolves stated rates; nothing when there is none for input and none for output.
    pub(super) fn resolve(stated: &StatedRates) -> Option<Self> {
        let states = |class| stated.contains_key(&RateKey { class, tier: ServiceTier::Standard, above: 0 });
        if !states(TokenClass::Input) && !states(TokenClass::Output) {
            return None;
        }
        Some(Self {
            provider: None,
            max_input_tokens: None,
            max_output_tokens: None,
            embeds: false,
            standard: Bands::resolve(stated, ServiceTier::Standard),
            batch: Bands::resolve(stated, ServiceTier::Batch),
            priority: Bands::resolve(stated, ServiceTier::Priority),
            flex: Bands::resolve(stated, ServiceTier::Flex),
        })
    }

    /// Who serves it, in LiteLLM's word.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The largest input it takes, in tokens.
    #[must_use]
    pub const fn max_input_tokens(&self) -> Option<u64> {
        self.max_input_tokens
    }

    /// The largest output it gives, in tokens.
    #[must_use]
    pub const fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens
    }

    /// Whether it is there to embed, and writes nothing.
    #[must_use]
    pub const fn embeds(&self) -> bool {
        self.embeds
    }

    /// The rate of a class for a call of that tier with an input of that many tokens, cached ones included.
    #[must_use]
    pub fn rate(&self, class: TokenClass, tier: ServiceTier, input_tokens: u64) -> Option<Rate> {
        let card = self.card(tier, input_tokens);
        match class {
            TokenClass::Input => card.input,
            TokenClass::CacheRead => card.cache_read,
            TokenClass::CacheWrite5m => card.cache_write_5m,
            TokenClass::CacheWrite1h => card.cache_write_1h,
            TokenClass::Output => card.output,
            TokenClass::Reasoning => card.reasoning,
        }
    }

    /// The highest rate of a class for a call of that tier with an input of at most that many tokens: a smaller call may
    /// cost more by the token.
    #[must_use]
    pub fn highest_rate(&self, class: TokenClass, tier: ServiceTier, most_input_tokens: u64) -> Option<Rate> {
        let sizes = self.bands(tier).long.iter().map(|(above, _)| above.saturating_add(1));
        let sizes = std::iter::once(0).chain(sizes.filter(|size| *size <= most_input_tokens));
        sizes.filter_map(|size| self.rate(class, tier, size)).max()
    }

    fn bands(&self, tier: ServiceTier) -> &Bands {
        match tier {
            ServiceTier::Standard => &self.standard,
            ServiceTier::Batch => &self.batch,
            ServiceTier::Priority => &self.priority,
            ServiceTier::Flex => &self.flex,
        }
    }

    pub(super) fn card(&self, tier: ServiceTier, input_tokens: u64) -> &RateCard {
        let bands = self.bands(tier);
        bands.long.iter().rev().find(|(above, _)| input_tokens > *above).map_or(&bands.base, |(_, card)| card)
    }
}

impl Bands {
    fn resolve(stated: &StatedRates, tier: ServiceTier) -> Self {
        let counts = |key: &&RateKey| key.above > 0 && (key.tier == tier || key.tier == ServiceTier::Standard);
        let mut sizes: Vec<u64> = stated.keys().filter(counts).map(|key| key.above).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let card = |input| match tier {
            ServiceTier::Batch => batch_card(stated, input),
            _ => online_card(stated, tier, &sizes, input),
        };
        Self { base: card(0), long: sizes.iter().map(|above| (*above, card(above.saturating_add(1)))).collect() }
    }
}

/// The card of a call that is answered at once.
fn online_card(stated: &StatedRates, tier: ServiceTier, sizes: &[u64], input: u64) -> RateCard {
    let exactly = |class, tier, above| stated.get(&RateKey { class, tier, above }).copied();
    let at = |class, above| exactly(class, tier, above).or_else(|| exactly(class, ServiceTier::Standard, above));
    let crossed = || sizes.iter().copied().filter(|above| input > *above);
    let resolved = |class| crossed().fold(at(class, 0), |rate, above| at(class, above).or(rate));
    let fresh = resolved(TokenClass::Input);
    let output = resolved(TokenClass::Output);
    let cache_write_5m = resolved(TokenClass::CacheWrite5m).or(fresh);
    let hour = TokenClass::CacheWrite1h;
    let cache_write_1h = crossed().fold(at(hour, 0), |rate, above| exactly(hour, tier, above).or(rate));
    let own_output = tier != ServiceTier::Standard && exactly(TokenClass::Output, tier, 0).is_some();
    let of_size = |tier| {
        let reasoning = |above| exactly(TokenClass::Reasoning, tier, above);
        crossed().fold(reasoning(0), |rate, above| reasoning(above).or(rate))
    };
    let reasoning = match of_size(tier) {
        Some(rate) => Some(rate),
        None if own_output => output,
        None => of_size(ServiceTier::Standard).or(output),
    };
    RateCard {
        input: fresh,
        cache_read: resolved(TokenClass::CacheRead).or(fresh),
        cache_write_5m,
        cache_write_1h: cache_write_1h.or(cache_write_5m),
        output,
        reasoning,
    }
}

/// The card of a call in a batch: each class has its own context sizes.
fn batch_card(stated: &StatedRates, input: u64) -> RateCard {
    let standard = || {
        let mut sizes: Vec<u64> =
            stated.keys().filter(|key| key.tier == ServiceTier::Standard).map(|key| key.above).collect();
        sizes.retain(|above| *above > 0);
        sizes.sort_unstable();
        online_card(stated, ServiceTier::Standard, &sizes, input)
    };
    let batch = |class| {
        let of_class = stated.iter().filter(|(key, _)| key.class == class && key.tier == ServiceTier::Batch);
        of_class
            .filter(|(key, _)| input > key.above || key.above == 0)
            .max_by_key(|(key, _)| key.above)
            .map(|(_, rate)| *rate)
    };
    let output = batch(TokenClass::Output).or_else(|| standard().output);
    let Some(fresh) = batch(TokenClass::Input) else {
        return RateCard { output, reasoning: output, ..standard() };
    };
    let cache_write_5m = batch(TokenClass::CacheWrite5m).unwrap_or(fresh);
    RateCard {
        input: Some(fresh),
        cache_read: Some(batch(TokenClass::CacheRead).unwrap_or(fresh)),
        cache_write_5m: Some(cache_write_5m),
        cache_write_1h: Some(batch(TokenClass::CacheWrite1h).unwrap_or(cache_write_5m)),
        output,
        reasoning: output,
    }
}
