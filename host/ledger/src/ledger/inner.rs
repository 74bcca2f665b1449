//! What the ledger's lock protects: the book and the journal, and how they are brought to where storage is.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use tollgate_core::Nanodollars;

use super::OpenError;
use crate::book::{AccountId, Book, Budget, Effects, Event, Fold, Held, Path, PathAccount, Windows, has_account};
use crate::calls::Call;
use crate::store::{Archive, Journal, Revoked, StoreError, StoredCharge};

pub(super) struct Inner {
    pub(super) book: Book,
    pub(super) effects: Effects,
    pub(super) events: Vec<Event>,
    pub(super) sequence: u64,
    pub(super) journal: Box<dyn Journal>,
    pub(super) resident_accounts: usize,
    /// How many accounts have left memory.
    pub(super) evictions: u64,
    /// What the next batch says about the call it settles.
    pub(super) call: Option<Call>,
    /// How many operations have ended reservations.
    pub(super) ended: u64,
    /// The journal could not be written: nothing more is taken down.
    pub(super) stopped: bool,
    /// How many wait for one to end.
    pub(super) waiting: usize,
    /// The last batch that changed each account; entries that the store has are dropped from time to time.
    pub(super) dirty: HashMap<AccountId, u64, BuildHasherDefault<Fold>>,
}

impl Inner {
    pub(super) fn with<T>(&mut self, operation: impl FnOnce(&mut Book, &mut Effects) -> T) -> T {
        operation(&mut self.book, &mut self.effects)
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
        for (account, ..) in &self.effects.crossed {
            self.dirty.insert(*account, self.sequence);
        }
    }
}

/// Entries whose accounts are brought into memory when a ledger is opened: whoever looks at the budgets after a restart finds those that
/// are spent from, and the next dispatches do not wait for them.
const LATE_ENTRIES: u32 = 10_000;

/// Brings a fresh book to where storage is, with no more accounts than `resident` but those that something is held from.
pub(super) fn restore(
    book: &mut Book,
    archive: &mut dyn Archive,
    resident: usize,
    now_ms: u64,
) -> Result<(), OpenError> {
    for change in archive.limits()? {
        // A change that was made to another limit than the one in force is none: the configuration has one of its own since.
        let in_force = |budget: &Budget| (budget.limit.as_u64(), budget.hard.as_u64()) == change.before;
        if book.budgets().named(&change.budget).is_some_and(in_force) {
            let (limit, hard) = (Nanodollars::new(change.after.0), Nanodollars::new(change.after.1));
            // Accounts come in later; there is nothing to arm yet.
            let _ = book.set_limit(&change.budget, limit, hard, &mut Effects::default());
        }
    }
    for (raise, revoked) in archive.raises(now_ms)? {
        let id = raise.id;
        let _ = book.approve(raise, now_ms);
        if revoked == Revoked::Yes {
            let _ = book.revoke(id, now_ms);
        }
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
    let late = archive.charged_lately(LATE_ENTRIES)?;
    let still = late.iter().filter(|account| {
        book.budgets().named(&account.budget).is_some_and(|budget| has_account(budget, account.id, &account.label))
    });
    let late: Vec<PathAccount> =
        still.map(|account| PathAccount::restored(account.id, &account.budget, &account.label)).collect();
    for account in late.into_iter().take(resident.saturating_sub(book.resident())) {
        let state = archive.account(account.id)?;
        // One that something is held from is there already.
        let _ = book.admit(&account, state);
    }
    Ok(())
}

pub(super) fn charged(charges: &[StoredCharge]) -> (Path, Windows) {
    let account = |charge: &StoredCharge| PathAccount::restored(charge.account, &charge.budget, &charge.label);
    (Path::restored(charges.iter().map(account).collect()), charges.iter().map(|charge| charge.start_ms).collect())
}
