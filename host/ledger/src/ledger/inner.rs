//! What the ledger's lock protects: the book, the journal, and the way back from storage.

use std::collections::HashMap;

use smallvec::SmallVec;
use tollgate_core::Nanodollars;

use super::OpenError;
use crate::book::{AccountId, Book, Effects, Event, Held, Path, PathAccount, ReservationId, Resolved, Windows};
use crate::calls::Call;
use crate::store::{Archive, Journal, StoreError, StoredCharge, Writer};

pub(super) struct Inner {
    pub(super) book: Book,
    pub(super) effects: Effects,
    pub(super) events: Vec<Event>,
    pub(super) sequence: u64,
    pub(super) journal: Box<dyn Journal>,
    pub(super) archive: Box<dyn Archive>,
    pub(super) resident_accounts: usize,
    /// What the next batch says about the call it settles.
    pub(super) call: Option<Call>,
    /// How many operations have ended reservations.
    pub(super) ended: u64,
    /// The journal could not be written: nothing more is taken down.
    pub(super) stopped: bool,
    /// How many wait for one to end.
    pub(super) waiting: usize,
    /// The last batch that changed each account; entries that the store has are dropped from time to time.
    pub(super) dirty: HashMap<AccountId, u64>,
}

impl Inner {
    pub(super) fn with<T>(&mut self, operation: impl FnOnce(&mut Book, &mut Effects) -> T) -> T {
        operation(&mut self.book, &mut self.effects)
    }

    /// Takes in the accounts of a path that lie in storage. One that was evicted is there as it was: only accounts whose
    /// last change is committed are evicted.
    pub(super) fn fetch(&mut self, path: &Path) -> Result<(), StoreError> {
        let missing: SmallVec<[PathAccount; 4]> = self.book.missing(path).cloned().collect();
        for account in missing {
            let state = self.archive.account(account.id)?;
            // It was missing a moment ago, under the same lock.
            let _ = self.book.admit(&account, state);
        }
        Ok(())
    }

    /// Takes in what storage knows about a reservation that the book has forgotten, and its accounts.
    pub(super) fn recall(&mut self, id: ReservationId) -> Result<(), StoreError> {
        if !self.book.knows(id)
            && let Some(stored) = self.archive.resolved(id)?
        {
            let (path, windows) = charged(&stored.charges);
            self.book.admit_resolved(id, Resolved { resolution: stored.resolution, path, windows });
        }
        if let Some(path) = self.book.path_of(id) {
            self.fetch(&path)?;
        }
        Ok(())
    }

    pub(super) fn mark_dirty(&mut self) {
        for entry in &self.effects.entries {
            for account in entry.path.accounts() {
                self.dirty.insert(account.id, self.sequence);
            }
        }
        for opened in &self.effects.opened {
            self.dirty.insert(opened.account, self.sequence);
        }
    }

    /// Lets idle accounts go once there are a tenth more than should stay.
    pub(super) fn make_room(&mut self, writer: &Writer) {
        let keep = self.resident_accounts;
        if self.book.resident() <= keep.saturating_add(keep / 10) {
            return;
        }
        let committed = writer.committed();
        self.dirty.retain(|_, sequence| *sequence > committed);
        let dirty = &self.dirty;
        self.book.evict(keep, |id| !dirty.contains_key(&id));
    }
}

/// Brings a fresh book to where storage is.
pub(super) fn restore(book: &mut Book, archive: &mut dyn Archive, now_ms: u64) -> Result<(), OpenError> {
    for (budget, limit, hard) in archive.limits()? {
        // A budget that the configuration no longer has, or has otherwise, is as configured.
        let _ = book.set_limit(&budget, Nanodollars::new(limit), Nanodollars::new(hard));
    }
    for raise in archive.raises(now_ms)? {
        let _ = book.approve(raise, now_ms);
    }
    for open in archive.open_reservations()? {
        let (path, windows) = charged(&open.charges);
        let missing: Vec<PathAccount> = book.missing(&path).cloned().collect();
        for account in missing {
            let state = archive.account(account.id)?;
            let _ = book.admit(&account, state);
        }
        let held =
            Held { amount: Nanodollars::new(open.held), path, windows, sent: open.sent, deadline_ms: open.deadline_ms };
        book.admit_reservation(open.id, held).map_err(|_| StoreError::Damaged { what: "an open reservation" })?;
    }
    Ok(())
}

fn charged(charges: &[StoredCharge]) -> (Path, Windows) {
    let account = |charge: &StoredCharge| PathAccount::restored(charge.account, &charge.budget, &charge.label);
    (Path::restored(charges.iter().map(account).collect()), charges.iter().map(|charge| charge.start_ms).collect())
}
