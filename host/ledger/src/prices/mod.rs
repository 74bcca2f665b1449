//! What calls cost: price tables in LiteLLM's format, exact to the nanodollar.
//!
//! - A [`PriceTable`] is made of layers; a later one overrides an earlier one key by key.
//! - [`PriceTable::lookup`] says how it found a model: [`Lookup::Exact`], [`Lookup::Fallback`] or
//!   [`Lookup::Unpriced`], and counts each. What an unpriced model means is an [`UnpricedPolicy`];
//!   it is never a silent zero.
//! - [`ModelPrice::cost`] is the cost of a call: the sum over all classes of tokens, rounded once.
//! - A [`LocalPrice`] is what own hardware costs by the hour.
//!
//! ```
//! use tollgate_core::Usage;
//! use tollgate_ledger::prices::{CostOptions, PriceTable};
//!
//! let table = PriceTable::builtin();
//! let price = table.lookup("claude-opus-4-6").price().expect("the built-in table has it");
//! let usage = Usage { uncached_input: 2, cache_write_5m: 71_783, cache_read: 15_594, output: 8_948, ..Usage::default() };
//! assert_eq!(price.cost(&usage, CostOptions::default())?.to_string(), "0.68015075 USD");
//! # Ok::<(), tollgate_ledger::prices::PriceError>(())
//! ```
//!
//! What is not here: prices by the image, second, character, search or request (a model that has only those is unpriced; of one that
//! has both, the tokens are priced), off-peak discounts (the list price is charged), regional uplifts.

mod card;
mod cost;
mod litellm;
mod local;
mod names;
mod rate;
mod table;

pub use card::{ModelPrice, ServiceTier, TokenClass};
pub use cost::{CostOptions, LongContext, PriceError};
pub use litellm::PriceTableError;
pub use local::LocalPrice;
pub use rate::{Rate, RateProblem};
pub use table::{Basis, Lookup, LookupCounts, PriceTable, Quote, UnpricedError, UnpricedPolicy};
