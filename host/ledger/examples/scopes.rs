//! A million scopes are touched, a hundred thousand stay in memory: how much memory that takes, and whether the balances that
//! left come back as they went.
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

use std::process::ExitCode;
use std::time::Instant;

use support::{Random, finish, number};
use tollgate_core::{Nanodollars, ScopeKind};
use tollgate_ledger::book::{Budget, Budgets, Dimension, Path, Request, ReservationId, Settlement};
use tollgate_ledger::{Ledger, Options};

const RESIDENT: usize = 100_000;
const LOOKS: u64 = 20_000;
const MOST_MEBIBYTES: u64 = 256;

fn path(ledger: &Ledger, scope: u64) -> Path {
    ledger.path(&[(Dimension::Scope(ScopeKind::User), &format!("user-{scope}"))]).unwrap()
}

/// From the kernel; nothing where it does not tell.
fn most_resident_mebibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

fn main() -> ExitCode {
    let scopes = number("--scopes", 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let budgets = Budgets::new(vec![Budget::each(ScopeKind::User, Nanodollars::from_dollars(100).unwrap())]).unwrap();
    let options = Options { resident_accounts: RESIDENT, ..Options::default() };
    let ledger = Ledger::open(folder.path(), budgets, options, 0).unwrap();
    let began = Instant::now();
    for scope in 0..scopes {
        let path = path(&ledger, scope);
        let (id, amount) = (ReservationId(u128::from(scope)), Nanodollars::new(1 + scope % 9_973));
        ledger.reserve(&Request { id, path: &path, amount, expires_ms: 60_000 }, scope / 1_000).unwrap();
        let _ticket = ledger.post(id, Settlement::exact(amount), None, scope / 1_000).unwrap();
    }
    ledger.flush().unwrap();
    let resident = ledger.resident_accounts();
    let mut random = Random(1);
    let mut wrong = 0;
    for _ in 0..LOOKS {
        let scope = random.below(scopes);
        let standing = ledger.standings(&path(&ledger, scope), 0).unwrap()[0];
        wrong += u64::from(standing.spent.as_u64() != 1 + scope % 9_973 || standing.reserved != Nanodollars::ZERO);
    }
    let memory = most_resident_mebibytes();
    let figures = serde_json::json!({
        "task": "scopes ledger", "scopes": scopes, "resident_accounts": resident, "most_resident_mib": memory, "looked_at": LOOKS,
        "wrong": wrong, "seconds": began.elapsed().as_secs(),
    });
    let bounded = resident <= RESIDENT && memory.is_none_or(|memory| memory <= MOST_MEBIBYTES);
    finish(&figures, wrong == 0 && bounded)
}
