//! Holding money: for a dispatch about to go, and more for one under way.

use std::sync::Arc;

use tollgate_core::{MAX_AMOUNT, Nanodollars};

use super::account::{Account, Change, Standing};
use super::budget::{Path, PathAccount};
use super::entry::{Effects, Entry, EntryKind, Opened, ReservationId, Windows};
use super::errors::{Refusal, ReserveError};
use super::{Book, Reservation, Residency, Slots};

/// A dispatch that asks for money.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Chosen by the caller; unique for ever.
    pub id: ReservationId,
    /// What it is charged to.
    pub path: &'a Path,
    /// What it may cost.
    pub amount: Nanodollars,
    /// If it was not sent by then, it is released; if it is sent at once, it is taken for lost then.
    pub expires_ms: u64,
}

/// An open reservation, as storage keeps it.
#[derive(Clone, Debug)]
pub struct Held {
    /// What is held.
    pub amount: Nanodollars,
    /// In which accounts.
    pub path: Path,
    /// In which windows.
    pub windows: Windows,
    /// Whether the dispatch went.
    pub sent: bool,
    /// When it expires, or is taken for lost once it went.
    pub deadline_ms: u64,
}

impl Book {
    /// Holds the amount in every account of the path, or in none. The same request again is answered as the first time.
    ///
    /// # Errors
    /// When it does not fit ([`ReserveError::Refused`] names the account with the least left), or the request
    /// cannot be taken.
    pub fn reserve(&mut self, request: &Request<'_>, now_ms: u64, effects: &mut Effects) -> Result<(), ReserveError> {
        if self.is_repeated(request)? { Ok(()) } else { self.hold(request, EntryKind::Reserve, now_ms, effects) }
    }

    /// [`Book::reserve`] and [`Book::sent`] in one: to be called before the first byte goes out. From here on, silence costs the
    /// whole reservation, which is taken for lost at [`Request::expires_ms`].
    ///
    /// # Errors
    /// Those of [`Book::reserve`]: then it must not be sent.
    pub fn dispatch(&mut self, request: &Request<'_>, now_ms: u64, effects: &mut Effects) -> Result<(), ReserveError> {
        if self.is_repeated(request)? {
            return self.sent(request.id, request.expires_ms, now_ms, effects).map_err(|_ended| ReserveError::Conflict);
        }
        self.hold(request, EntryKind::Dispatch, now_ms, effects)
    }

    fn hold(
        &mut self,
        request: &Request<'_>,
        kind: EntryKind,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<(), ReserveError> {
        let &Request { id, path, amount, expires_ms } = request;
        if path.version() != self.budgets.version() {
            return Err(ReserveError::StalePath);
        }
        let mut slots = Slots::new();
        let mut windows = Windows::new();
        for account in path.accounts() {
            let slot = self.placed(account)?;
            windows.push(self.roll(account, slot, now_ms, effects));
            slots.push(slot);
        }
        self.fits(path, &slots, &windows, amount, now_ms)?;
        for (slot, start_ms) in slots.iter().zip(&windows) {
            if let Some(account) = self.account_mut(*slot) {
                account.state.apply(*start_ms, Change { hold: amount, ..Change::default() });
                account.open = account.open.saturating_add(1);
            }
        }
        effects.entries.push(Entry {
            at_ms: now_ms,
            kind,
            reservation: id,
            change: Change { hold: amount, ..Change::default() },
            expires_ms,
            path: path.clone(),
            windows: Windows::from_slice(&windows),
        });
        let path = path.clone();
        let sent = kind == EntryKind::Dispatch;
        let reservation =
            Reservation { asked: amount, held: amount, path, slots, windows, sent, deadline_ms: expires_ms };
        self.reservations.insert(id, reservation);
        Ok(())
    }

    /// Raises what a reservation holds to `total`, in every account or in none, in the windows in which it was reserved. A
    /// total that it already holds changes nothing, so the same call again is harmless.
    ///
    /// # Errors
    /// When it does not fit, or the reservation has ended or was never there.
    pub fn extend(
        &mut self,
        id: ReservationId,
        total: Nanodollars,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<(), ReserveError> {
        let Some(reservation) = self.reservations.get(&id) else {
            return Err(self.resolved.get(id).map_or(ReserveError::Unknown, |was| ReserveError::Ended(was.resolution)));
        };
        let more = total.saturating_sub(reservation.held);
        if more == Nanodollars::ZERO {
            return Ok(());
        }
        self.fits(&reservation.path, &reservation.slots, &reservation.windows, more, now_ms)?;
        let Some(reservation) = self.reservations.get_mut(&id) else {
            return Err(ReserveError::Unknown);
        };
        reservation.held = total;
        let change = Change { hold: more, ..Change::default() };
        effects.entries.push(Entry {
            at_ms: now_ms,
            kind: EntryKind::Extend,
            reservation: id,
            change,
            expires_ms: reservation.deadline_ms,
            path: reservation.path.clone(),
            windows: reservation.windows.clone(),
        });
        let (slots, windows) = (reservation.slots.clone(), reservation.windows.clone());
        for (slot, start_ms) in slots.iter().zip(&windows) {
            self.change(*slot, *start_ms, change);
        }
        Ok(())
    }

    fn is_repeated(&self, request: &Request<'_>) -> Result<bool, ReserveError> {
        if let Some(known) = self.reservations.get(&request.id) {
            let same = known.asked == request.amount && known.path.same(request.path);
            return if same { Ok(true) } else { Err(ReserveError::Conflict) };
        }
        self.resolved.get(request.id).map_or(Ok(false), |was| Err(ReserveError::Ended(was.resolution)))
    }

    fn placed(&mut self, account: &PathAccount) -> Result<u32, ReserveError> {
        match (self.slot(account), self.residency) {
            (Some(slot), _) => Ok(slot),
            (None, Residency::Complete) => Ok(self.place(Account::new(account, account.rule))),
            (None, Residency::Partial) => Err(ReserveError::NotResident { label: Arc::clone(&account.label) }),
        }
    }

    /// Opens the account's window if it is time, and says when its current one began.
    fn roll(&mut self, account: &PathAccount, slot: u32, now_ms: u64, effects: &mut Effects) -> u64 {
        self.uses = self.uses.saturating_add(1);
        let uses = self.uses;
        let known = usize::try_from(slot).ok().and_then(|slot| self.accounts.get_mut(slot)?.as_mut());
        let Some(known) = known else {
            return 0;
        };
        known.touched = uses;
        if let Some(current) = known.state.current()
            && now_ms < current.bounds.end_ms
        {
            return current.bounds.start_ms;
        }
        let Some(budget) = self.budgets.rules.get(account.rule) else {
            return 0;
        };
        if let Some(opened) = known.state.roll(budget, now_ms) {
            let (budget, label) = (Arc::clone(&account.budget), Arc::clone(&account.label));
            effects.opened.push(Opened { account: account.id, budget, label, balance: opened });
        }
        known.state.current().map_or(0, |window| window.bounds.start_ms)
    }

    /// The one comparison of an amount with a ceiling.
    fn fits(
        &self,
        path: &Path,
        slots: &Slots,
        windows: &Windows,
        amount: Nanodollars,
        now_ms: u64,
    ) -> Result<(), ReserveError> {
        if amount > MAX_AMOUNT {
            return Err(ReserveError::TooLarge { amount });
        }
        if amount == Nanodollars::ZERO {
            return Ok(());
        }
        let mut tightest: Option<(&PathAccount, Standing)> = None;
        for ((account, slot), start_ms) in path.accounts().iter().zip(slots).zip(windows) {
            let Some(known) = self.account(*slot) else {
                continue;
            };
            known.state.has_room(*start_ms, amount).map_err(|_| ReserveError::TooLarge { amount })?;
            // An account whose budget is gone has no ceiling any more.
            let Some(budget) = self.budgets.rules.get(known.rule) else {
                continue;
            };
            if known.state.fits(budget, *start_ms, amount) {
                continue;
            }
            let mut standing = known.state.standing(budget, *start_ms);
            standing.hard = standing.hard.saturating_add(self.raises.of(path.beneficiaries(), &budget.name, now_ms));
            let least = tightest.as_ref().is_none_or(|(_, other)| standing.headroom() < other.headroom());
            if standing.headroom() < amount && least {
                tightest = Some((account, standing));
            }
        }
        let Some((account, standing)) = tightest else {
            return Ok(());
        };
        Err(ReserveError::Refused(Box::new(Refusal {
            account: Arc::clone(&account.label),
            budget: Arc::clone(&account.budget),
            owner: self.budgets.named(&account.budget).and_then(|budget| budget.owner.clone()),
            amount,
            standing,
        })))
    }

    /// An account with an open reservation, be it of nothing, stays where it is in memory.
    pub(super) fn opened_in(&mut self, slot: u32) {
        if let Some(account) = self.account_mut(slot) {
            account.open = account.open.saturating_add(1);
        }
    }

    fn change(&mut self, slot: u32, start_ms: u64, change: Change) {
        if let Some(account) = self.account_mut(slot) {
            account.state.apply(start_ms, change);
        }
    }
}
