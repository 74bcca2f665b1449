//! Durable posts a second with 64 writers, beside raw SQLite inserts of the same rows in the same run, with the same
//! synchronous mode and as many rows in a commit. The bound is half of the raw rate.
#![expect(clippy::disallowed_methods, reason = "it times itself: figures for a person, no decision rests on them")]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tollgate_core::{Nanodollars, ScopeKind};
use tollgate_ledger::book::{Budget, Budgets, Dimension, Request, ReservationId, Settlement};
use tollgate_ledger::{DATABASE, Ledger, Options};

const WRITERS: u64 = 64;
const SPAN: Duration = Duration::from_secs(4);
const KINDS: [ScopeKind; 4] = [ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Project, ScopeKind::Run];

/// Posts a second, each waited for by the one of 64 threads that made it.
fn posts() -> (u64, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let limit = Nanodollars::from_dollars(1_000_000_000).unwrap();
    let budgets = Budgets::new(KINDS.map(|kind| Budget::each(kind, limit)).to_vec()).unwrap();
    let ledger = Ledger::open(folder.path(), budgets, Options::default(), 0).unwrap();
    let (began, mut posts) = (Instant::now(), 0);
    std::thread::scope(|scope| {
        let writer = |writer: u64| {
            let ledger = &ledger;
            scope.spawn(move || {
                let names =
                    ["all".to_owned(), format!("t{}", writer % 4), format!("p{}", writer % 16), format!("r{writer}")];
                let names: Vec<(Dimension, &str)> =
                    KINDS.iter().zip(&names).map(|(kind, name)| (Dimension::Scope(*kind), name.as_str())).collect();
                let path = ledger.path(&names).unwrap();
                let mut turn = 0_u64;
                while began.elapsed() < SPAN {
                    let id = ReservationId(u128::from(writer) << 64 | u128::from(turn));
                    let request =
                        Request { id, path: &path, amount: Nanodollars::new(1_000), expires_ms: turn + 60_000 };
                    ledger.reserve(&request, turn).unwrap();
                    ledger.post(id, Settlement::exact(Nanodollars::new(700)), None, turn).unwrap().wait().unwrap();
                    turn += 1;
                }
                turn
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        posts = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    });
    (posts * 1_000 / u64::try_from(began.elapsed().as_millis()).unwrap(), folder)
}

/// The rows of posts written straight into a database: two lines of the ledger for each, in commits of 64 posts.
fn raw() -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let entries = "CREATE TABLE entries (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind INTEGER NOT NULL, reservation BLOB NOT NULL,
         charge_set INTEGER NOT NULL, hold INTEGER NOT NULL, release INTEGER NOT NULL, spend INTEGER NOT NULL, refund INTEGER NOT NULL);
         CREATE INDEX entries_of_reservation ON entries (reservation);";
    connection.execute_batch(entries).unwrap();
    let (began, mut posts) = (Instant::now(), 0_u64);
    while began.elapsed() < SPAN {
        connection.execute_batch("BEGIN").unwrap();
        for writer in 0..WRITERS {
            let id = (u128::from(writer) << 64 | u128::from(posts / WRITERS)).to_be_bytes();
            let mut insert =
                connection.prepare_cached("INSERT INTO entries VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)").unwrap();
            insert.execute(params![0, 0, id, writer, 1_000, 0, 0]).unwrap();
            insert.execute(params![0, 3, id, writer, 0, 1_000, 700]).unwrap();
            posts += 1;
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    posts * 1_000 / u64::try_from(began.elapsed().as_millis()).unwrap()
}

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let (posts, _folder) = posts();
    let raw = raw();
    println!(
        "{}",
        serde_json::json!({"bench": "durable posts", "posts_per_second": posts, "raw_posts_per_second": raw, "writers": WRITERS})
    );
    if posts * 2 >= raw { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
