//! The table: layers of prices, look-ups that say how they were answered, and what an unpriced model means.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tollgate_core::{Nanodollars, Usage};

use super::card::{ModelPrice, RateKey, ServiceTier, StatedRates};
use super::cost::{CostOptions, PriceError};
use super::litellm::{self, Entry, PriceTableError};
use super::names;
use super::rate::Rate;

/// The prices of the models that the project's demonstration names; LiteLLM 1.109.1.
const BUILTIN: &str = include_str!("../../prices.json");

/// What models cost. Share it behind an `Arc`; only its counters change after it is built.
#[derive(Debug, Default)]
pub struct PriceTable {
    entries: HashMap<Box<str>, Entry>,
    prices: HashMap<Box<str>, ModelPrice>,
    /// What stands behind the last `/` of a name, and the one entry it belongs to; nothing where there are several.
    tails: HashMap<Box<str>, Option<Box<str>>>,
    dearest: Option<ModelPrice>,
    counts: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    exact: AtomicU64,
    fallback: AtomicU64,
    unpriced: AtomicU64,
}

/// How look-ups were answered since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupCounts {
    /// By the very name.
    pub exact: u64,
    /// By another name.
    pub fallback: u64,
    /// Not at all.
    pub unpriced: u64,
}

/// The answer to a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'table> {
    /// The table has that very name.
    Exact(&'table ModelPrice),
    /// The table has it under another name; the rule is in the documentation of [`PriceTable::lookup`].
    Fallback {
        /// The name the table has.
        name: &'table str,
        /// Its price.
        price: &'table ModelPrice,
    },
    /// The table does not price it.
    Unpriced,
}

impl<'table> Lookup<'table> {
    /// The price, if there is one.
    #[must_use]
    pub const fn price(self) -> Option<&'table ModelPrice> {
        match self {
            Self::Exact(price) | Self::Fallback { price, .. } => Some(price),
            Self::Unpriced => None,
        }
    }
}

/// What a model without a price means. Never a silent zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnpricedPolicy {
    /// It is not called.
    #[default]
    Refuse,
    /// It is charged, class by class, as the dearest of the whole table.
    AssumeDearest,
    /// It is called and counted as nothing, and everything that shows the amount says so.
    AllowAndFlag,
}

/// What an amount rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis<'table> {
    /// The model's own price.
    Exact,
    /// The price of that name.
    Fallback(&'table str),
    /// The dearest rates of the table, by [`UnpricedPolicy::AssumeDearest`].
    Dearest,
    /// Nothing, by [`UnpricedPolicy::AllowAndFlag`]: the amount is no amount.
    Unpriced,
}

/// An amount and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote<'table> {
    /// The amount.
    pub cost: Nanodollars,
    /// What it rests on.
    pub basis: Basis<'table>,
}

/// A model that may not be called, or a usage that cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpricedError {
    /// There is no price, and the configuration says that this refuses.
    #[error(
        "the price table has no price for `{model}`: add one in a layer, or set `unpriced` to \"assume-dearest\" or \"allow-and-flag\""
    )]
    NoPrice {
        /// The model.
        model: String,
    },
    /// There is one, and the usage does not fit it.
    #[error("`{model}` cannot be priced: {source}")]
    Usage {
        /// The model.
        model: String,
        /// Why not.
        source: PriceError,
    },
}

impl PriceTable {
    /// A table without a price.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The table that comes with the project.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[must_use]
    pub fn builtin() -> Self {
        Self::empty().with_layer("built-in", BUILTIN).expect("the built-in table is read by a test")
    }

    /// Lays another table, JSON in LiteLLM's format, over this one: for each model, its keys replace the same keys
    /// below and leave the others; `null` takes a key away.
    ///
    /// # Errors
    /// When it is no such JSON, or a price in it is no price; the message names model and key.
    pub fn with_layer(mut self, name: &str, json: &str) -> Result<Self, PriceTableError> {
        for (model, keys) in litellm::parse(name, json)? {
            let entry = self.entries.entry(model.as_str().into()).or_default();
            entry.overlay(name, &model, &keys)?;
            match entry.price() {
                Some(price) => self.prices.insert(model.into(), price),
                None => self.prices.remove(model.as_str()),
            };
        }
        self.tails = tails(&self.prices);
        self.dearest = dearest(&self.entries, &self.prices);
        Ok(self)
    }

    /// The price of a model, and how it was found. A name the table does not have is tried, in this order:
    /// without what stands before a `/`; without a date or `latest` at its end; without both; with the
    /// provider that exactly one entry has before it. A name that the table has without a price
    /// by the token is unpriced and tried no further. Every answer is counted.
    #[must_use]
    pub fn lookup(&self, model: &str) -> Lookup<'_> {
        let found = self.find(model);
        let counter = match found {
            Lookup::Exact(_) => &self.counts.exact,
            Lookup::Fallback { .. } => &self.counts.fallback,
            Lookup::Unpriced => &self.counts.unpriced,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn find(&self, model: &str) -> Lookup<'_> {
        if let Some(price) = self.prices.get(model) {
            return Lookup::Exact(price);
        }
        if self.entries.contains_key(model) {
            return Lookup::Unpriced;
        }
        let full = [Some(model), names::undated(model)].into_iter().flatten();
        let full = full.filter_map(|tail| self.tails.get(tail)?.as_deref());
        names::alternatives(model)
            .into_iter()
            .chain(full)
            .find_map(|name| self.prices.get_key_value(name))
            .map_or(Lookup::Unpriced, |(name, price)| Lookup::Fallback { name, price })
    }

    /// The price to charge for a model, and what it rests on, under the configuration's choice for unpriced models.
    /// No price with [`Basis::Unpriced`] means: allowed, and flagged.
    ///
    /// # Errors
    /// When there is no price and the choice is to refuse, or the table is empty and has no dearest.
    pub fn price(
        &self,
        model: &str,
        policy: UnpricedPolicy,
    ) -> Result<(Option<&ModelPrice>, Basis<'_>), UnpricedError> {
        match (self.lookup(model), policy, &self.dearest) {
            (Lookup::Exact(price), ..) => Ok((Some(price), Basis::Exact)),
            (Lookup::Fallback { name, price }, ..) => Ok((Some(price), Basis::Fallback(name))),
            (Lookup::Unpriced, UnpricedPolicy::AssumeDearest, Some(price)) => Ok((Some(price), Basis::Dearest)),
            (Lookup::Unpriced, UnpricedPolicy::AllowAndFlag, _) => Ok((None, Basis::Unpriced)),
            (Lookup::Unpriced, ..) => Err(UnpricedError::NoPrice { model: model.to_owned() }),
        }
    }

    /// What a usage of a model costs.
    ///
    /// # Errors
    /// When the model has no price and the choice is to refuse, or the usage does not fit its price.
    pub fn quote(
        &self,
        model: &str,
        usage: &Usage,
        options: CostOptions,
        policy: UnpricedPolicy,
    ) -> Result<Quote<'_>, UnpricedError> {
        let (price, basis) = self.price(model, policy)?;
        let cost = match price {
            Some(price) => {
                price.cost(usage, options).map_err(|source| UnpricedError::Usage { model: model.to_owned(), source })?
            }
            None => Nanodollars::ZERO,
        };
        Ok(Quote { cost, basis })
    }

    /// How look-ups were answered so far.
    #[must_use]
    pub fn counts(&self) -> LookupCounts {
        LookupCounts {
            exact: self.counts.exact.load(Ordering::Relaxed),
            fallback: self.counts.fallback.load(Ordering::Relaxed),
            unpriced: self.counts.unpriced.load(Ordering::Relaxed),
        }
    }

    /// The models that have a price, in no order.
    pub fn models(&self) -> impl Iterator<Item = (&str, &ModelPrice)> {
        self.prices.iter().map(|(name, price)| (&**name, price))
    }
}

fn tails(prices: &HashMap<Box<str>, ModelPrice>) -> HashMap<Box<str>, Option<Box<str>>> {
    let mut tails: HashMap<Box<str>, Option<Box<str>>> = HashMap::new();
    for name in prices.keys() {
        if let Some((_, tail)) = name.rsplit_once('/') {
            tails.entry(tail.into()).and_modify(|owner| *owner = None).or_insert_with(|| Some(name.clone()));
        }
    }
    tails
}

/// For each class the highest rate that any priced model states at any tier and size.
fn dearest(entries: &HashMap<Box<str>, Entry>, prices: &HashMap<Box<str>, ModelPrice>) -> Option<ModelPrice> {
    let mut highest = StatedRates::new();
    for (key, rate) in prices.keys().filter_map(|name| entries.get(name)?.rates()).flatten() {
        let key = RateKey { class: key.class, tier: ServiceTier::Standard, above: 0 };
        let best = highest.entry(key).or_insert(Rate::FREE);
        *best = (*best).max(rate);
    }
    raise_to_what_stands_in(&mut highest);
    ModelPrice::resolve(&highest)
}

/// A class without a rate is charged as another (see `card`): the dearest may not be cheaper than that.
fn raise_to_what_stands_in(highest: &mut StatedRates) {
    use super::card::TokenClass::{CacheRead, CacheWrite1h, CacheWrite5m, Input, Output, Reasoning};
    for (class, stand_in) in
        [(CacheRead, Input), (CacheWrite5m, Input), (CacheWrite1h, CacheWrite5m), (Reasoning, Output)]
    {
        let key = |class| RateKey { class, tier: ServiceTier::Standard, above: 0 };
        if let Some(floor) = highest.get(&key(stand_in)).copied() {
            let rate = highest.entry(key(class)).or_insert(floor);
            *rate = (*rate).max(floor);
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
