//! The provider's bill beside the ledger's calls, one by one, joined by the trace that each request carried.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use serde::Deserialize;
use tollgate_core::Usage;
use tollgate_ledger::DATABASE;
use tollgate_ledger::calls::Call;
use tollgate_ledger::prices::{CostOptions, PriceTable};
use tollgate_ledger::report::{Period, load};
use tollgate_ledger::store::Sqlite;

use super::load::{Asked, Kind};
use crate::site::Folder;
use crate::verdict::Verdict;

/// A line of the bill.
#[derive(Deserialize)]
struct Billed {
    trace: Option<String>,
    model: String,
    usage: Usage,
    told: bool,
}

/// What is known of one call from all sides.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    asked: Option<Asked>,
    /// Answers that the provider billed.
    bills: u32,
    told: bool,
    billed: u64,
    usage: Usage,
    /// Settled as told by the provider, at a cost.
    exact: u32,
    estimated: u32,
    /// Settled as nothing, since the provider refused it.
    free: u32,
    cost: u64,
    ledger_usage: Option<Usage>,
}

/// Compares, and says in the verdict what differs.
pub(crate) fn compare(folder: &Folder, asked: &[(u64, Asked)], period: Period, verdict: &mut Verdict) {
    let mut entries = vec![Entry::default(); asked.iter().map(|(call, _)| *call as usize + 1).max().unwrap_or(0)];
    for (call, asked) in asked {
        entries[*call as usize].asked = Some(*asked);
    }
    let mut strangers = read_bill(folder, &mut entries);
    let store = Sqlite::open(&folder.path("data").join(DATABASE)).unwrap();
    strangers += read_calls(&store, period, &mut entries);
    let verification = store.verify().unwrap();

    let count = |matches: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| matches(entry)).count() as u64;
    let kind = |entry: &Entry| entry.asked.map(|asked| asked.kind);
    let went = |entry: &Entry| entry.bills > 0;
    verdict.figure("billed_usd", usd(entries.iter().filter(|entry| entry.exact == 1).map(|entry| entry.billed).sum()));
    verdict.figure("ledger_usd", usd(entries.iter().filter(|entry| entry.exact == 1).map(|entry| entry.cost).sum()));
    verdict.figure(
        "refused_by_policies",
        count(&|entry| !went(entry) && entry.free == 0 && kind(entry) == Some(Kind::Well)),
    );
    verdict.some("exchanges whose usage arrived", count(&|entry| entry.exact == 1));
    verdict.some("exchanges without", count(&|entry| entry.estimated == 1));
    verdict.some("calls that the provider refused", count(&|entry| entry.free > 0));
    verdict.some("clients that left", count(&|entry| kind(entry) == Some(Kind::Left)));
    verdict.none(
        "exact costs that are not the bill, to the nanodollar",
        count(&|entry| {
            entry.exact > 0 && (entry.cost != entry.billed || entry.ledger_usage != Some(entry.usage) || !entry.told)
        }),
    );
    let well = |entry: &Entry, answered: bool| {
        entry.asked.is_some_and(|asked| asked.kind == Kind::Well && (asked.status == 200) == answered)
    };
    verdict.none("answers that came well and are not exact", count(&|entry| well(entry, true) && entry.exact != 1));
    verdict.none("answers that were billed and not passed on", count(&|entry| well(entry, false) && went(entry)));
    verdict.none(
        "exchanges without usage that are not estimated",
        count(&|entry| went(entry) && !entry.told && entry.estimated != 1),
    );
    verdict.none(
        "exchanges that were billed and not settled",
        count(&|entry| went(entry) && entry.exact + entry.estimated == 0),
    );
    verdict.none(
        "calls that were sent or settled twice",
        count(&|entry| entry.bills > 1 || entry.exact + entry.estimated > 1),
    );
    verdict.none(
        "costs without an exchange",
        count(&|entry| !went(entry) && entry.exact + entry.estimated > 0 && kind(entry) != Some(Kind::Left)),
    );
    verdict.none("bills and calls that nobody asked for", strangers);
    verdict.none("reservations still open", verification.open);
    verdict.none("accounts that are not what their entries add up to", u64::from(!verification.is_clean()));
}

fn usd(nanodollars: u64) -> String {
    format!("{}.{:09}", nanodollars / 1_000_000_000, nanodollars % 1_000_000_000)
}

/// The entry that a trace names.
fn entry<'a>(entries: &'a mut [Entry], trace: Option<&str>) -> Option<&'a mut Entry> {
    let number = u128::from_str_radix(trace?, 16).ok()?.checked_sub(1)?;
    entries.get_mut(usize::try_from(number).ok()?)
}

fn read_bill(folder: &Folder, entries: &mut [Entry]) -> u64 {
    let (prices, mut known, mut strangers) = (PriceTable::builtin(), HashMap::new(), 0);
    for line in BufReader::new(File::open(folder.path("bill.jsonl")).unwrap()).lines() {
        let billed: Billed = serde_json::from_str(&line.unwrap()).unwrap();
        let Some(entry) = entry(entries, billed.trace.as_deref()) else {
            strangers += 1;
            continue;
        };
        let price = known
            .entry(billed.model)
            .or_insert_with_key(|model: &String| *prices.lookup(model).price().as_ref().expect("a price"));
        entry.bills += 1;
        entry.told = billed.told;
        entry.usage = billed.usage;
        entry.billed = price.cost(&billed.usage, CostOptions::default()).unwrap().as_u64();
    }
    strangers
}

/// Reads the ledger's calls, some seconds of them at a time.
fn read_calls(store: &Sqlite, period: Period, entries: &mut [Entry]) -> u64 {
    const STEP_MS: u64 = 5_000;
    let mut strangers = 0;
    for from_ms in (period.from_ms..period.until_ms).step_by(STEP_MS as usize) {
        for call in load(store, Period { from_ms, until_ms: from_ms + STEP_MS }).unwrap() {
            match entry(entries, call.trace_id.as_deref()) {
                Some(entry) => take(entry, &call),
                None => strangers += 1,
            }
        }
    }
    strangers
}

fn take(entry: &mut Entry, call: &Call) {
    if call.estimated {
        entry.estimated += 1;
    } else if call.usage.is_some() {
        entry.exact += 1;
        entry.ledger_usage = call.usage;
    } else {
        entry.free += 1;
    }
    entry.cost += call.cost.as_u64();
}
