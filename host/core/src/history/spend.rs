//! What scopes have spent in the last minutes, and runs in all. Budgets are the ledger's: this is told by it.

use serde::{Deserialize, Serialize};

use super::Movement;
use super::bounded::Bounded;
use crate::{Nanodollars, Reference, ScopeKind, ScopePath, Spending};

/// How far back a rate looks, in minutes: long enough that one dear call is not a trend.
const RATE_MINUTES: usize = 5;
const MINUTE_MS: u64 = 60_000;

/// What each scope spent in the last minutes, and each run in all.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) scopes: Bounded<(ScopeKind, Reference), Rate>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Rate {
    /// Spent and held, however long ago.
    total: Nanodollars,
    /// Spend in the minute whose number is beside it, at that number modulo the length.
    minutes: [(u64, Nanodollars); RATE_MINUTES],
}

impl Rate {
    fn per_minute(&self, now_ms: u64) -> Nanodollars {
        let minute = now_ms.checked_div(MINUTE_MS).unwrap_or(0);
        let recent = self
            .minutes
            .iter()
            .filter(|(number, _)| minute.saturating_sub(*number) < RATE_MINUTES as u64)
            .fold(0_u64, |sum, (_, spent)| sum.saturating_add(spent.as_u64()));
        Nanodollars::new(recent.checked_div(RATE_MINUTES as u64).unwrap_or(0))
    }

    /// A correction takes back from the total; the minute it came from is mostly over.
    fn take(&mut self, movement: &Movement) {
        let plus = self.total.saturating_add(movement.hold).saturating_add(movement.spend);
        self.total = plus.saturating_sub(movement.release).saturating_sub(movement.refund);
        let news = movement.spend.saturating_sub(movement.refund);
        let minute = movement.at_ms.checked_div(MINUTE_MS).unwrap_or(0);
        let place = usize::try_from(minute).ok().and_then(|minute| minute.checked_rem(RATE_MINUTES)).unwrap_or(0);
        if let Some((number, spent)) = self.minutes.get_mut(place) {
            if *number != minute {
                (*number, *spent) = (minute, Nanodollars::ZERO);
            }
            *spent = spent.saturating_add(news);
        }
    }
}

impl Rates {
    pub(super) fn new(capacity: usize) -> Self {
        Self { scopes: Bounded::new(capacity) }
    }

    /// What the run cost and how fast it and the fastest other scope spend, over the last five minutes.
    pub(super) fn read(&self, scopes: &ScopePath, now_ms: u64) -> Spending {
        let mut spending = Spending::default();
        for kind in ScopeKind::ALL {
            let known = |reference| self.scopes.read(&(kind, reference), |rate| (rate.total, rate.per_minute(now_ms)));
            let Some((total, per_minute)) = scopes.of(kind).and_then(known) else { continue };
            if kind == ScopeKind::Run {
                (spending.run_cost, spending.run_per_minute) = (total, per_minute);
            } else if per_minute > spending.scope_per_minute {
                (spending.scope_per_minute, spending.fastest_scope) = (per_minute, kind);
            }
        }
        spending
    }

    /// What is held is only told of runs; the others have their budgets for that.
    pub(super) fn take(&self, scopes: &ScopePath, movement: &Movement) {
        let spends = movement.spend != movement.refund;
        for kind in ScopeKind::ALL {
            if let Some(reference) = scopes.of(kind)
                && (spends || kind == ScopeKind::Run)
            {
                self.scopes.change((kind, reference), movement.at_ms, Rate::default(), |rate| rate.take(movement));
            }
        }
    }
}
