//! What the ledger does: the book's operations, each taken down before it answers.

use std::convert::Infallible;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use tollgate_core::Nanodollars;

use super::inner::Inner;
use super::{Durability, EVENTS, Ledger, LedgerError, MAX_WAITING, Ticket};
use crate::book::{
    Book, Budgets, Effects, Event, LimitError, Path, Request, ReservationId, ReserveError, ResolveError, Settlement,
    Standing, Status, Swept,
};
use crate::calls::Call;
use crate::store::Note;
use crate::store::{Batch, StoreError, WriterError};

impl Ledger {
    /// [`Book::reserve`]. The same request again is answered as the first time while the ledger remembers it: as long as it is
    /// open, and until [`MAX_REMEMBERED`](crate::book::MAX_REMEMBERED) others have ended after it or the ledger was opened
    /// anew. Later the id would be taken for a new one, so an id is never to be used again.
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn reserve(&self, request: &Request<'_>, now_ms: u64) -> Result<(), LedgerError<ReserveError>> {
        self.begin(request, |book, effects| book.reserve(request, now_ms, effects))
    }

    /// [`Book::dispatch`]: [`Ledger::reserve`] for what is sent at once, and [`Ledger::sent`] with it. One that dies before it has sent
    /// anything is taken for lost, and not released.
    ///
    /// # Errors
    /// The book's, or storage's; then it must not be sent.
    pub fn dispatch(&self, request: &Request<'_>, now_ms: u64) -> Result<(), LedgerError<ReserveError>> {
        self.begin(request, |book, effects| book.dispatch(request, now_ms, effects))
    }

    fn begin(
        &self,
        request: &Request<'_>,
        operation: impl FnOnce(&mut Book, &mut Effects) -> Result<(), ReserveError>,
    ) -> Result<(), LedgerError<ReserveError>> {
        let mut inner = self.beginning(request)?;
        let begun = inner.with(operation);
        let ticket = self.note(&mut inner, None)?;
        drop(inner);
        begun.map_err(LedgerError::Book)?;
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

    /// Takes in a call that has ended before it was heard of: reserved, sent and settled in one, so that a killed process has all
    /// of it or nothing.
    ///
    /// # Errors
    /// Those of [`Book::reserve`], or storage's.
    pub fn record(
        &self,
        request: &Request<'_>,
        settlement: Settlement,
        call: Call,
        (started_ms, ended_ms): (u64, u64),
    ) -> Result<Ticket<'_>, LedgerError<ReserveError>> {
        let mut inner = self.beginning(request)?;
        let recorded = inner.with(|book, effects| {
            book.dispatch(request, started_ms, effects)?;
            let settled = book.post(request.id, settlement, ended_ms, effects);
            settled.map_err(|_| ReserveError::TooLarge { amount: settlement.cost() })
        });
        self.release(&mut inner);
        inner.call = Some(call).filter(|_| recorded.is_ok());
        let ticket = self.note(&mut inner, None)?;
        recorded.map_err(LedgerError::Book)?;
        Ok(ticket)
    }

    /// The lock for a reservation that begins. What cannot be taken down is not held either: nobody could release it.
    fn beginning(&self, request: &Request<'_>) -> Result<MutexGuard<'_, Inner>, LedgerError<ReserveError>> {
        self.writer.check()?;
        let inner = self.resident(request.path)?;
        if inner.stopped { Err(StoreError::Stopped.into()) } else { Ok(inner) }
    }

    /// Whether operations are taken down: not while the disk is full, nor after storage failed.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.writer.is_well() && !self.lock().stopped
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
        drop(inner);
        self.save_history();
        Ok(swept)
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
        let set = inner.with(|book, effects| book.set_limit(budget, limit, hard, effects));
        let before = set.map_err(LedgerError::Book)?;
        self.board.show_budgets(&inner.book);
        let note = Note::Limit {
            at_ms: now_ms,
            budget: budget.to_owned(),
            before: (before.0.as_u64(), before.1.as_u64()),
            after: (limit.as_u64(), hard.as_u64()),
            author: author.to_owned(),
            reason: reason.to_owned(),
        };
        self.note(&mut inner, Some(note))
    }

    /// Puts the budgets of a new configuration in force, from the next reservation on. Paths made before are stale; what is
    /// reserved stays reserved, and what was spent stays spent. Limits that were changed at run time are forgotten where
    /// the configuration changes them, too.
    pub fn replace_budgets(&self, budgets: Budgets) {
        let mut inner = self.lock();
        inner.with(|book, effects| book.replace_budgets(budgets, effects));
        self.board.show_budgets(&inner.book);
        // What could not be written is said by the next operation on money.
        let _ = self.note::<Infallible>(&mut inner, None);
    }

    /// How the accounts of a path stand; ones that left memory are fetched.
    ///
    /// # Errors
    /// Storage's.
    pub fn standings(&self, path: &Path, now_ms: u64) -> Result<SmallVec<[Standing; 4]>, StoreError> {
        Ok(self.resident(path)?.book.standings(path, now_ms))
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
        let known = self.lock().book.status(id);
        match known {
            Some(status) => Ok(Some(status)),
            None => Ok(self.archive().resolved(id)?.map(|stored| Status::Ended(stored.resolution))),
        }
    }

    /// How many accounts are in memory.
    #[must_use]
    pub fn resident_accounts(&self) -> usize {
        self.lock().book.resident()
    }

    /// How many groups were committed to the database: what a commit costs is shared by those who wait for it.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.groups()
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
        self.save_history();
        let sequence = self.lock().sequence;
        self.writer.wait(sequence)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held may have left the book and the journal apart: going on would lose money.
        self.inner.lock().unwrap_or_else(|_: PoisonError<_>| std::process::abort())
    }

    fn resolve(
        &self,
        id: ReservationId,
        call: Option<Call>,
        operation: impl Fn(&mut Book, &mut Effects) -> Result<(), ResolveError>,
    ) -> Result<Ticket<'_>, LedgerError<ResolveError>> {
        let mut inner = self.recall(id)?;
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
    pub(super) fn note<E>(&self, inner: &mut Inner, note: Option<Note>) -> Result<Ticket<'_>, LedgerError<E>> {
        let call = inner.call.take();
        let quiet = inner.effects.is_empty() && call.is_none() && note.is_none();
        if !quiet {
            inner.sequence = inner.sequence.saturating_add(1);
            let mut batch = Batch::of(inner.sequence, &inner.effects, call);
            batch.note = note;
            inner.mark_dirty();
            self.tell(&inner.book, &inner.effects);
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
            // The journal has it and the database will not: nothing may follow it there.
            self.writer.push(batch).inspect_err(|_| inner.stopped = true)?;
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
