//! The book: who has spent and reserved what, and whether a dispatch still fits.
//!
//! [`Book`] is a pure state machine: no clock, no I/O, no randomness; every time is an argument, in milliseconds since
//! the Unix epoch. Each operation either fails and changes nothing but which windows are open, or does what it says
//! in every account of the path at once, and writes what it did into [`Effects`] for whoever stores it.
//!
//! The rules, each kept in one place:
//! - A reservation is refused exactly when, in one of its accounts, `spent + reserved + amount > hard`, where `hard` is the
//!   ceiling with what was carried over and the approvals in force. An amount of zero always fits: it cannot make
//!   anything worse. The refusal names the account with the least left.
//! - A dispatch is charged to the windows in which it was reserved, whenever it is settled.
//! - Every reservation ends exactly once. The same resolution again is answered as the first time; another one is
//!   [`ResolveError::Double`]. Real cost above the reservation is an entry of its own, never clamped and never refused.
//! - Only what was never sent is released for nothing. What was sent and never resolved is posted whole, as an estimate,
//!   which the real cost may correct once.
//!
//! ```
//! use tollgate_core::{Nanodollars, ScopeKind};
//! use tollgate_ledger::book::*;
//!
//! let dollar = Nanodollars::new(1_000_000_000);
//! let mut book = Book::new(Budgets::new(vec![Budget::each(ScopeKind::Run, dollar)])?, Residency::Complete);
//! let path = book.budgets().path(&[(Dimension::Scope(ScopeKind::Run), "night-7")])?;
//! let mut effects = Effects::default();
//! let id = ReservationId(1);
//! book.reserve(&Request { id, path: &path, amount: dollar, expires_ms: 60_000 }, 0, &mut effects)?;
//! let refusal = book.reserve(&Request { id: ReservationId(2), path: &path, amount: dollar, expires_ms: 60_000 }, 0, &mut effects);
//! assert_eq!(refusal.unwrap_err().to_string(), "`run run=night-7` has 0.10 USD left of 1.10 USD, and this needs 1.00 USD");
//! book.post(id, Settlement::exact(Nanodollars::new(420_000_000)), 1_000, &mut effects)?;
//! assert_eq!(book.standings(&path, 1_000)[0].spent.to_string(), "0.42 USD");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod budget;
mod entry;
mod errors;
mod hashing;
mod places;
mod quiet;
mod raise;
mod reserve;
mod resolved;
mod settle;
mod view;

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate_core::Nanodollars;

use account::Account;
pub use account::{AccountState, Balance, Change, Grant, HYSTERESIS_PERMILLE, Standing};
pub(crate) use budget::has_account;
pub use budget::{AccountId, BudgetError, Budgets, MAX_ACCOUNTS, Path, PathAccount};
pub use entry::{Effects, Entry, EntryKind, Event, Opened, ReservationId, Windows};
pub use errors::{AdmitError, LimitError, Refusal, ReserveError, ResolveError};
pub(crate) use hashing::Fold;
use hashing::{ById, ByReservation};
pub(crate) use raise::Raises;
pub use raise::{Beneficiary, MAX_ALL_RAISES, MAX_RAISES, Raise, RaiseError};
pub use reserve::{Held, Request};
use resolved::ResolvedReservations;
pub use resolved::{MAX_REMEMBERED, Resolution, Resolved};
pub use settle::{Settlement, Swept};
pub use tollgate_core::{
    Bounds, Budget, BudgetProblem, Dimension, MAX_AMOUNT, MAX_THRESHOLDS, Pattern, Window, default_hard,
};
pub use view::AccountView;

/// Whether the book has every account there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// It has: one it does not know is new.
    Complete,
    /// Some may lie in storage: one it does not know must be admitted before it is charged.
    Partial,
}

/// Accounts, windows and reservations. See the [module](self).
#[derive(Debug)]
pub struct Book {
    budgets: Budgets,
    residency: Residency,
    accounts: Vec<Option<Account>>,
    vacant: Vec<u32>,
    by_id: ById<u32>,
    reservations: ByReservation<Reservation>,
    resolved: ResolvedReservations,
    raises: Raises,
    /// Counts uses of accounts, so that the idle ones can be told.
    uses: u64,
}

/// How a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds money.
    Open {
        /// So much.
        held: Nanodollars,
        /// Whether its dispatch went.
        sent: bool,
    },
    /// It has ended.
    Ended(Resolution),
}

/// Places of accounts, in the order of a path.
type Slots = SmallVec<[u32; 4]>;

#[derive(Debug)]
struct Reservation {
    /// What was first asked for: the same again is the same reservation.
    asked: Nanodollars,
    held: Nanodollars,
    path: Path,
    /// Accounts with something held stay in memory, so their places do not change.
    slots: Slots,
    windows: Windows,
    sent: bool,
    deadline_ms: u64,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(budgets: Budgets, residency: Residency) -> Self {
        Self {
            budgets,
            residency,
            accounts: Vec::new(),
            vacant: Vec::new(),
            by_id: ById::default(),
            reservations: ByReservation::default(),
            resolved: ResolvedReservations::default(),
            raises: Raises::default(),
            uses: 0,
        }
    }

    /// The budgets in force; paths are made by them.
    #[must_use]
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Puts other budgets in force. Paths made before are stale; what is reserved stays reserved, and accounts whose budget
    /// is gone are settled without it, and found again when it comes back.
    pub fn replace_budgets(&mut self, budgets: Budgets, effects: &mut Effects) {
        let budgets = budgets.after(&self.budgets);
        for account in self.accounts.iter_mut().flatten() {
            account.rule = budgets.index(&account.budget).unwrap_or(usize::MAX);
            if let Some(budget) = budgets.rules.get(account.rule) {
                effects.crossed.extend(account.rearm(budget));
            }
        }
        self.budgets = budgets;
    }

    /// Changes a budget's limit and ceiling, from the next reservation on. Nothing that was reserved or spent changes; thresholds
    /// that spend no longer reaches can be reached again. Answers with what they were.
    ///
    /// # Errors
    /// When there is no such budget, or the ceiling is below the limit.
    pub fn set_limit(
        &mut self,
        name: &str,
        limit: Nanodollars,
        hard: Nanodollars,
        effects: &mut Effects,
    ) -> Result<(Nanodollars, Nanodollars), LimitError> {
        let index = self.budgets.index(name).ok_or_else(|| LimitError::Unknown { name: name.into() })?;
        let budget = self.budgets.rules.get_mut(index).ok_or_else(|| LimitError::Unknown { name: name.into() })?;
        let changed = Budget { limit, hard, ..(**budget).clone() };
        changed.check()?;
        let before = (budget.limit, budget.hard);
        *budget = Arc::new(changed);
        for account in self.accounts.iter_mut().flatten().filter(|account| account.rule == index) {
            effects.crossed.extend(account.rearm(budget));
        }
        Ok(before)
    }

    /// Gives an account a limit and ceiling of its own, or takes them away: the part of a shared budget that this book
    /// may spend by itself.
    ///
    /// # Errors
    /// When the account is not resident.
    pub fn grant(&mut self, account: &PathAccount, grant: Option<Grant>) -> Result<(), AdmitError> {
        let slot = self.slot(account).ok_or_else(|| AdmitError::NotResident { label: Arc::clone(&account.label) })?;
        if let Some(account) = self.account_mut(slot) {
            account.state.grant = grant;
            account.quiet = None;
        }
        Ok(())
    }

    /// Raises ceilings for a run, a task or a work item. Whether that is news; the same approval again is none.
    ///
    /// # Errors
    /// When it is over, is for nobody, has no author or reason, contradicts another of the same id, was taken back, or is one too
    /// many.
    pub fn approve(&mut self, raise: Raise, now_ms: u64) -> Result<bool, RaiseError> {
        self.raises.give(raise, now_ms)
    }

    /// Takes an approval back, from the next reservation on. Whether that is news.
    ///
    /// # Errors
    /// When none of that id is in force.
    pub fn revoke(&mut self, id: u128, now_ms: u64) -> Result<bool, RaiseError> {
        self.raises.revoke(id, now_ms)
    }

    pub(crate) const fn raises(&self) -> &Raises {
        &self.raises
    }

    /// How many accounts are in memory.
    #[must_use]
    pub fn resident(&self) -> usize {
        self.by_id.len()
    }

    /// How many reservations are open.
    #[must_use]
    pub fn open_reservations(&self) -> usize {
        self.reservations.len()
    }

    /// Every resident account.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &AccountState)> {
        self.by_id.iter().filter_map(|(id, slot)| Some((*id, &self.account(*slot)?.state)))
    }

    /// The accounts of a path that are not in memory.
    pub fn missing<'path>(&self, path: &'path Path) -> impl Iterator<Item = &'path PathAccount> {
        path.accounts().iter().filter(|account| self.slot(account).is_none())
    }

    /// Takes an account in from storage, or as a new one where storage does not know it.
    ///
    /// # Errors
    /// When it is in memory already: what storage knows may be older.
    pub fn admit(&mut self, account: &PathAccount, state: Option<AccountState>) -> Result<(), AdmitError> {
        if self.by_id.contains_key(&account.id) {
            return Err(AdmitError::Resident { label: Arc::clone(&account.label) });
        }
        let rule = self.budgets.index(&account.budget).unwrap_or(usize::MAX);
        let mut admitted = Account::new(account, rule);
        // The last to come is not the first to go.
        self.uses = self.uses.saturating_add(1);
        admitted.touched = self.uses;
        if let Some(mut state) = state {
            let rolling = self.budgets.rules.get(rule).is_some_and(|budget| budget.window.rolling_ms().is_some());
            let current = state.windows.last().map(|window| window.bounds);
            state
                .windows
                .retain(|window| rolling || window.reserved > Nanodollars::ZERO || Some(window.bounds) == current);
            admitted.state = state;
        }
        self.place(admitted);
        Ok(())
    }

    /// Takes an open reservation in from storage. Its accounts must be resident.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn admit_reservation(&mut self, id: ReservationId, held: Held) -> Result<(), AdmitError> {
        let mut slots = Slots::new();
        for account in held.path.accounts() {
            let slot =
                self.slot(account).ok_or_else(|| AdmitError::NotResident { label: Arc::clone(&account.label) })?;
            slots.push(slot);
        }
        slots.iter().for_each(|slot| self.opened_in(*slot));
        let Held { amount, path, windows, sent, deadline_ms } = held;
        self.reservations
            .insert(id, Reservation { asked: amount, held: amount, path, slots, windows, sent, deadline_ms });
        Ok(())
    }

    /// Takes in what storage knows of a reservation that has ended.
    pub fn admit_resolved(&mut self, id: ReservationId, resolved: Resolved) {
        self.resolved.insert(id, resolved);
    }

    /// Whether the book knows a reservation, open or ended.
    #[must_use]
    pub fn knows(&self, id: ReservationId) -> bool {
        self.reservations.contains_key(&id) || self.resolved.get(id).is_some()
    }

    /// How a reservation stands; nothing where the book does not know it.
    #[must_use]
    pub fn status(&self, id: ReservationId) -> Option<Status> {
        let open = |reservation: &Reservation| Status::Open { held: reservation.held, sent: reservation.sent };
        let ended = || self.resolved.get(id).map(|resolved| Status::Ended(resolved.resolution));
        self.reservations.get(&id).map(open).or_else(ended)
    }

    /// What a reservation, open or ended, is charged to.
    #[must_use]
    pub fn path_of(&self, id: ReservationId) -> Option<Path> {
        let open = self.reservations.get(&id).map(|reservation| &reservation.path);
        open.or_else(|| self.resolved.get(id).map(|resolved| &resolved.path)).cloned()
    }

    /// Lets idle accounts go, the longest unused first, until at most `keep` are left; those that `may_go` keeps stay. Says
    /// which went.
    pub fn evict(&mut self, keep: usize, may_go: impl Fn(AccountId) -> bool) -> Vec<AccountId> {
        let excess = self.resident().saturating_sub(keep);
        if excess == 0 {
            return Vec::new();
        }
        let mut idle: Vec<(u64, AccountId, u32)> = self
            .by_id
            .iter()
            .filter_map(|(id, slot)| {
                let account = self.account(*slot)?;
                (account.open == 0 && account.state.grant.is_none() && may_go(*id)).then_some((
                    account.touched,
                    *id,
                    *slot,
                ))
            })
            .collect();
        if idle.len() > excess {
            idle.select_nth_unstable_by_key(excess, |(touched, ..)| *touched);
            idle.truncate(excess);
        }
        for (_, id, slot) in &idle {
            self.by_id.remove(id);
            if let Some(place) = self.accounts.get_mut(usize::try_from(*slot).unwrap_or(usize::MAX)) {
                *place = None;
                self.vacant.push(*slot);
            }
        }
        idle.into_iter().map(|(_, id, _)| id).collect()
    }

    fn account(&self, slot: u32) -> Option<&Account> {
        self.accounts.get(usize::try_from(slot).ok()?)?.as_ref()
    }

    fn account_mut(&mut self, slot: u32) -> Option<&mut Account> {
        self.accounts.get_mut(usize::try_from(slot).ok()?)?.as_mut()
    }

    fn slot(&self, account: &PathAccount) -> Option<u32> {
        let place = account.place.get();
        if self.account(place).is_some_and(|known| known.id == account.id) {
            return Some(place);
        }
        let slot = self.by_id.get(&account.id).copied()?;
        account.place.set(slot);
        Some(slot)
    }

    fn place(&mut self, account: Account) -> u32 {
        let id = account.id;
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.accounts.push(None);
            u32::try_from(self.accounts.len().saturating_sub(1)).expect("fewer than four billion accounts in memory")
        });
        if let Some(place) = usize::try_from(slot).ok().and_then(|slot| self.accounts.get_mut(slot)) {
            *place = Some(account);
        }
        self.by_id.insert(id, slot);
        slot
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
