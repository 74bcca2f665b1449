//! Ending a reservation, once.

use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use tollgate_core::{MAX_AMOUNT, Nanodollars};

use super::account::{Change, Crossing, OVER_CEILING};
use super::budget::Path;
use super::entry::{Effects, Entry, EntryKind, Event, ReservationId, Windows};
use super::errors::ResolveError;
use super::resolved::{Resolution, Resolved};
use super::{Book, Reservation, Slots};

/// What a dispatch cost, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    cost: Nanodollars,
    estimated: bool,
}

impl Settlement {
    /// From usage that the provider reported.
    #[must_use]
    pub const fn exact(cost: Nanodollars) -> Self {
        Self { cost, estimated: false }
    }

    /// From what was counted on the way: a stream that was cut.
    #[must_use]
    pub const fn estimated(cost: Nanodollars) -> Self {
        Self { cost, estimated: true }
    }

    /// The cost.
    #[must_use]
    pub const fn cost(self) -> Nanodollars {
        self.cost
    }

    /// Whether it is an estimate.
    #[must_use]
    pub const fn is_estimated(self) -> bool {
        self.estimated
    }

    const fn resolution(self) -> Resolution {
        if self.estimated { Resolution::Estimated(self.cost) } else { Resolution::Posted(self.cost) }
    }
}

/// What a sweep ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Released: not sent in time.
    pub expired: usize,
    /// Posted whole: sent, and never resolved.
    pub estimated: usize,
}

impl Book {
    /// Notes that the dispatch is being sent: from here on, silence costs the whole reservation, which is taken for lost
    /// at `resolve_by_ms`.
    ///
    /// # Errors
    /// When the reservation has ended or was never there: it must not be sent.
    pub fn sent(
        &mut self,
        id: ReservationId,
        resolve_by_ms: u64,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<(), ResolveError> {
        let Some(reservation) = self.reservations.get_mut(&id) else {
            return Err(self.ended(id));
        };
        if !reservation.sent {
            reservation.sent = true;
            reservation.deadline_ms = resolve_by_ms;
            effects.entries.push(reservation.entry(id, EntryKind::Sent, Change::default(), now_ms));
        }
        Ok(())
    }

    /// Settles a reservation: what it held is released and what it cost is spent, in the windows in which it was
    /// reserved. The same settlement again is answered as the first time.
    ///
    /// # Errors
    /// When it was resolved otherwise, or was never there.
    pub fn post(
        &mut self,
        id: ReservationId,
        settlement: Settlement,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<(), ResolveError> {
        let Some(reservation) = self.reservations.remove(&id) else {
            return self.repeated(id, settlement.resolution());
        };
        if let Err(error) = self.can_hold(&reservation.slots, &reservation.windows, settlement.cost) {
            self.reservations.insert(id, reservation);
            return Err(error);
        }
        let kind = if settlement.estimated { EntryKind::Estimate } else { EntryKind::Post };
        self.end(id, reservation, (kind, settlement.resolution(), settlement.cost), now_ms, effects);
        Ok(())
    }

    /// Releases a reservation whose dispatch was never sent. The same again is answered as the first time.
    ///
    /// # Errors
    /// When the dispatch was sent, the reservation was resolved otherwise, or was never there.
    pub fn void(&mut self, id: ReservationId, now_ms: u64, effects: &mut Effects) -> Result<(), ResolveError> {
        match self.reservations.entry(id) {
            MapEntry::Vacant(_) => self.repeated(id, Resolution::Voided),
            MapEntry::Occupied(open) if open.get().sent => Err(ResolveError::WasSent),
            MapEntry::Occupied(open) => {
                let reservation = open.remove();
                self.end(id, reservation, (EntryKind::Void, Resolution::Voided, Nanodollars::ZERO), now_ms, effects);
                Ok(())
            }
        }
    }

    /// Ends every reservation whose time is over: one that was not sent expires to nothing, one that was is
    /// posted whole as an estimate.
    pub fn sweep(&mut self, now_ms: u64, effects: &mut Effects) -> Swept {
        let over = self.reservations.iter().filter(|(_, reservation)| reservation.deadline_ms <= now_ms);
        let mut over: Vec<ReservationId> = over.map(|(id, _)| *id).collect();
        over.sort_unstable();
        let mut swept = Swept::default();
        for id in over {
            let Some(reservation) = self.reservations.remove(&id) else {
                continue;
            };
            let (held, sent) = (reservation.held, reservation.sent);
            let (how, counted) = if sent {
                ((EntryKind::Estimate, Resolution::Estimated(held), held), &mut swept.estimated)
            } else {
                ((EntryKind::Expire, Resolution::Expired, Nanodollars::ZERO), &mut swept.expired)
            };
            *counted = counted.saturating_add(1);
            self.end(id, reservation, how, now_ms, effects);
        }
        swept
    }

    /// Replaces an estimate by the real cost that came late, in the windows in which it was reserved. The same correction
    /// again is answered as the first time.
    ///
    /// # Errors
    /// When the reservation is open, did not end with an estimate, was corrected otherwise, or was never there; when an
    /// account is not resident.
    pub fn correct(
        &mut self,
        id: ReservationId,
        cost: Nanodollars,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<(), ResolveError> {
        if self.reservations.contains_key(&id) {
            return Err(ResolveError::Open);
        }
        let known = self.resolved.get(id).ok_or(ResolveError::Unknown)?;
        let Resolution::Estimated(estimate) = known.resolution else {
            return self.repeated(id, Resolution::Corrected(cost));
        };
        let Resolved { path, windows, .. } = known.clone();
        let mut slots = Slots::new();
        for account in path.accounts() {
            let slot =
                self.slot(account).ok_or_else(|| ResolveError::NotResident { label: Arc::clone(&account.label) })?;
            slots.push(slot);
        }
        self.can_hold(&slots, &windows, cost)?;
        let change = Change { spend: cost, refund: estimate, ..Change::default() };
        self.spend(&path, &slots, &windows, change, now_ms, effects);
        effects.entries.push(Entry {
            at_ms: now_ms,
            kind: EntryKind::Correct,
            reservation: id,
            change,
            expires_ms: 0,
            path: path.clone(),
            windows: windows.clone(),
        });
        self.resolved.insert(id, Resolved { resolution: Resolution::Corrected(cost), path, windows });
        Ok(())
    }

    /// The one place where a reservation ends: by what, how, and at which cost.
    fn end(
        &mut self,
        id: ReservationId,
        reservation: Reservation,
        (kind, resolution, cost): (EntryKind, Resolution, Nanodollars),
        now_ms: u64,
        effects: &mut Effects,
    ) {
        let held = reservation.held;
        let overrun = cost.saturating_sub(held);
        let within = Change { release: held, spend: cost.min(held), ..Change::default() };
        effects.entries.push(reservation.entry(id, kind, within, now_ms));
        if overrun > Nanodollars::ZERO {
            let above = Change { spend: overrun, ..Change::default() };
            effects.entries.push(reservation.entry(id, EntryKind::Overrun, above, now_ms));
            effects.events.push(Event::Overrun { at_ms: now_ms, reservation: id, amount: overrun });
        }
        let Reservation { path, slots, windows, .. } = reservation;
        for slot in &slots {
            if let Some(account) = self.account_mut(*slot) {
                account.open = account.open.saturating_sub(1);
            }
        }
        let whole = Change { release: held, spend: cost, ..Change::default() };
        self.spend(&path, &slots, &windows, whole, now_ms, effects);
        self.resolved.insert(id, Resolved { resolution, path, windows });
    }

    /// Moves money in every account, and tells who reached a threshold.
    fn spend(
        &mut self,
        path: &Path,
        slots: &Slots,
        windows: &Windows,
        change: Change,
        now_ms: u64,
        effects: &mut Effects,
    ) {
        for ((account, slot), start_ms) in path.accounts().iter().zip(slots).zip(windows) {
            let known = usize::try_from(*slot).ok().and_then(|slot| self.accounts.get_mut(slot)?.as_mut());
            let Some(known) = known else { continue };
            let spent = known.state.apply(*start_ms, change);
            if change.spend == change.refund {
                continue;
            }
            let Some(budget) = self.budgets.rules.get(known.rule) else {
                continue;
            };
            let Crossing { newly, changed, now, start_ms, standing: Some(standing) } =
                known.cross(budget, *start_ms, spent)
            else {
                continue;
            };
            if changed {
                effects.crossed.push((account.id, start_ms, now));
            }
            if newly & OVER_CEILING != 0 {
                effects.events.push(Event::OverCeiling {
                    at_ms: now_ms,
                    account: Arc::clone(&account.label),
                    owner: budget.owner.clone(),
                    spent: standing.spent,
                    hard: standing.hard,
                    window_end_ms: standing.window_end_ms,
                });
            }
            for (bit, threshold) in budget.thresholds.iter().enumerate() {
                if u32::try_from(bit).ok().and_then(|bit| newly.checked_shr(bit)).is_some_and(|bits| bits & 1 == 1) {
                    effects.events.push(Event::Threshold {
                        at_ms: now_ms,
                        account: Arc::clone(&account.label),
                        owner: budget.owner.clone(),
                        threshold_permille: *threshold,
                        spent: standing.spent,
                        limit: standing.limit,
                        window_end_ms: standing.window_end_ms,
                    });
                }
            }
        }
    }

    fn can_hold(&self, slots: &Slots, windows: &Windows, amount: Nanodollars) -> Result<(), ResolveError> {
        let fits = |(slot, start_ms): (&u32, &u64)| {
            self.account(*slot).is_none_or(|account| account.state.has_room(*start_ms, amount).is_ok())
        };
        if amount <= MAX_AMOUNT && slots.iter().zip(windows).all(fits) {
            Ok(())
        } else {
            Err(ResolveError::TooLarge { amount })
        }
    }

    fn repeated(&self, id: ReservationId, resolution: Resolution) -> Result<(), ResolveError> {
        match self.resolved.get(id) {
            Some(was) if was.resolution == resolution => Ok(()),
            _ => Err(self.ended(id)),
        }
    }

    fn ended(&self, id: ReservationId) -> ResolveError {
        self.resolved.get(id).map_or(ResolveError::Unknown, |was| ResolveError::Double { was: was.resolution })
    }
}

impl Reservation {
    fn entry(&self, id: ReservationId, kind: EntryKind, change: Change, now_ms: u64) -> Entry {
        Entry {
            at_ms: now_ms,
            kind,
            reservation: id,
            change,
            expires_ms: self.deadline_ms,
            path: self.path.clone(),
            windows: Windows::from_slice(&self.windows),
        }
    }
}
