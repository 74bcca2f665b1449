//! Reads LiteLLM's price table. Numbers are taken from the text as it stands: nothing passes through a
//! binary fraction. Keys we do not know are ignored; a known key with a value that is no amount is an error.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::card::{ModelPrice, RateKey, ServiceTier, StatedRates, TokenClass};
use super::rate::{Rate, RateProblem};

/// A price table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// Not JSON, or not an object of objects.
    #[error("the price table `{layer}` is no JSON object of models: {source}")]
    Json {
        /// The layer.
        layer: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A price that is no price.
    #[error("the price table `{layer}`, model `{model}`, key `{key}`: `{value}` is no price: {problem}")]
    Rate {
        /// The layer.
        layer: String,
        /// The model.
        model: String,
        /// The key.
        key: String,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        problem: RateProblem,
    },
}

/// What a table says about one model, before it is resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    provider: Option<Box<str>>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    embeds: bool,
    pub(super) stated: StatedRates,
    /// It charges for something that is not a token: the image, the second, the request.
    charges_otherwise: bool,
    /// Its rates by the size of the input, where they stand in a table of their own.
    tiers: Tiers,
}

/// The rates of a `tiered_pricing` table, by the input that a call must exceed.
#[derive(Clone, Debug, Default)]
enum Tiers {
    /// There is no such table.
    #[default]
    None,
    /// There is, by the token.
    Rates(StatedRates),
    /// There is, by something else, or with gaps.
    Unread,
}

/// The layer as it stands: the values are text until a key says what they are.
pub(super) type Layer<'a> = BTreeMap<String, BTreeMap<String, &'a RawValue>>;

/// Describes the format instead of a model.
const SPECIMEN: &str = "sample_spec";

/// Bills the higher rate for a call whose input reaches the size; everyone else for one that is larger.
const INCLUSIVE_PROVIDER: &str = "xai";

/// Resells others' models: LiteLLM's calculator bills all of the input at its rate, and looks neither at the cache nor at the size
/// of the input. What it charges for a search is not by the token, and is told beside the usage.
const FLAT_PROVIDER: &str = "perplexity";

/// Bills what it reads from its cache at half the input's rate where the table says nothing.
const HALF_PRICE_CACHE_PROVIDER: &str = "fireworks_ai";

pub(super) fn parse<'a>(layer: &str, json: &'a str) -> Result<Layer<'a>, PriceTableError> {
    let mut models: Layer<'a> =
        serde_json::from_str(json).map_err(|source| PriceTableError::Json { layer: layer.to_owned(), source })?;
    models.remove(SPECIMEN);
    Ok(models)
}

impl Entry {
    /// Lays the keys of a later layer over this entry; `null` takes a key away.
    pub(super) fn overlay(
        &mut self,
        layer: &str,
        model: &str,
        keys: &BTreeMap<String, &RawValue>,
    ) -> Result<(), PriceTableError> {
        for (key, value) in keys {
            let value = value.get();
            if let Some(rate_key) = rate_key(key) {
                let number = text(value).unwrap_or(value);
                if number == "null" {
                    self.stated.remove(&rate_key);
                    continue;
                }
                let rate = Rate::from_dollars_per_token(number).map_err(|problem| PriceTableError::Rate {
                    layer: layer.to_owned(),
                    model: model.to_owned(),
                    key: key.clone(),
                    value: value.to_owned(),
                    problem,
                })?;
                self.stated.insert(rate_key, rate);
            } else if key == "tiered_pricing" {
                self.tiers = tiers(layer, model, value)?;
            } else if key.contains("_cost_per_") {
                self.charges_otherwise |= value.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
            } else {
                match key.as_str() {
                    "litellm_provider" => self.provider = text(value).map(Into::into),
                    "max_input_tokens" => self.max_input_tokens = value.parse().ok(),
                    "max_output_tokens" => self.max_output_tokens = value.parse().ok(),
                    "mode" => self.embeds = text(value) == Some("embedding"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The price of the model; nothing when it states none by the token, or charges for something else besides while its
    /// input is free or unstated: free tokens of a model billed by the second are not a free model.
    pub(super) fn price(&self) -> Option<ModelPrice> {
        let mut stated = self.rates()?;
        let fresh = RateKey { class: TokenClass::Input, tier: ServiceTier::Standard, above: 0 };
        let free = stated.values().all(|rate| *rate == Rate::FREE);
        if self.charges_otherwise && (free || !stated.contains_key(&fresh)) {
            return None;
        }
        match (self.provider.as_deref(), stated.get(&fresh)) {
            (Some(HALF_PRICE_CACHE_PROVIDER), Some(rate)) => {
                let half = Rate::new(rate.nanodollars_per_million().div_ceil(2));
                stated.entry(RateKey { class: TokenClass::CacheRead, ..fresh }).or_insert(half);
            }
            (Some(INCLUSIVE_PROVIDER), _) => {
                let reached =
                    |(key, rate): (RateKey, Rate)| (RateKey { above: key.above.saturating_sub(1), ..key }, rate);
                stated = stated.into_iter().map(reached).collect();
            }
            (Some(FLAT_PROVIDER), _) => {
                let flat = [TokenClass::Input, TokenClass::Output, TokenClass::Reasoning];
                stated.retain(|key, _| key.above == 0 && flat.contains(&key.class));
            }
            _ => {}
        }
        self.described(ModelPrice::resolve(&stated))
    }

    /// All rates by the token; nothing where there is a table that we do not read.
    pub(super) fn rates(&self) -> Option<StatedRates> {
        match &self.tiers {
            Tiers::None => Some(self.stated.clone()),
            Tiers::Rates(tiers) => {
                let mut stated = self.stated.clone();
                stated.extend(tiers.iter().map(|(key, rate)| (*key, *rate)));
                Some(stated)
            }
            Tiers::Unread => None,
        }
    }

    fn described(&self, resolved: Option<ModelPrice>) -> Option<ModelPrice> {
        let mut price = resolved?;
        price.provider.clone_from(&self.provider);
        price.max_input_tokens = self.max_input_tokens;
        price.max_output_tokens = self.max_output_tokens;
        price.embeds = self.embeds;
        Some(price)
    }
}

/// Reads a `tiered_pricing` table: one tier is picked by the whole input, and all of the call is billed at its rates, where what it
/// does not state is billed as its input or output. A table by anything but the token, or with gaps, is not read.
fn tiers(layer: &str, model: &str, value: &str) -> Result<Tiers, PriceTableError> {
    if value == "null" {
        return Ok(Tiers::None);
    }
    let Ok(rows) = serde_json::from_str::<Vec<BTreeMap<String, &RawValue>>>(value) else {
        return Ok(Tiers::Unread);
    };
    let (mut rates, mut end) = (StatedRates::new(), Some(0));
    for row in rows {
        let range = row.get("range").and_then(|range| serde_json::from_str::<[&RawValue; 2]>(range.get()).ok());
        let Some((start, next)) = range.and_then(|[start, next]| Some((count(start.get())?, count(next.get())?)))
        else {
            return Ok(Tiers::Unread);
        };
        if end != Some(start) || next <= start {
            return Ok(Tiers::Unread);
        }
        end = Some(next);
        let mut stated = Entry::default();
        stated.overlay(layer, model, &row)?;
        let stated = |class| stated.stated.get(&RateKey { class, tier: ServiceTier::Standard, above: 0 }).copied();
        let (Some(input), Some(output)) = (stated(TokenClass::Input), stated(TokenClass::Output)) else {
            return Ok(Tiers::Unread);
        };
        let write = stated(TokenClass::CacheWrite5m).unwrap_or(input);
        for (class, rate) in [
            (TokenClass::Input, input),
            (TokenClass::CacheRead, stated(TokenClass::CacheRead).unwrap_or(input)),
            (TokenClass::CacheWrite5m, write),
            (TokenClass::CacheWrite1h, stated(TokenClass::CacheWrite1h).unwrap_or(write)),
            (TokenClass::Output, output),
            (TokenClass::Reasoning, stated(TokenClass::Reasoning).unwrap_or(output)),
        ] {
            rates.insert(RateKey { class, tier: ServiceTier::Standard, above: start }, rate);
        }
    }
    Ok(if rates.is_empty() { Tiers::Unread } else { Tiers::Rates(rates) })
}

/// A whole number of tokens, also as `256000.0`.
fn count(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().all(|digit| digit == b'0') { whole.parse().ok() } else { None }
}

/// What is between the quotation marks of a JSON string without escapes.
fn text(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
}

/// `cache_creation_input_token_cost_above_1hr_above_200k_tokens_priority` and its like; nothing for any other key.
fn rate_key(key: &str) -> Option<RateKey> {
    const CLASSES: [(&str, TokenClass); 5] = [
        ("input_cost_per_token", TokenClass::Input),
        ("output_cost_per_token", TokenClass::Output),
        ("output_cost_per_reasoning_token", TokenClass::Reasoning),
        ("cache_read_input_token_cost", TokenClass::CacheRead),
        ("cache_creation_input_token_cost", TokenClass::CacheWrite5m),
    ];
    const TIERS: [(&str, ServiceTier); 3] =
        [("_batches", ServiceTier::Batch), ("_priority", ServiceTier::Priority), ("_flex", ServiceTier::Flex)];
    let (mut rest, class) =
        CLASSES.iter().find_map(|(name, class)| key.strip_prefix(name).map(|rest| (rest, *class)))?;
    let mut found = RateKey { class, tier: ServiceTier::Standard, above: 0 };
    while !rest.is_empty() {
        if let Some((after, tier)) =
            TIERS.iter().find_map(|(name, tier)| rest.strip_prefix(name).map(|after| (after, *tier)))
        {
            found.tier = tier;
            rest = after;
        } else {
            let (size, after) = match rest.strip_prefix("_above_1hr") {
                Some(after) => (None, after),
                None => rest.strip_prefix("_above_")?.split_once("_tokens").map(|(size, after)| (Some(size), after))?,
            };
            match size {
                None if found.class == TokenClass::CacheWrite5m => found.class = TokenClass::CacheWrite1h,
                None => return None,
                Some(size) => found.above = tokens(size)?,
            }
            rest = after;
        }
    }
    Some(found)
}

/// `200k` or `200000`; not zero, which stands for no size.
fn tokens(size: &str) -> Option<u64> {
    let count = match size.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1000)?,
        None => size.parse().ok()?,
    };
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_class_size_and_tier() {
        let key = |class, tier, above| Some(RateKey { class, tier, above });
        for (text, expected) in [
            ("input_cost_per_token", key(TokenClass::Input, ServiceTier::Standard, 0)),
            ("output_cost_per_token_flex", key(TokenClass::Output, ServiceTier::Flex, 0)),
            ("output_cost_per_reasoning_token", key(TokenClass::Reasoning, ServiceTier::Standard, 0)),
            ("input_cost_per_token_batches", key(TokenClass::Input, ServiceTier::Batch, 0)),
            (
                "cache_read_input_token_cost_above_272k_tokens_priority",
                key(TokenClass::CacheRead, ServiceTier::Priority, 272_000),
            ),
            ("input_cost_per_token_above_128_tokens", key(TokenClass::Input, ServiceTier::Standard, 128)),
            ("cache_creation_input_token_cost_above_1hr", key(TokenClass::CacheWrite1h, ServiceTier::Standard, 0)),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                key(TokenClass::CacheWrite1h, ServiceTier::Standard, 200_000),
            ),
            ("cache_creation_input_token_cost_above_12hr", None),
            ("input_cost_per_token_above_1hr", None),
            ("input_cost_per_token_cache_hit", None),
            ("input_cost_per_token_ultrafast", None),
            ("input_cost_per_token_above_0k_tokens", None),
            ("input_cost_per_second", None),
        ] {
            assert_eq!(rate_key(text), expected, "{text}");
        }
    }
}
