//! What the provider's prompt cache saved.

use std::collections::BTreeMap;

use serde::Serialize;
use tollgate_core::{Nanodollars, Usage};

use super::{Report, Share, Table, Usd};
use crate::calls::Call;
use crate::prices::{CostOptions, LongContext, PriceTable};

/// What the cache saved, by model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheReport {
    /// The models whose price is known.
    pub models: Vec<ModelCache>,
    /// Calls whose model has no price, or that name none and for which none was assumed.
    pub unpriced_calls: u64,
}

/// What the cache saved on one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelCache {
    /// The model.
    pub model: String,
    /// Of its input tokens, those read from the cache.
    pub hit_share: Share,
    /// What its input costs at list price.
    pub input_usd: Usd,
    /// What it would have cost without a cache.
    pub uncached_usd: Usd,
    /// What the cache saved; nothing where writing cost more than reading saved.
    pub saved_usd: Usd,
}

#[derive(Default)]
struct Sums {
    usage: Usage,
    with: Nanodollars,
    without: Nanodollars,
}

/// Prices the input of calls with and without the cache. Calls that name no model are taken to be of `assumed`.
#[must_use]
pub fn cache(calls: &[Call], prices: &PriceTable, assumed: Option<&str>) -> CacheReport {
    let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut unpriced_calls = 0_u64;
    for call in calls {
        let Some(usage) = call.usage else { continue };
        let priced =
            call.model.as_deref().or(assumed).and_then(|model| Some((model, input_costs(prices, model, usage)?)));
        let Some((model, (with, without))) = priced else {
            unpriced_calls = unpriced_calls.saturating_add(1);
            continue;
        };
        let sum = sums.entry(model).or_default();
        sum.usage.cache_read = sum.usage.cache_read.saturating_add(usage.cache_read);
        sum.usage.uncached_input = sum.usage.uncached_input.saturating_add(usage.input().unwrap_or(u64::MAX));
        sum.with = sum.with.saturating_add(with);
        sum.without = sum.without.saturating_add(without);
    }
    let model = |(model, sum): (&str, Sums)| ModelCache {
        model: model.to_owned(),
        hit_share: Share::of(sum.usage.cache_read, sum.usage.uncached_input),
        input_usd: Usd(sum.with),
        uncached_usd: Usd(sum.without),
        saved_usd: Usd(sum.without.saturating_sub(sum.with)),
    };
    CacheReport { models: sums.into_iter().map(model).collect(), unpriced_calls }
}

fn input_costs(prices: &PriceTable, model: &str, usage: Usage) -> Option<(Nanodollars, Nanodollars)> {
    let price = prices.lookup(model).price()?;
    // Rows may be invocations, whose sums say nothing about one call.
    let options = CostOptions { long_context: LongContext::Ignore, ..CostOptions::default() };
    let input = Usage { output: 0, reasoning: 0, ..usage };
    let plain = Usage { uncached_input: usage.input()?, ..Usage::default() };
    Some((price.cost(&input, options).ok()?, price.cost(&plain, options).ok()?))
}

impl Report for CacheReport {
    fn tables(&self) -> Vec<Table> {
        let columns = ["model", "read from cache", "input", "without cache", "saved"];
        let mut table = Table::new("what the prompt cache saved (USD, list prices)", &columns);
        for row in &self.models {
            table.row([
                row.model.clone(),
                row.hit_share.to_string(),
                row.input_usd.to_string(),
                row.uncached_usd.to_string(),
                row.saved_usd.to_string(),
            ]);
        }
        if self.unpriced_calls > 0 {
            table.row([format!("({} calls without a price)", self.unpriced_calls)]);
        }
        vec![table]
    }
}
