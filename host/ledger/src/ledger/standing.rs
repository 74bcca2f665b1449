//! How accounts stand, for whoever watches them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Ledger;
use crate::book::{Budgets, Standing};

/// An account and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStanding {
    /// Budget and names: `team team=red`.
    pub account: Arc<str>,
    /// The budget it belongs to.
    pub budget: Arc<str>,
    /// Without approvals, which come on top for those they were given to.
    pub standing: Standing,
}

impl Ledger {
    /// The budgets in force.
    #[must_use]
    pub fn budgets(&self) -> Arc<Budgets> {
        self.board.budgets()
    }

    /// Of the accounts in memory, of one budget or of all, those that have used the greatest share of their limit, at most so many,
    /// the fullest first. Takes no lock.
    #[must_use]
    pub fn fullest(&self, budget: Option<&str>, most: usize, now_ms: u64) -> Vec<AccountStanding> {
        // The least full of those that are kept is the last, and goes first; names settle what is equal.
        let mut fullest: BTreeMap<(Reverse<u32>, Arc<str>), AccountStanding> = BTreeMap::new();
        self.board.each_account(now_ms, |view, standing| {
            if budget.is_some_and(|budget| *view.budget().name != *budget) {
                return;
            }
            let used = standing.spent.saturating_add(standing.reserved).permille_of(standing.limit);
            let (account, budget) = (Arc::clone(view.label()), Arc::clone(&view.budget().name));
            fullest.insert((Reverse(used), Arc::clone(&account)), AccountStanding { account, budget, standing });
            if fullest.len() > most {
                fullest.pop_last();
            }
        });
        fullest.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Dimension, Nanodollars, ScopeKind};

    use super::*;
    use crate::book::{Budget, Request, ReservationId};

    #[test]
    fn the_fullest_accounts_come_first_and_no_more_than_asked_for() {
        let dollars = |dollars: u64| Nanodollars::new(dollars * 1_000_000_000);
        let budgets = vec![Budget::each(ScopeKind::Run, dollars(10)), Budget::each(ScopeKind::Team, dollars(1_000))];
        let ledger = Ledger::in_memory(Budgets::new(budgets).expect("budgets")).expect("a ledger");
        for (id, (run, amount)) in (1..).zip([("a", 1), ("b", 9), ("c", 5)]) {
            let names = [(Dimension::Scope(ScopeKind::Run), run), (Dimension::Scope(ScopeKind::Team), "red")];
            let path = ledger.path(&names).expect("a path");
            let request = Request { id: ReservationId(id), path: &path, amount: dollars(amount), expires_ms: 9 };
            ledger.reserve(&request, 1).expect("room");
        }
        let accounts = |budget, most| -> Vec<String> {
            ledger.fullest(budget, most, 2).iter().map(|standing| standing.account.to_string()).collect()
        };
        assert_eq!(accounts(Some("run"), 2), ["run run=b", "run run=c"]);
        assert_eq!(accounts(None, 9), ["run run=b", "run run=c", "run run=a", "team team=red"]);
        assert!(accounts(Some("user"), 9).is_empty());
        assert_eq!(ledger.fullest(Some("team"), 1, 2)[0].standing.reserved, dollars(15));
    }
}
