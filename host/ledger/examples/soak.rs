//! 64 threads race for the last dollars of nested budgets on a real ledger on disk, limits rising while they do.
//!
//! Two watches look for money that is given out twice. One keeps its own count of what each account must at least hold:
//! raised after a reservation was granted, lowered before it is released, so that it is never above the truth; it may
//! never pass the ceiling. The other asks the ledger itself, all the time. `--reservations` says how many are granted.
#![expect(clippy::disallowed_methods, reason = "it times itself: figures for a person, no decision rests on them")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics fails"
)]

mod support;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use support::{Random, finish, number};
use tollgate_core::{Nanodollars, ScopeKind};
use tollgate_ledger::book::{
    AccountId, Budget, Budgets, Dimension, Path, Request, ReservationId, ReserveError, Settlement,
};
use tollgate_ledger::store::Sqlite;
use tollgate_ledger::{DATABASE, Ledger, LedgerError, Options};

const THREADS: u64 = 64;
const KINDS: [ScopeKind; 4] = [ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Project, ScopeKind::Run];
/// Above the ceiling of the widest budget by little, so that dispatches meet at every level.
const LIMITS: [u64; 4] = [40_000_000, 12_000_000, 6_000_000, 1_000_000];

/// What is known about one account from outside.
#[derive(Default)]
struct Watched {
    at_least: AtomicU64,
    overruns: AtomicU64,
}

struct Arena {
    ledger: Ledger,
    watched: RwLock<HashMap<AccountId, Arc<Watched>>>,
    /// By budget, set before the ledger is told.
    hard: [AtomicU64; 4],
    raising: Mutex<()>,
    clock: AtomicU64,
    granted: AtomicU64,
    refused: AtomicU64,
    violations: AtomicU64,
}

impl Arena {
    fn watched(&self, path: &Path) -> Vec<(usize, Arc<Watched>)> {
        let index = |budget: &str| KINDS.iter().position(|kind| kind.as_str() == budget).unwrap();
        let known = |id| self.watched.read().unwrap().get(&id).cloned();
        let accounts = path.accounts().iter();
        let watched = accounts.map(|account| {
            let found = known(account.id)
                .unwrap_or_else(|| Arc::clone(self.watched.write().unwrap().entry(account.id).or_default()));
            (index(&account.budget), found)
        });
        watched.collect()
    }

    fn check(&self, budget: usize, watched: &Watched) {
        // Read in this order, what is compared was true at once or is in the ledger's favour.
        let at_least = watched.at_least.load(SeqCst);
        if at_least > self.hard[budget].load(SeqCst) + watched.overruns.load(SeqCst) {
            self.violations.fetch_add(1, SeqCst);
        }
    }

    fn raise(&self, budget: &str, now_ms: u64) {
        let _one_at_a_time = self.raising.lock().unwrap();
        let index = KINDS.iter().position(|kind| kind.as_str() == budget).unwrap();
        let hard = self.hard[index].fetch_add(LIMITS[index] / 4, SeqCst) + LIMITS[index] / 4;
        let amount = Nanodollars::new(hard);
        let _ticket = self.ledger.set_limit(budget, (amount, amount), ("soak", "refilled"), now_ms).unwrap();
    }

    fn dispatch(&self, id: u128, random: &mut Random) {
        let team = random.below(4);
        let project = team * 4 + random.below(4);
        let run = self.granted.load(SeqCst) / 2_000 * 8 + random.below(8);
        let names = ["all".to_owned(), format!("t{team}"), format!("p{project}"), format!("r{run}")];
        let names: Vec<(Dimension, &str)> =
            KINDS.iter().zip(&names).map(|(kind, name)| (Dimension::Scope(*kind), name.as_str())).collect();
        let path = self.ledger.path(&names).unwrap();
        let now_ms = self.clock.fetch_add(1, SeqCst);
        let (id, amount) = (ReservationId(id), 1 + random.below(20_000));
        let request = Request { id, path: &path, amount: Nanodollars::new(amount), expires_ms: now_ms + 500 };
        match self.ledger.reserve(&request, now_ms) {
            Ok(()) => {}
            Err(LedgerError::Book(ReserveError::Refused(refusal))) => {
                self.refused.fetch_add(1, SeqCst);
                if random.below(16) == 0 {
                    self.raise(&refusal.budget, now_ms);
                }
                return;
            }
            Err(error) => panic!("{error}"),
        }
        self.granted.fetch_add(1, SeqCst);
        let watched = self.watched(&path);
        let each = |act: &dyn Fn(&Watched)| watched.iter().for_each(|(_, watched)| act(watched));
        each(&|watched| {
            watched.at_least.fetch_add(amount, SeqCst);
        });
        watched.iter().for_each(|(budget, watched)| self.check(*budget, watched));
        if random.below(2) == 0 {
            std::thread::yield_now();
        }
        let release = |amount: u64| each(&|watched| _ = watched.at_least.fetch_sub(amount, SeqCst));
        match random.below(20) {
            0 => {
                release(amount);
                // It may have expired meanwhile, by another thread's clock.
                let _ = self.ledger.void(id, now_ms).map(drop);
            }
            // Never sent, never voided: expires.
            1 => release(amount),
            // Sent and never heard of again: stays whole.
            2 => {
                if self.ledger.sent(id, now_ms + 2_000, now_ms).is_err() {
                    release(amount);
                }
            }
            kind => {
                if self.ledger.sent(id, now_ms + 1_000_000_000, now_ms).is_err() {
                    return release(amount);
                }
                let cost = if kind == 3 { amount + random.below(5_000) } else { random.below(amount + 1) };
                let overrun = cost.saturating_sub(amount);
                each(&|watched| _ = watched.overruns.fetch_add(overrun, SeqCst));
                release(amount.saturating_sub(cost));
                let _ticket = self.ledger.post(id, Settlement::exact(Nanodollars::new(cost)), None, now_ms).unwrap();
            }
        }
    }

    fn watch(&self, done: &AtomicBool) -> u64 {
        let names = [(Dimension::Scope(ScopeKind::Organisation), "all"), (Dimension::Scope(ScopeKind::Team), "t0")];
        let path = self.ledger.path(&names).unwrap();
        let watched = self.watched(&path);
        let mut looks = 0;
        while !done.load(SeqCst) {
            for (standing, (_, watched)) in self.ledger.standings(&path, 0).unwrap().iter().zip(&watched) {
                let used = standing.spent.as_u64() + standing.reserved.as_u64();
                if used > standing.hard.as_u64() + watched.overruns.load(SeqCst) {
                    self.violations.fetch_add(1, SeqCst);
                }
            }
            looks += 1;
            std::thread::yield_now();
        }
        looks
    }
}

fn main() -> ExitCode {
    let (wanted, seed) = (number("--reservations", 1_000_000), number("--seed", 1));
    let folder = tempfile::tempdir().unwrap();
    let budget = |(kind, limit): (&ScopeKind, &u64)| Budget {
        hard: Nanodollars::new(*limit),
        ..Budget::each(*kind, Nanodollars::new(*limit))
    };
    let budgets = Budgets::new(KINDS.iter().zip(&LIMITS).map(budget).collect()).unwrap();
    let arena = Arena {
        ledger: Ledger::open(folder.path(), budgets, Options::default(), 0).unwrap(),
        watched: RwLock::default(),
        hard: LIMITS.map(AtomicU64::new),
        raising: Mutex::new(()),
        clock: AtomicU64::new(0),
        granted: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        violations: AtomicU64::new(0),
    };
    let (done, began) = (AtomicBool::new(false), Instant::now());
    let looks = std::thread::scope(|scope| {
        let watch = scope.spawn(|| arena.watch(&done));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let arena = &arena;
                scope.spawn(move || {
                    let mut random = Random(seed << 32 | thread);
                    for turn in 0_u64.. {
                        if arena.granted.load(SeqCst) >= wanted {
                            return;
                        }
                        arena.dispatch(u128::from(thread) << 64 | u128::from(turn), &mut random);
                        if thread == 0 && turn % 256 == 0 {
                            arena.ledger.sweep(arena.clock.load(SeqCst)).unwrap();
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, SeqCst);
        watch.join().unwrap()
    });
    arena.ledger.sweep(u64::MAX).unwrap();
    let open = arena.ledger.open_reservations();
    arena.ledger.flush().unwrap();
    let seconds = began.elapsed().as_secs();
    let (granted, refused, violations) =
        (arena.granted.load(SeqCst), arena.refused.load(SeqCst), arena.violations.load(SeqCst));
    drop(arena);
    let verification = Sqlite::open(&folder.path().join(DATABASE)).unwrap().verify().unwrap();
    let figures = serde_json::json!({
        "task": "soak ledger", "seed": seed, "threads": THREADS, "granted": granted, "refused": refused, "looks": looks,
        "above_hard": violations, "open": open, "entries": verification.entries, "windows": verification.windows,
        "verify_clean": verification.is_clean(), "seconds": seconds,
    });
    finish(&figures, violations == 0 && open == 0 && verification.is_clean() && granted >= wanted && refused > 0)
}
