//! One account: what a scope has spent and reserved, window by window.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate_core::{Bounds, Budget, MAX_AMOUNT, MAX_THRESHOLDS, Nanodollars};

use super::budget::{AccountId, PathAccount};
use super::quiet::Quiet;

/// What was spent and is reserved in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The window.
    pub bounds: Bounds,
    /// Settled.
    pub spent: Nanodollars,
    /// Held.
    pub reserved: Nanodollars,
    /// What the window before left to this one.
    pub carried: Nanodollars,
    /// The thresholds whose event was emitted, a bit for each.
    pub crossed: u16,
}

impl Balance {
    pub(super) const fn opened(bounds: Bounds, carried: Nanodollars) -> Self {
        Self { bounds, spent: Nanodollars::ZERO, reserved: Nanodollars::ZERO, carried, crossed: 0 }
    }

    /// Spent and reserved; both are bounded by [`MAX_AMOUNT`], so the sum fits.
    #[must_use]
    pub const fn used(&self) -> Nanodollars {
        self.spent.saturating_add(self.reserved)
    }
}

/// An account as storage keeps it and takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Budget and names.
    pub label: Arc<str>,
    /// Its windows that still count, oldest first; the last is the current one.
    pub windows: SmallVec<[Balance; 1]>,
    /// Its own limit and ceiling, where a fleet has granted it a part of a budget.
    pub grant: Option<Grant>,
}

/// A part of a budget that this book may spend by itself; topped up by whoever leases it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// In place of the budget's limit.
    pub limit: Nanodollars,
    /// In place of its ceiling.
    pub hard: Nanodollars,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) state: AccountState,
    /// The budget it belongs to, also while that is not in force.
    pub(super) budget: Arc<str>,
    pub(super) rule: usize,
    /// When it was last used, for eviction; not money's time.
    pub(super) touched: u64,
    /// Reservations that hold a place in it.
    pub(super) open: u32,
    /// How much may be spent in a window without a word about it.
    pub(super) quiet: Option<Quiet>,
}

/// Money cannot be added to an account: the sum is past [`MAX_AMOUNT`].
#[derive(Debug)]
pub(super) struct Full;

impl Account {
    pub(super) fn new(account: &PathAccount, rule: usize) -> Self {
        Self {
            id: account.id,
            state: AccountState::new(Arc::clone(&account.label)),
            budget: Arc::clone(&account.budget),
            rule,
            touched: 0,
            open: 0,
            quiet: None,
        }
    }

    /// [`AccountState::cross`], after which so much is spent in that window; mostly nothing has changed.
    pub(super) fn cross(&mut self, budget: &Budget, start_ms: u64, spent: Nanodollars) -> Crossing {
        if self.quiet.is_some_and(|quiet| quiet.covers(start_ms, spent)) {
            return Crossing::default();
        }
        let crossing = self.state.cross(budget, start_ms);
        // What is spent in one part of a rolling window says little.
        self.quiet = match &crossing.standing {
            Some(standing) if budget.window.rolling_ms().is_none() => {
                Some(Quiet::around(budget, start_ms, standing, crossing.now))
            }
            _ => None,
        };
        crossing
    }

    /// Arms the thresholds that spend no longer reaches under another limit: what has changed then, for storage. One that it
    /// reaches now is told with the next spend.
    pub(super) fn rearm(&mut self, budget: &Budget) -> Option<(AccountId, u64, u16)> {
        self.quiet = None;
        let Balance { bounds, crossed: before, .. } = self.state.current().copied()?;
        let crossed = before & self.state.cross(budget, bounds.start_ms).now;
        self.state.window_mut(bounds.start_ms)?.crossed = crossed;
        (crossed != before).then_some((self.id, bounds.start_ms, crossed))
    }
}

impl AccountState {
    pub(super) fn new(label: Arc<str>) -> Self {
        Self { label, windows: SmallVec::new(), grant: None }
    }

    /// Opens the window that `now_ms` lies in, where it is later than the current one, and lets go of windows that no
    /// longer count. A clock that goes backwards stays in the current window: spend never comes back.
    /// Says which window it opened.
    pub(super) fn roll(&mut self, budget: &Budget, now_ms: u64) -> Option<Balance> {
        let current = self.windows.last().copied();
        if current.is_some_and(|current| now_ms < current.bounds.end_ms) {
            return None;
        }
        let mut bounds = budget.window.bounds(now_ms);
        let carried = current.map_or(Nanodollars::ZERO, |current| {
            // A zone whose rules changed could give a window that begins in the last one.
            bounds.start_ms = bounds.start_ms.max(current.bounds.end_ms);
            let rolling = budget.window.rolling_ms().is_some();
            if rolling { Nanodollars::ZERO } else { carry(budget, self.ceiling(budget).0, &current, now_ms) }
        });
        let mut opened = Balance::opened(bounds, carried);
        if budget.window.rolling_ms().is_some() {
            opened.crossed = current.map_or(0, |current| current.crossed);
        }
        let alive_from = budget.window.rolling_ms().map(|length| now_ms.saturating_sub(length));
        self.windows.retain(|window| {
            window.reserved > Nanodollars::ZERO || alive_from.is_some_and(|from| window.bounds.end_ms > from)
        });
        self.windows.push(opened);
        Some(opened)
    }

    /// Limit and ceiling without what was carried over.
    pub(super) fn ceiling(&self, budget: &Budget) -> (Nanodollars, Nanodollars) {
        self.grant.map_or((budget.limit, budget.hard), |grant| (grant.limit, grant.hard))
    }

    /// The account as of a window that began at `start_ms`: what counts against its limit and ceiling.
    pub(super) fn standing(&self, budget: &Budget, start_ms: u64) -> Standing {
        self.standing_with(budget, start_ms, self.current())
    }

    /// The same with another newest window than it has.
    pub(super) fn standing_with(&self, budget: &Budget, start_ms: u64, newest: Option<&Balance>) -> Standing {
        let (limit, hard) = self.ceiling(budget);
        let older = self.windows.split_last().map(|(_, older)| older).unwrap_or_default();
        let Some(length_ms) = budget.window.rolling_ms() else {
            let window = newest.into_iter().chain(older).find(|window| window.bounds.start_ms == start_ms).copied();
            let window = window.unwrap_or_else(|| Balance::opened(budget.window.bounds(start_ms), Nanodollars::ZERO));
            let Balance { spent, reserved, carried, .. } = window;
            return Standing {
                spent,
                reserved,
                limit: limit.saturating_add(carried),
                hard: hard.saturating_add(carried),
                window_end_ms: window.bounds.end_ms,
            };
        };
        let from = newest.map_or(0, |window| window.bounds.start_ms).saturating_sub(length_ms);
        let mut sum = Balance::opened(Bounds { start_ms, end_ms: start_ms }, Nanodollars::ZERO);
        for window in older.iter().chain(newest) {
            if window.bounds.end_ms > from {
                sum.spent = sum.spent.saturating_add(window.spent);
            }
            sum.reserved = sum.reserved.saturating_add(window.reserved);
        }
        let oldest = older.iter().chain(newest).find(|window| window.spent > Nanodollars::ZERO);
        let relief = oldest.map_or(start_ms, |window| window.bounds.end_ms).saturating_add(length_ms);
        Standing { spent: sum.spent, reserved: sum.reserved, limit, hard, window_end_ms: relief }
    }

    pub(super) fn current(&self) -> Option<&Balance> {
        self.windows.last()
    }

    pub(super) fn window(&self, start_ms: u64) -> Option<&Balance> {
        self.windows.iter().rev().find(|window| window.bounds.start_ms == start_ms)
    }

    pub(super) fn window_mut(&mut self, start_ms: u64) -> Option<&mut Balance> {
        self.windows.iter_mut().rev().find(|window| window.bounds.start_ms == start_ms)
    }

    /// Whether so much more fits below the ceiling in that window, approvals aside.
    pub(super) fn fits(&self, budget: &Budget, start_ms: u64, amount: Nanodollars) -> bool {
        match self.window(start_ms) {
            Some(window) if budget.window.rolling_ms().is_none() => {
                let hard = self.ceiling(budget).1.saturating_add(window.carried);
                window.used().checked_add(amount).is_some_and(|sum| sum <= hard)
            }
            _ => self.standing(budget, start_ms).headroom() >= amount,
        }
    }

    /// Whether so much more can be held or spent in that window without leaving what storage can hold.
    pub(super) fn has_room(&self, start_ms: u64, amount: Nanodollars) -> Result<(), Full> {
        let used = self.window(start_ms).map_or(Nanodollars::ZERO, Balance::used);
        used.checked_add(amount).filter(|sum| *sum <= MAX_AMOUNT).map(|_| ()).ok_or(Full)
    }

    /// Moves money in the window that began at `start_ms`. A window that no longer counts (a late correction) is
    /// changed in storage alone. The caller has checked [`Self::has_room`], and releases only what it held. Answers with what is
    /// spent in it now.
    pub(super) fn apply(&mut self, start_ms: u64, change: Change) -> Nanodollars {
        let Some(window) = self.window_mut(start_ms) else {
            return Nanodollars::ZERO;
        };
        let plus = |balance: Nanodollars, more: Nanodollars| balance.checked_add(more);
        let minus =
            |balance: Option<Nanodollars>, less: Nanodollars| balance.and_then(|balance| balance.checked_sub(less));
        let reserved = minus(plus(window.reserved, change.hold), change.release);
        let spent = minus(plus(window.spent, change.spend), change.refund);
        window.reserved = reserved.expect("a reservation releases what it holds, once");
        window.spent = spent.expect("a correction takes back what was posted, once");
        window.spent
    }

    /// The thresholds that spend has newly reached, as bits; one that was reached is armed again only after spend has
    /// fallen [`HYSTERESIS_PERMILLE`] below it (a late correction, a raised limit).
    pub(super) fn cross(&mut self, budget: &Budget, start_ms: u64) -> Crossing {
        // A rolling window is one window, whatever parts it is kept in: the newest part remembers.
        let newest = self.current().map_or(start_ms, |window| window.bounds.start_ms);
        let start_ms = if budget.window.rolling_ms().is_some() { newest } else { start_ms };
        let standing = self.standing(budget, start_ms);
        let Some(window) = self.window_mut(start_ms) else {
            return Crossing::default();
        };
        let before = window.crossed;
        for (bit, threshold) in budget.thresholds.iter().enumerate() {
            let mask = u32::try_from(bit).ok().and_then(|bit| 1_u16.checked_shl(bit)).unwrap_or(0);
            if standing.has_reached(*threshold) {
                window.crossed |= mask;
            } else if threshold.checked_sub(HYSTERESIS_PERMILLE).is_some_and(|low| !standing.is_above(low)) {
                window.crossed &= !mask;
            }
        }
        if standing.spent > standing.hard {
            window.crossed |= OVER_CEILING;
        } else {
            window.crossed &= !OVER_CEILING;
        }
        Crossing {
            newly: window.crossed & !before,
            changed: window.crossed != before,
            now: window.crossed,
            start_ms,
            standing: Some(standing),
        }
    }
}

/// How far below a threshold spend must fall before it can be reached again.
pub const HYSTERESIS_PERMILLE: u32 = 50;

/// The bit of the ceiling, behind those of the thresholds: only overruns carry spend past it.
pub(super) const OVER_CEILING: u16 = 1 << MAX_THRESHOLDS;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crossing {
    pub(super) newly: u16,
    pub(super) changed: bool,
    pub(super) now: u16,
    pub(super) start_ms: u64,
    pub(super) standing: Option<Standing>,
}

/// How money moves in one window of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Newly held.
    pub hold: Nanodollars,
    /// No longer held.
    pub release: Nanodollars,
    /// Newly spent.
    pub spend: Nanodollars,
    /// Taken back from what was spent.
    pub refund: Nanodollars,
}

/// How an account stands: what a decision is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Settled in the window.
    pub spent: Nanodollars,
    /// Held.
    pub reserved: Nanodollars,
    /// What the window allows, with what was carried over.
    pub limit: Nanodollars,
    /// What spend and reservations never pass, likewise; approvals come on top.
    pub hard: Nanodollars,
    /// When the window ends, or the first spend leaves a rolling one; `u64::MAX` where it does not.
    pub window_end_ms: u64,
}

impl Standing {
    /// Whether spend is at least so many thousandths of the limit; nothing spent has reached nothing. By multiplication, since
    /// this is asked of every account at every post and a wide division costs more than the rest of it.
    fn has_reached(&self, permille: u32) -> bool {
        self.spent > Nanodollars::ZERO && self.spent_thousandfold() >= self.limit_times(permille)
    }

    /// Whether spend is above so many thousandths of the limit.
    fn is_above(&self, permille: u32) -> bool {
        self.spent > Nanodollars::ZERO && self.spent_thousandfold() > self.limit_times(permille)
    }

    fn spent_thousandfold(&self) -> u128 {
        u128::from(self.spent.as_u64()).saturating_mul(1000)
    }

    fn limit_times(&self, permille: u32) -> u128 {
        u128::from(self.limit.as_u64()).saturating_mul(u128::from(permille))
    }

    /// What is left below the ceiling.
    #[must_use]
    pub const fn headroom(&self) -> Nanodollars {
        self.hard.saturating_sub(self.spent.saturating_add(self.reserved))
    }
}

/// What the windows up to the one of `now_ms` leave to it. Only what is neither spent nor held is left; a window that
/// passed without a dispatch leaves all of its limit.
fn carry(budget: &Budget, limit: Nanodollars, last: &Balance, now_ms: u64) -> Nanodollars {
    let most = budget.carry_over;
    let mut carried = limit.saturating_add(last.carried).saturating_sub(last.used()).min(most);
    let mut end_ms = last.bounds.end_ms;
    while carried < most && limit > Nanodollars::ZERO {
        let skipped = budget.window.bounds(end_ms);
        if skipped.end_ms > now_ms || skipped.end_ms <= end_ms {
            break;
        }
        carried = carried.saturating_add(limit).min(most);
        end_ms = skipped.end_ms;
    }
    carried
}
