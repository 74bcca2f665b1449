//! Durable posts a second with 64 writers, beside raw SQLite inserts of the same rows in the same run, with the same
//! synchronous mode and as many rows in a commit. The bound is half of the raw rate. The two take turns, so that what else the machine does
//! meets both.
#![expect(clippy::disallowed_methods, reason = "it times itself: figures for a person, no decision rests on them")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, params};
use tollgate_core::Nanodollars;
use tollgate_ledger::book::{Request, ReservationId, Settlement};
use tollgate_ledger::{DATABASE, Ledger, Options};

use crate::book;

const WRITERS: u64 = 64;
/// An odd number of turns has a median.
const TURNS: u64 = 9;
const SPAN: Duration = Duration::from_millis(600);
/// Of the raw rate, in percent.
const BOUND_PERCENT: u64 = 50;

/// What one turn of one of the two came to.
struct Turn {
    posts: u64,
    commits: u64,
    took: Duration,
}

impl Turn {
    fn posts_per_second(&self) -> u64 {
        self.posts * 1_000_000 / u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

pub(crate) fn bench() -> Result<()> {
    // `cargo test --benches` only wants to know that it runs; a filter asks for something else.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let only_tested = std::env::args().any(|word| word == "--test" || word == "--list");
    if only_tested || !words.is_empty() && !words.iter().any(|word| "ledger/durable posts".contains(word.as_str())) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let ledger = Ledger::open(folder.path(), book::budgets()?, Options::default(), 0)?;
    let raw_folder = tempfile::tempdir()?;
    let raw = raw_database(&raw_folder.path().join(DATABASE))?;
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let ours = posts(&ledger, turn)?;
        let theirs = inserts(&raw, turn, ours.posts.div_ceil(ours.commits.max(1)))?;
        turns.push((ours.posts_per_second() * 100 / theirs.posts_per_second().max(1), ours, theirs));
    }
    turns.sort_by_key(|(percent, ..)| *percent);
    let percents: Vec<u64> = turns.iter().map(|(percent, ..)| *percent).collect();
    let (percent, ours, theirs) = turns.get(turns.len() / 2).context("there were turns")?;
    println!(
        "ledger/durable posts with {WRITERS} writers: {} a second, raw SQLite inserts of the same rows {} a second, {} posts a commit; \
         {percent} % (bound {BOUND_PERCENT} %), all turns {percents:?}",
        ours.posts_per_second(),
        theirs.posts_per_second(),
        ours.posts.div_ceil(ours.commits.max(1)),
    );
    ensure!(
        *percent >= BOUND_PERCENT,
        "durable posts came to {percent} % of raw inserts, the bound is {BOUND_PERCENT} %"
    );
    Ok(())
}

/// Each post is waited for by the one of the threads that made it.
fn posts(ledger: &Ledger, turn: u64) -> Result<Turn> {
    let (began, commits) = (Instant::now(), ledger.commits());
    let work = |writer: u64| -> Result<u64> {
        let path = book::path(&ledger.budgets(), writer)?;
        let mut posts = 0;
        while began.elapsed() < SPAN {
            let id = ReservationId(u128::from(turn) << 96 | u128::from(writer) << 64 | u128::from(posts));
            let request = Request { id, path: &path, amount: Nanodollars::new(1_000), expires_ms: posts + 60_000 };
            ledger.reserve(&request, posts)?;
            ledger.post(id, Settlement::exact(Nanodollars::new(700)), None, posts)?.wait()?;
            posts += 1;
        }
        Ok(posts)
    };
    let posts = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || work(writer))).collect();
        let joined = writers.into_iter().map(|writer| writer.join().expect("a writer does not panic"));
        joined.sum::<Result<u64>>()
    })?;
    Ok(Turn { posts, commits: ledger.commits() - commits, took: began.elapsed() })
}

fn raw_database(path: &std::path::Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE entries (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind INTEGER NOT NULL, reservation BLOB NOT NULL,
         charge_set INTEGER NOT NULL, hold INTEGER NOT NULL, release INTEGER NOT NULL, spend INTEGER NOT NULL, refund INTEGER NOT NULL);
         CREATE INDEX entries_of_reservation ON entries (reservation);",
    )?;
    Ok(connection)
}

/// The rows of posts written straight into a database: two lines of the ledger for each, so many posts a commit.
fn inserts(connection: &Connection, turn: u64, posts_per_commit: u64) -> Result<Turn> {
    let (began, mut posts, mut commits) = (Instant::now(), 0_u64, 0);
    while began.elapsed() < SPAN {
        connection.execute_batch("BEGIN")?;
        for number in posts..posts + posts_per_commit {
            let writer = number % WRITERS;
            let id = u128::from(turn) << 96 | u128::from(writer) << 64 | u128::from(number / WRITERS);
            let mut insert =
                connection.prepare_cached("INSERT INTO entries VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)")?;
            insert.execute(params![0, 0, id.to_be_bytes(), writer, 1_000, 0, 0])?;
            insert.execute(params![0, 3, id.to_be_bytes(), writer, 0, 1_000, 700])?;
        }
        connection.execute_batch("COMMIT")?;
        (posts, commits) = (posts + posts_per_commit, commits + 1);
    }
    Ok(Turn { posts, commits, took: began.elapsed() })
}
