//! What was spent on what. Each report is a plain function from [`Call`]s to a value that is shown as tables
//! ([`Report::tables`]), as CSV, or serialised as JSON. Amounts are exact; shares are in thousandths, rounded, halves up.

mod cache;
mod forecast;
mod groups;
mod load;
mod runs;
mod success;
mod summary;
mod table;
mod weeks;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tollgate_core::Nanodollars;

use crate::calls::Call;

pub use cache::{CacheReport, cache};
pub use forecast::{ForecastReport, HumanReport, VolumeReport, WorkItemReport, human, volume, window, work_item};
pub use groups::{By, GroupReport, groups};
pub use load::{Period, load};
pub use runs::{RunReport, runs};
pub use success::{SuccessReport, success};
pub use summary::{Summary, summary};
pub use table::Table;
pub(crate) use table::csv_cell;
pub use weeks::{Flag, WeekReport, weeks};

/// Something that can be shown.
pub trait Report: Serialize {
    /// As tables, in the order in which they are read.
    fn tables(&self) -> Vec<Table>;
}

/// Dollars, written in JSON as a decimal number with all nine digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub Nanodollars);

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(self.0.to_decimal(), serializer)
    }
}

impl std::fmt::Display for Usd {
    /// To the cent, halves up: for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cents = self.0.as_u64().saturating_add(5_000_000) / 10_000_000;
        f.pad(&format!("{}.{:02}", cents / 100, cents % 100))
    }
}

/// A part of a whole in thousandths, written in JSON as `0.125`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u64);

impl Share {
    /// A part of a whole, rounded, halves up; nothing of nothing is nothing.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Self {
        let half = u128::from(whole / 2);
        let thousandfold = u128::from(part).saturating_mul(1000).saturating_add(half);
        Self(u64::try_from(thousandfold.checked_div(u128::from(whole)).unwrap_or(0)).unwrap_or(u64::MAX))
    }

    pub(crate) fn of_money(part: Nanodollars, whole: Nanodollars) -> Self {
        Self::of(part.as_u64(), whole.as_u64())
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(format!("{}.{:03}", self.0 / 1000, self.0 % 1000), serializer)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{} %", self.0 / 10, self.0 % 10))
    }
}

fn raw<S: Serializer>(number: String, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(number).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// The sum of costs. Every cost came out of storage, whose sums fit.
pub(crate) fn total<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Nanodollars {
    calls.into_iter().fold(Nanodollars::ZERO, |sum, call| sum.saturating_add(call.cost))
}

/// Calls by something they have in common, in its order.
pub(crate) fn grouped<'a, K: Ord>(calls: &'a [Call], key: impl Fn(&'a Call) -> K) -> BTreeMap<K, Vec<&'a Call>> {
    let mut groups: BTreeMap<K, Vec<&'a Call>> = BTreeMap::new();
    for call in calls {
        groups.entry(key(call)).or_default().push(call);
    }
    groups
}

/// The value below or at which `percent` of all lie (nearest rank); nothing of nothing.
pub(crate) fn percentile(values: &mut [Nanodollars], percent: usize) -> Option<Nanodollars> {
    values.sort_unstable();
    let rank = values.len().saturating_mul(percent).div_ceil(100).max(1);
    values.get(rank.saturating_sub(1)).copied()
}

pub(crate) fn mean(sum: Nanodollars, count: usize) -> Option<Nanodollars> {
    let count = u64::try_from(count).ok()?;
    sum.as_u64().checked_add(count / 2)?.checked_div(count).map(Nanodollars::new)
}

#[cfg(test)]
mod tests;
