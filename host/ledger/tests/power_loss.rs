//! Power loss at every write point in turn: what was synced is all there, and nothing is resolved twice.
#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tollgate_core::{Nanodollars, ScopeKind};
use tollgate_ledger::book::{Budget, Budgets, Dimension, Request, ReservationId, Settlement, Window};
use tollgate_ledger::store::{Batch, Journal, Sqlite, Store, StoreError};
use tollgate_ledger::{DATABASE, Ledger, Options};

/// The power: so many writes succeed, then none does.
#[derive(Clone)]
struct Power(Arc<AtomicU64>);

impl Power {
    fn write(&self) -> Result<(), StoreError> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(|_| ()).map_err(|_| StoreError::PowerLoss)
    }
}

/// A database whose commits are on the disk or did not happen.
struct Synced {
    store: Sqlite,
    power: Power,
}

impl Store for Synced {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        self.power.write()?;
        self.store.commit(batches)
    }

    fn applied(&mut self) -> Result<u64, StoreError> {
        self.store.applied()
    }
}

/// A journal that nobody syncs: what survives is the first `kept` of the records that the disk happened to write.
#[derive(Clone)]
struct Unsynced {
    records: Arc<Mutex<Vec<Batch>>>,
    power: Power,
}

impl Journal for Unsynced {
    fn append(&mut self, batch: &Batch, _applied: u64) -> Result<(), StoreError> {
        self.power.write()?;
        self.records.lock().unwrap().push(batch.clone());
        Ok(())
    }

    fn read_after(&mut self, applied: u64) -> Result<Vec<Batch>, StoreError> {
        Ok(self.records.lock().unwrap().iter().filter(|batch| batch.sequence > applied).cloned().collect())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.records.lock().unwrap().clear();
        Ok(())
    }
}

const RUN: Dimension = Dimension::Scope(ScopeKind::Run);
const TEAM: Dimension = Dimension::Scope(ScopeKind::Team);
const DISPATCHES: u64 = 12;

fn budgets() -> Budgets {
    let limit = Nanodollars::new(1_000_000);
    let team = Budget { window: Window::Rolling { length_ms: 600 }, ..Budget::each(ScopeKind::Team, limit) };
    Budgets::new(vec![Budget::each(ScopeKind::Run, limit), team]).unwrap()
}

/// Runs dispatches until the power fails; the costs whose post was acknowledged.
fn work(ledger: &Ledger) -> Vec<(u64, u64)> {
    let mut acknowledged = Vec::new();
    for number in 0..DISPATCHES {
        let run = format!("run-{}", number % 3);
        let path = ledger.path(&[(RUN, &run), (TEAM, "red")]).unwrap();
        let (id, now_ms) = (ReservationId(u128::from(number)), number * 10);
        let request = Request { id, path: &path, amount: Nanodollars::new(100), expires_ms: now_ms + 50 };
        // Some are sent at once.
        if number % 6 == 1 {
            if ledger.dispatch(&Request { expires_ms: now_ms + 1_000_000, ..request }, now_ms).is_err() {
                return acknowledged;
            }
        } else {
            if ledger.reserve(&request, now_ms).is_err() {
                return acknowledged;
            }
            match number % 6 {
                5 => continue,
                4 if ledger.void(id, now_ms).is_ok() => continue,
                _ => {}
            }
            if ledger.sent(id, now_ms + 1_000_000, now_ms).is_err() {
                return acknowledged;
            }
        }
        // One is sent and never heard of again; one costs more than it held.
        let cost = if number % 6 == 3 { 250 } else { 40 + number };
        if number % 6 == 2 {
            continue;
        }
        let posted = ledger.post(id, Settlement::exact(Nanodollars::new(cost)), None, now_ms);
        if posted.is_ok_and(|ticket| ticket.wait().is_ok()) {
            acknowledged.push((number, cost));
        } else {
            return acknowledged;
        }
    }
    acknowledged
}

fn crash_after(writes: u64, kept: usize) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let open = || Sqlite::open(&folder.path().join(DATABASE)).unwrap();
    let power = Power(Arc::new(AtomicU64::new(writes)));
    let records = Arc::new(Mutex::new(Vec::new()));
    let start = |power: &Power| {
        let journal = Unsynced { records: Arc::clone(&records), power: power.clone() };
        let store = Synced { store: open(), power: power.clone() };
        Ledger::on(store, Box::new(open()), Box::new(journal), budgets(), Options::default(), 0)
    };
    let acknowledged = start(&power).map(|ledger| work(&ledger)).unwrap_or_default();
    let survived = power.0.load(Ordering::SeqCst) > 0;
    records.lock().unwrap().truncate(kept);

    let ledger = start(&Power(Arc::new(AtomicU64::new(u64::MAX)))).unwrap();
    for (number, cost) in &acknowledged {
        let again =
            ledger.post(ReservationId(u128::from(*number)), Settlement::exact(Nanodollars::new(*cost)), None, 9_999);
        again.unwrap().wait().unwrap();
        let other =
            ledger.post(ReservationId(u128::from(*number)), Settlement::exact(Nanodollars::new(1)), None, 9_999);
        assert!(other.is_err(), "an acknowledged post is resolved, for good");
    }
    ledger.sweep(10_000_000).unwrap();
    assert_eq!(ledger.open_reservations(), 0);
    ledger.flush().unwrap();
    drop(ledger);
    let verification = open().verify().unwrap();
    assert!(verification.is_clean(), "after {writes} writes: {verification:?}");
    survived
}

#[test]
fn power_loss_at_every_write_point_keeps_what_was_synced() {
    let mut writes = 0;
    // What the disk wrote of the journal by itself: nothing, some of it, all of it.
    while [0, 7, usize::MAX].map(|kept| crash_after(writes, kept)).contains(&false) {
        writes += 1;
        assert!(writes < 10_000, "the work ends");
    }
    assert!(writes > DISPATCHES);
}
