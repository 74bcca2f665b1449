//! The ledger of a process: the book in memory, its journal and its database on the disk, in one value that threads share.

mod inner;

use std::fs::{File, OpenOptions};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use tollgate_core::Nanodollars;

use crate::book::{
    Book, BudgetError, Budgets, Effects, Event, LimitError, Path, Raise, RaiseError, Request, ReservationId,
    ReserveError, Residency, ResolveError, Settlement, Standing, Status, Swept,
};
use crate::calls::Call;
use crate::store::{
    Approval, Archive, Audit, Batch, Journal, JournalFiles, Sqlite, Store, StoreError, Writer, WriterError,
};
use inner::{Inner, restore};

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

/// The ledger. Operations are those of the [`Book`]; see there for what they mean.
pub struct Ledger {
    durability: Durability,
    inner: Mutex<Inner>,
    /// Signalled when reservations end.
    released: Condvar,
    writer: Writer,
    /// Held for as long as the ledger is open, so that no other process opens it.
    _lock: Option<File>,
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
        let ledger = Self::on(store, Box::new(archive), Box::new(journal), budgets, options, now_ms)?;
        Ok(Self { _lock: Some(lock), ..ledger })
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
        restore(&mut book, archive.as_mut(), now_ms)?;
        let writer = Writer::start(store, sequence).map_err(OpenError::Writer)?;
        let inner = Inner {
            book,
            effects: Effects::default(),
            events: Vec::new(),
            sequence,
            journal,
            archive,
            resident_accounts: options.resident_accounts.max(1),
            call: None,
            ended: 0,
            stopped: false,
            waiting: 0,
            dirty: std::collections::HashMap::new(),
        };
        Ok(Self {
            durability: options.durability,
            inner: Mutex::new(inner),
            released: Condvar::new(),
            writer,
            _lock: None,
        })
    }

    /// The accounts of a dispatch with these names.
    ///
    /// # Errors
    /// When too many budgets cover it.
    pub fn path(&self, names: &[(crate::book::Dimension, &str)]) -> Result<Path, BudgetError> {
        self.lock().book.budgets().path(names)
    }

    /// [`Book::reserve`]. The id must be new: one that has left memory (after 65,536 others ended) is not recognised.
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn reserve(&self, request: &Request<'_>, now_ms: u64) -> Result<(), LedgerError<ReserveError>> {
        let mut inner = self.lock();
        inner.fetch(request.path)?;
        let reserved = inner.with(|book, effects| book.reserve(request, now_ms, effects));
        let ticket = self.note(&mut inner, None)?;
        inner.make_room(&self.writer);
        drop(inner);
        reserved.map_err(LedgerError::Book)?;
        self.strictly(ticket)
    }

    /// [`Ledger::reserve`] with the brief queue: while only others' reservations stand in the way ([`Refusal::is_brief`]), waits
    /// for some of them to end, up to `patience`. At most [`MAX_WAITING`] wait at once. `clock` tells the time of each
    /// attempt.
    ///
    /// # Errors
    /// The book's, or storage's.
    ///
    /// [`Refusal::is_brief`]: crate::book::Refusal::is_brief
    pub fn reserve_patiently(
        &self,
        request: &Request<'_>,
        patience: Duration,
        clock: impl Fn() -> u64,
    ) -> Result<(), LedgerError<ReserveError>> {
        let began_ms = clock();
        loop {
            let ended = self.lock().ended;
            let now_ms = clock();
            let refused = self.reserve(request, now_ms);
            let Err(LedgerError::Book(ReserveError::Refused(refusal))) = &refused else {
                return refused;
            };
            let left = patience.saturating_sub(Duration::from_millis(now_ms.saturating_sub(began_ms)));
            if left.is_zero() || !refusal.is_brief() || !self.wait_for_an_end(ended, left) {
                return refused;
            }
        }
    }

    /// Waits until a reservation has ended since `seen` had; whether one has.
    fn wait_for_an_end(&self, seen: u64, patience: Duration) -> bool {
        let mut inner = self.lock();
        if inner.waiting >= MAX_WAITING {
            return false;
        }
        inner.waiting = inner.waiting.saturating_add(1);
        let waited = self.released.wait_timeout_while(inner, patience, |inner| inner.ended == seen);
        let (mut inner, _) = waited.unwrap_or_else(|_| std::process::abort());
        inner.waiting = inner.waiting.saturating_sub(1);
        inner.ended != seen
    }

    /// [`Book::extend`].
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn extend(&self, id: ReservationId, total: Nanodollars, now_ms: u64) -> Result<(), LedgerError<ReserveError>> {
        let mut inner = self.lock();
        let extended = inner.with(|book, effects| book.extend(id, total, now_ms, effects));
        let ticket = self.note(&mut inner, None)?;
        drop(inner);
        extended.map_err(LedgerError::Book)?;
        self.strictly(ticket)
    }

    /// [`Book::sent`]: to be called before the first byte goes out.
    ///
    /// # Errors
    /// The book's, or storage's; then the dispatch must not be sent.
    pub fn sent(&self, id: ReservationId, resolve_by_ms: u64, now_ms: u64) -> Result<(), LedgerError<ResolveError>> {
        let mut inner = self.lock();
        let sent = inner.with(|book, effects| book.sent(id, resolve_by_ms, now_ms, effects));
        let ticket = self.note(&mut inner, None)?;
        drop(inner);
        sent.map_err(LedgerError::Book)?;
        self.strictly(ticket)
    }

    /// [`Book::post`]; the ticket says when it is on the disk. `call` is what reports will know about it.
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn post(
        &self,
        id: ReservationId,
        settlement: Settlement,
        call: Option<Call>,
        now_ms: u64,
    ) -> Result<Ticket<'_>, LedgerError<ResolveError>> {
        self.resolve(id, call, |book, effects| book.post(id, settlement, now_ms, effects))
    }

    /// [`Book::void`].
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn void(&self, id: ReservationId, now_ms: u64) -> Result<Ticket<'_>, LedgerError<ResolveError>> {
        self.resolve(id, None, |book, effects| book.void(id, now_ms, effects))
    }

    /// [`Book::correct`].
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn correct(
        &self,
        id: ReservationId,
        cost: Nanodollars,
        now_ms: u64,
    ) -> Result<Ticket<'_>, LedgerError<ResolveError>> {
        self.resolve(id, None, |book, effects| book.correct(id, cost, now_ms, effects))
    }

    /// [`Book::sweep`]: to be called about once a second.
    ///
    /// # Errors
    /// Storage's.
    pub fn sweep(&self, now_ms: u64) -> Result<Swept, LedgerError<ResolveError>> {
        let mut inner = self.lock();
        let swept = inner.with(|book, effects| book.sweep(now_ms, effects));
        self.release(&mut inner);
        let _ticket = self.note(&mut inner, None)?;
        Ok(swept)
    }

    /// [`Book::approve`], written down with its author and reason.
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn approve(&self, raise: Raise, now_ms: u64) -> Result<Ticket<'_>, LedgerError<RaiseError>> {
        let approval = Approval {
            id: raise.id.to_be_bytes(),
            beneficiary: raise.beneficiary.to_string(),
            budget: raise.budget.as_deref().map(str::to_owned),
            amount: raise.amount.as_u64(),
            until_ms: raise.until_ms,
            author: raise.author.to_string(),
            reason: raise.reason.to_string(),
        };
        let mut inner = self.lock();
        let news = inner.book.approve(raise, now_ms).map_err(LedgerError::Book)?;
        self.note(&mut inner, news.then_some(Audit::Approval { at_ms: now_ms, approval }))
    }

    /// [`Book::set_limit`], written down; it holds until the next change, also over a restart.
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn set_limit(
        &self,
        budget: &str,
        (limit, hard): (Nanodollars, Nanodollars),
        (author, reason): (&str, &str),
        now_ms: u64,
    ) -> Result<Ticket<'_>, LedgerError<LimitError>> {
        let mut inner = self.lock();
        let before = inner.book.set_limit(budget, limit, hard).map_err(LedgerError::Book)?;
        let audit = Audit::Limit {
            at_ms: now_ms,
            budget: budget.to_owned(),
            before: (before.0.as_u64(), before.1.as_u64()),
            after: (limit.as_u64(), hard.as_u64()),
            author: author.to_owned(),
            reason: reason.to_owned(),
        };
        self.note(&mut inner, Some(audit))
    }

    /// How the accounts of a path stand; ones that left memory are fetched.
    ///
    /// # Errors
    /// Storage's.
    pub fn standings(&self, path: &Path, now_ms: u64) -> Result<SmallVec<[Standing; 4]>, StoreError> {
        let mut inner = self.lock();
        inner.fetch(path)?;
        Ok(inner.book.standings(path, now_ms))
    }

    /// Takes the events that have gathered.
    #[must_use]
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    /// How a reservation stands, also long after it ended; nothing where there never was one.
    ///
    /// # Errors
    /// Storage's.
    pub fn status(&self, id: ReservationId) -> Result<Option<Status>, StoreError> {
        let mut inner = self.lock();
        match inner.book.status(id) {
            Some(status) => Ok(Some(status)),
            None => Ok(inner.archive.resolved(id)?.map(|stored| Status::Ended(stored.resolution))),
        }
    }

    /// How many accounts are in memory.
    #[must_use]
    pub fn resident_accounts(&self) -> usize {
        self.lock().book.resident()
    }

    /// How many reservations are open.
    #[must_use]
    pub fn open_reservations(&self) -> usize {
        self.lock().book.open_reservations()
    }

    /// Waits until everything so far is on the disk.
    ///
    /// # Errors
    /// When storage failed.
    pub fn flush(&self) -> Result<(), WriterError> {
        let sequence = self.lock().sequence;
        self.writer.wait(sequence)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held may have left the book and the journal apart: going on would lose money.
        self.inner.lock().unwrap_or_else(|_: PoisonError<_>| std::process::abort())
    }

    fn resolve(
        &self,
        id: ReservationId,
        call: Option<Call>,
        operation: impl Fn(&mut Book, &mut Effects) -> Result<(), ResolveError>,
    ) -> Result<Ticket<'_>, LedgerError<ResolveError>> {
        let mut inner = self.lock();
        inner.recall(id)?;
        let resolved = inner.with(operation);
        let changed = !inner.effects.entries.is_empty();
        self.release(&mut inner);
        inner.call = call.filter(|_| changed);
        let ticket = self.note(&mut inner, None)?;
        resolved.map_err(LedgerError::Book)?;
        Ok(ticket)
    }

    /// Lets those try again who wait for reservations to end.
    fn release(&self, inner: &mut Inner) {
        inner.ended = inner.ended.saturating_add(1);
        if inner.waiting > 0 {
            self.released.notify_all();
        }
    }

    /// Takes down what the last operation did: first in the journal, then for the writer.
    fn note<E>(&self, inner: &mut Inner, audit: Option<Audit>) -> Result<Ticket<'_>, LedgerError<E>> {
        let call = inner.call.take();
        let quiet = inner.effects.is_empty() && call.is_none() && audit.is_none();
        if !quiet {
            inner.sequence = inner.sequence.saturating_add(1);
            let mut batch = Batch::of(inner.sequence, &inner.effects, call);
            batch.audit = audit;
            inner.mark_dirty();
            let events = std::mem::take(&mut inner.effects.events);
            inner.events.extend(events);
            let surplus = inner.events.len().saturating_sub(EVENTS);
            inner.events.drain(..surplus);
            inner.effects.clear();
            if inner.stopped {
                return Err(StoreError::Stopped.into());
            }
            // A batch that is missing would end the next opening's reading: nothing may follow it.
            inner.journal.append(&batch, self.writer.committed()).inspect_err(|_| inner.stopped = true)?;
            self.writer.push(batch)?;
        }
        Ok(Ticket { writer: &self.writer, sequence: inner.sequence })
    }

    fn strictly<E>(&self, ticket: Ticket<'_>) -> Result<(), LedgerError<E>> {
        if self.durability == Durability::Strict {
            ticket.wait()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
