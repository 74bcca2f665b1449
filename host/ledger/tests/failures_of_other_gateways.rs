//! Where other gateways have hurt their users, one test for each; a name is a claim about this one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails"
)]

use std::time::Duration;

use tollgate_core::{Dimension, Dispatch, Nanodollars, ScopeKind, Usage};
use tollgate_ledger::book::{
    Budget, Budgets, Refusal, Request, ReservationId, ReserveError, Settlement, Standing, Window,
};
use tollgate_ledger::estimate::{InputSize, OutputLimit, worst_case};
use tollgate_ledger::prices::{Basis, CostOptions, PriceTable, ServiceTier, UnpricedPolicy};
use tollgate_ledger::{DATABASE, Ledger, LedgerError, Options, store::Sqlite};

const DOLLAR: Nanodollars = Nanodollars::new(1_000_000_000);
const CENT: Nanodollars = Nanodollars::new(10_000_000);
const ADA: [(Dimension, &str); 1] = [(Dimension::Scope(ScopeKind::User), "ada")];
const DAY_MS: u64 = 86_400_000;

/// Each user has a dollar, and not a nanodollar more.
fn budgets(window: &str) -> Budgets {
    let window = Window::parse(window, None).unwrap();
    Budgets::new(vec![Budget { hard: DOLLAR, window, ..Budget::each(ScopeKind::User, DOLLAR) }]).unwrap()
}

fn ledger(window: &str) -> Ledger {
    Ledger::in_memory(budgets(window)).unwrap()
}

fn reserve(ledger: &Ledger, id: u128, amount: Nanodollars, now_ms: u64) -> Result<(), Box<Refusal>> {
    let path = ledger.path(&ADA).unwrap();
    let request = Request { id: ReservationId(id), path: &path, amount, expires_ms: now_ms + 60_000 };
    match ledger.reserve(&request, now_ms) {
        Err(LedgerError::Book(ReserveError::Refused(refusal))) => Err(refusal),
        other => {
            other.unwrap();
            Ok(())
        }
    }
}

fn post(ledger: &Ledger, id: u128, cost: Nanodollars, now_ms: u64) {
    ledger.post(ReservationId(id), Settlement::exact(cost), None, now_ms).unwrap().wait().unwrap();
}

fn standing(ledger: &Ledger, now_ms: u64) -> Standing {
    ledger.standings(&ledger.path(&ADA).unwrap(), now_ms).unwrap()[0]
}

#[test]
fn a_model_without_a_price_is_refused_or_charged_and_never_skipped() {
    let table = PriceTable::builtin();
    let usage = Usage { uncached_input: 1_000, output: 1_000, ..Usage::default() };
    let quote = |policy| table.quote("a-model-of-tomorrow", &usage, CostOptions::default(), policy);
    let refused = quote(UnpricedPolicy::Refuse).unwrap_err().to_string();
    assert!(refused.contains("no price for `a-model-of-tomorrow`"), "{refused}");
    let dearest = quote(UnpricedPolicy::AssumeDearest).unwrap();
    assert!(dearest.basis == Basis::Dearest && dearest.cost >= CENT, "{dearest:?}");
    let flagged = quote(UnpricedPolicy::AllowAndFlag).unwrap();
    assert_eq!(flagged.basis, Basis::Unpriced, "a cost of nothing says that it is none");
    let (price, _) = table.price("a-model-of-tomorrow", UnpricedPolicy::AssumeDearest).unwrap();
    let output = OutputLimit { max_tokens: Some(1_000), answers: 1 };
    let held = worst_case(price.unwrap(), ServiceTier::Standard, InputSize::Tokens(1_000), output).unwrap().amount;
    assert!(held >= dearest.cost, "and so much is reserved for it");
}

#[test]
fn the_first_request_of_a_new_user_is_held_to_the_ceiling() {
    let ledger = ledger("total");
    assert!(reserve(&ledger, 1, DOLLAR.saturating_add(CENT), 0).is_err());
    reserve(&ledger, 2, DOLLAR, 0).unwrap();
    assert!(reserve(&ledger, 3, Nanodollars::new(1), 0).is_err(), "while the first is under way, too");
}

#[test]
fn worst_cases_that_fill_a_budget_wait_for_what_was_not_spent() {
    let ledger = ledger("total");
    reserve(&ledger, 1, DOLLAR, 0).unwrap();
    let refusal = reserve(&ledger, 2, DOLLAR, 0).unwrap_err();
    assert!(refusal.is_brief(), "nothing was spent");
    let path = ledger.path(&ADA).unwrap();
    let request = Request { id: ReservationId(2), path: &path, amount: DOLLAR, expires_ms: 60_000 };
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| ledger.reserve_patiently(&request, Duration::from_secs(600), || 0));
        post(&ledger, 1, Nanodollars::ZERO, 1);
        waiting.join().unwrap().unwrap();
    });
    post(&ledger, 2, DOLLAR, 1);
    assert!(!reserve(&ledger, 3, DOLLAR, 1).unwrap_err().is_brief(), "what was spent is worth no wait");
}

#[test]
fn the_ceiling_itself_fits_everywhere_and_a_nanodollar_more_nowhere() {
    let one = Nanodollars::new(1);
    let almost = DOLLAR.saturating_sub(one);
    let ledger = ledger("total");
    reserve(&ledger, 1, almost, 0).unwrap();
    assert!(reserve(&ledger, 2, Nanodollars::new(2), 0).is_err());
    reserve(&ledger, 2, one, 0).unwrap();
    ledger.void(ReservationId(2), 0).unwrap().wait().unwrap();
    assert!(ledger.extend(ReservationId(1), DOLLAR.saturating_add(one), 0).is_err(), "a stream is held to the same");
    ledger.extend(ReservationId(1), DOLLAR, 0).unwrap();
    post(&ledger, 1, DOLLAR, 0);
    assert!(reserve(&ledger, 3, one, 0).is_err());
    reserve(&ledger, 4, Nanodollars::ZERO, 0).unwrap();
}

#[test]
fn a_call_that_costs_nothing_passes_also_where_spend_is_over_the_ceiling() {
    let ledger = ledger("total");
    reserve(&ledger, 1, CENT, 0).unwrap();
    post(&ledger, 1, DOLLAR.saturating_add(CENT), 0);
    assert!(standing(&ledger, 0).spent > standing(&ledger, 0).hard);
    reserve(&ledger, 2, Nanodollars::ZERO, 0).unwrap();
}

#[test]
fn a_reset_wipes_no_spend() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path(), budgets("day"), Options::default(), 0).unwrap();
    reserve(&ledger, 1, DOLLAR, DAY_MS - 1).unwrap();
    reserve(&ledger, 2, CENT, DAY_MS).unwrap();
    post(&ledger, 1, DOLLAR, DAY_MS + 1);
    assert_eq!(standing(&ledger, DAY_MS).spent, Nanodollars::ZERO, "it is charged to the day it was reserved in");
    ledger.set_limit("user", (CENT, CENT), ("ada", "less"), DAY_MS + 2).unwrap().wait().unwrap();
    post(&ledger, 2, CENT, DAY_MS + 3);
    ledger.replace_budgets(budgets("day"));
    assert_eq!(standing(&ledger, DAY_MS + 4).spent, CENT, "neither a change nor a reload forgets it");
    drop(ledger);
    let store = Sqlite::open(&folder.path().join(DATABASE)).unwrap();
    let verification = store.verify().unwrap();
    assert!(verification.is_clean() && verification.windows == 2, "{verification:?}");
    let ledger = Ledger::open(folder.path(), budgets("day"), Options::default(), DAY_MS).unwrap();
    assert_eq!(standing(&ledger, DAY_MS + 4).spent, CENT, "nor does a restart");
}

#[test]
fn a_window_begins_anew_on_time_without_a_restart() {
    let ledger = ledger("day");
    reserve(&ledger, 1, DOLLAR, 0).unwrap();
    post(&ledger, 1, DOLLAR, 0);
    let told = |now_ms| {
        let path = ledger.path(&ADA).unwrap();
        let mut dispatch = Dispatch { now_ms, ..Dispatch::default() };
        ledger.inform(&mut dispatch, &path).unwrap();
        dispatch.affordable()
    };
    assert_eq!((told(DAY_MS - 1), told(DAY_MS)), (Nanodollars::ZERO, DOLLAR));
    assert!(reserve(&ledger, 2, CENT, DAY_MS - 1).is_err());
    reserve(&ledger, 2, DOLLAR, DAY_MS).unwrap();
}

#[test]
fn cache_reads_are_never_billed_as_fresh_input() {
    let table = PriceTable::builtin();
    let price = table.lookup("claude-opus-4-6").price().unwrap();
    let cost = |usage| price.cost(&usage, CostOptions::default()).unwrap();
    // As the last message of a stream tells it: cumulative, with the cache apart from the input.
    let streamed = Usage { uncached_input: 2, cache_read: 930_000, output: 18_000, ..Usage::default() };
    let fresh = Usage { uncached_input: 930_002, cache_read: 0, ..streamed };
    let long = CostOptions { long_context: tollgate_ledger::prices::LongContext::Ignore, ..CostOptions::default() };
    assert_eq!(price.cost(&streamed, long).unwrap().to_string(), "0.91501 USD");
    assert!(cost(streamed).as_u64() * 4 < cost(fresh).as_u64());
}
