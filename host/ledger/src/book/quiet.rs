//! Where nothing happens: the span of spend in which no threshold of a window is reached or left.
//!
//! Thresholds are compared at every settlement in every account, and nearly always nothing has changed. The span says so by two
//! comparisons. It is thrown away whenever a limit changes, and worked out again at the next spend.

use tollgate_core::{Budget, Nanodollars};

use super::account::{HYSTERESIS_PERMILLE, OVER_CEILING, Standing};

/// A span of spend in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    start_ms: u64,
    /// From here on.
    from: u64,
    /// Below this.
    below: u64,
}

impl Quiet {
    /// The span around a standing, in a window whose crossed thresholds are up to date.
    pub(super) fn around(budget: &Budget, start_ms: u64, standing: &Standing, crossed: u16) -> Self {
        let mut quiet = Self { start_ms, from: 0, below: u64::MAX };
        let ceiling = standing.hard.as_u64().saturating_add(1);
        quiet.bound(crossed & OVER_CEILING != 0, ceiling, ceiling);
        for (bit, permille) in (0_u32..).zip(&budget.thresholds) {
            let is_crossed = 1_u16.checked_shl(bit).is_some_and(|mask| crossed & mask != 0);
            let reached = part(standing.limit, *permille, u128::div_ceil).max(1);
            // One that was reached stays so while spend is above the threshold less the hysteresis.
            let low = permille.checked_sub(HYSTERESIS_PERMILLE);
            let left = low.map_or(0, |low| part(standing.limit, low, u128::div_euclid).saturating_add(1));
            quiet.bound(is_crossed, left, reached);
        }
        quiet
    }

    /// Whether nothing has changed with so much spent.
    pub(super) const fn covers(&self, start_ms: u64, spent: Nanodollars) -> bool {
        let spent = spent.as_u64();
        self.start_ms == start_ms && self.from <= spent && spent < self.below
    }

    fn bound(&mut self, is_crossed: bool, left_below: u64, reached_from: u64) {
        if is_crossed {
            self.from = self.from.max(left_below);
        } else {
            self.below = self.below.min(reached_from);
        }
    }
}

/// So many thousandths of an amount.
fn part(amount: Nanodollars, permille: u32, divide: impl Fn(u128, u128) -> u128) -> u64 {
    let thousandfold = u128::from(amount.as_u64()).saturating_mul(u128::from(permille));
    u64::try_from(divide(thousandfold, 1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tollgate_core::{Bounds, ScopeKind};

    use super::super::account::{Account, Balance, Change};
    use super::super::budget::{AccountId, PathAccount};
    use super::*;

    fn account() -> Account {
        let path = PathAccount::restored(AccountId(1), "team", "team team=red");
        let mut account = Account::new(&path, 0);
        let bounds = Bounds { start_ms: 0, end_ms: u64::MAX };
        account.state.windows.push(Balance::opened(bounds, Nanodollars::ZERO));
        account
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        #[test]
        fn the_span_hides_no_crossing(
            steps in proptest::collection::vec((0_u64..700, 0_u64..700, proptest::option::of(1_u64..2_000)), 1..60),
        ) {
            let mut budget = Arc::new(Budget {
                thresholds: vec![10, 50, 333, 800, 1000, 1090],
                ..Budget::each(ScopeKind::Team, Nanodollars::new(1_000))
            });
            let (mut fast, mut slow) = (account(), account());
            for (spend, refund, limit) in steps {
                if let Some(limit) = limit {
                    let limit = Nanodollars::new(limit);
                    budget = Arc::new(Budget { limit, hard: limit, ..(*budget).clone() });
                    fast.rearm(&budget);
                    slow.rearm(&budget);
                }
                let spent = slow.state.windows[0].spent;
                let (spend, refund) = (Nanodollars::new(spend), Nanodollars::new(refund).min(spent));
                let change = Change { spend, refund, ..Change::default() };
                let fast_spent = fast.state.apply(0, change);
                slow.state.apply(0, change);
                let expected = slow.state.cross(&budget, 0);
                let found = fast.cross(&budget, 0, fast_spent);
                prop_assert_eq!((found.newly, found.changed), (expected.newly, expected.changed));
                prop_assert_eq!(fast.state.windows[0].crossed, slow.state.windows[0].crossed);
            }
        }
    }
}
