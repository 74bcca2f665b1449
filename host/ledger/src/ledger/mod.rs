//! The ledger of a process: the book in memory, its journal and its database on the disk, in one value that threads share.

mod approvals;
mod board;
mod facts;
mod inner;
mod memory;
mod nowhere;
mod observed;
mod operations;
mod outcomes;
mod paths;
mod residence;
mod standing;

use std::fs::{File, OpenOptions};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use tollgate_core::config::AttemptRules;
use tollgate_core::{History, Symbols};

use crate::book::{Book, BudgetError, Budgets, Effects, Residency};
use crate::store::{Archive, Journal, JournalFiles, Sqlite, Store, StoreError, Writer, WriterError};
use board::Board;
use inner::{Inner, restore};
use nowhere::Nowhere;
pub use observed::BudgetLeft;
pub use standing::AccountStanding;

/// What an acknowledgement of a reservation promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It survives the process; a power loss takes at most the last 50 ms of reservations.
    #[default]
    Process,
    /// It survives a power loss.
    Strict,
}

/// How a ledger is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a reservation's acknowledgement promises; a post's always promises the disk.
    pub durability: Durability,
    /// How many accounts stay in memory; idle ones beyond it leave, and come back when they are used.
    pub resident_accounts: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Process, resident_accounts: 100_000 }
    }
}

/// Why a ledger was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the ledger in `{folder}` is in use by another process")]
    InUse {
        /// Where.
        folder: PathBuf,
    },
    /// The folder or its lock.
    #[error("the ledger's folder `{folder}`: {source}")]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database or the journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writing thread.
    #[error("the ledger's writer cannot be started: {0}")]
    Writer(std::io::Error),
    /// A budget does not fit what storage says about it.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

/// Why the ledger did not do what it was asked: the book said no, or storage failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError<E> {
    /// The book's answer.
    #[error(transparent)]
    Book(E),
    /// Storage failed: nothing more is promised, so nothing more is done.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// Storage could not be read or the journal not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A batch on its way to the disk.
#[must_use = "a post counts once it is on the disk"]
#[derive(Debug)]
pub struct Ticket<'ledger> {
    writer: &'ledger Writer,
    sequence: u64,
}

impl Ticket<'_> {
    /// Waits until it is there.
    ///
    /// # Errors
    /// When storage failed.
    pub fn wait(self) -> Result<(), WriterError> {
        self.writer.wait(self.sequence)
    }
}

/// The ledger: the one place that money moves through and that decisions learn from.
///
/// Operations on money ([`Ledger::reserve`], [`Ledger::post`], …) are those of the [`Book`]; see there for what they mean.
/// [`Ledger::inform`] writes what policies may know into a dispatch, [`Ledger::outcome`] takes in what became of it.
///
/// ```
/// use tollgate_core::{Configuration, Dimension, Dispatch, Nanodollars, ScopeKind};
/// use tollgate_ledger::{Ledger, book::*};
///
/// let text = "version = 1\n[[budget]]\nscope = \"team\"\nlimit = \"10.00 USD\"";
/// let ledger = Ledger::in_memory(Budgets::new(Configuration::parse(text)?.budgets)?)?;
/// let path = ledger.path(&[(Dimension::Scope(ScopeKind::Team), "red")])?;
/// let cost = Nanodollars::new(420_000_000);
/// ledger.reserve(&Request { id: ReservationId(1), path: &path, amount: cost, expires_ms: 60_000 }, 0)?;
/// ledger.sent(ReservationId(1), 600_000, 1)?;
/// ledger.post(ReservationId(1), Settlement::exact(cost), None, 2)?.wait()?;
/// let mut dispatch = Dispatch { now_ms: 3, scopes: *path.scopes(), ..Dispatch::default() };
/// ledger.inform(&mut dispatch, &path)?;
/// assert_eq!(dispatch.accounts[0].spent, cost);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ledger {
    durability: Durability,
    inner: Mutex<Inner>,
    /// Its own lock, so that nobody who has all accounts in memory waits for the disk.
    archive: Mutex<Box<dyn Archive>>,
    /// What readers see of the book.
    board: Board,
    history: History,
    /// What storage calls by name; nothing where the history is not stored.
    symbols: Option<Arc<Symbols>>,
    /// Signalled when reservations end.
    released: Condvar,
    writer: Writer,
    /// Held for as long as the ledger is open, so that no other process opens it.
    lock: Option<File>,
}

/// Events that nobody has taken; the oldest beyond it are dropped.
const EVENTS: usize = 10_000;

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("durability", &self.durability).finish_non_exhaustive()
    }
}

/// The most dispatches that wait for reservations to end; one more is refused at once.
pub const MAX_WAITING: usize = 1_024;

/// The name of the database in a ledger's folder.
pub const DATABASE: &str = "ledger.db";

impl Ledger {
    /// Opens the ledger in a folder, or makes one: what the journal has and the database does not is committed, open
    /// reservations and their accounts are taken in. `now_ms` decides which approvals are still in force.
    ///
    /// # Errors
    /// When it is in use, cannot be read, or was written by a later version.
    pub fn open(folder: &FilePath, budgets: Budgets, options: Options, now_ms: u64) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Folder { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { folder: folder.to_owned() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let store = Sqlite::open(&folder.join(DATABASE))?;
        let archive = Sqlite::open(&folder.join(DATABASE))?;
        let journal = JournalFiles::open(folder)?;
        let mut ledger = Self::on(store, Box::new(archive), Box::new(journal), budgets, options, now_ms)?;
        ledger.lock = Some(lock);
        Ok(ledger)
    }

    /// A ledger on any storage; `archive` reads what `store` writes.
    ///
    /// # Errors
    /// When storage cannot be read or brought up to date.
    pub fn on(
        mut store: impl Store + 'static,
        mut archive: Box<dyn Archive>,
        mut journal: Box<dyn Journal>,
        budgets: Budgets,
        options: Options,
        now_ms: u64,
    ) -> Result<Self, OpenError> {
        let applied = store.applied()?;
        let late = journal.read_after(applied)?;
        for group in late.chunks(1024) {
            store.commit(group)?;
        }
        journal.clear()?;
        let sequence = late.last().map_or(applied, |batch| batch.sequence);
        let mut book = Book::new(budgets, Residency::Partial);
        let resident_accounts = options.resident_accounts.max(1);
        restore(&mut book, archive.as_mut(), resident_accounts, now_ms)?;
        let board = Board::of(&book);
        let writer = Writer::start(store, sequence).map_err(OpenError::Writer)?;
        let inner = Inner {
            book,
            effects: Effects::default(),
            events: Vec::new(),
            sequence,
            journal,
            resident_accounts,
            evictions: 0,
            call: None,
            ended: 0,
            stopped: false,
            waiting: 0,
            dirty: std::collections::HashMap::default(),
        };
        Ok(Self {
            durability: options.durability,
            inner: Mutex::new(inner),
            archive: Mutex::new(archive),
            board,
            history: History::new(AttemptRules::default(), Vec::new(), resident_accounts),
            symbols: None,
            released: Condvar::new(),
            writer,
            lock: None,
        })
    }

    /// A ledger that lies nowhere and is gone with the process: for replays and tests. Every account stays in memory.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn in_memory(budgets: Budgets) -> Result<Self, OpenError> {
        let options = Options { resident_accounts: usize::MAX, ..Options::default() };
        let history = History::new(AttemptRules::default(), Vec::new(), History::REMEMBERED);
        Ok(Self::on(Nowhere, Box::new(Nowhere), Box::new(Nowhere), budgets, options, 0)?.with_history(history))
    }

    /// The same ledger with a history of its own, which is gone with the process ([`Ledger::remembering`] keeps it): the configuration's rules for attempts and the counters that the host's
    /// policies declare. Without it attempts are counted by the default rules, and as many tasks, runs and scopes are
    /// remembered as accounts stay in memory.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.history = history;
        self
    }
}

#[cfg(test)]
mod tests;
