//! What whoever watches a ledger asks of it, from time to time and not for each dispatch.

use std::sync::Arc;

use tollgate_core::{Nanodollars, ScopeKind};

use super::Ledger;
use super::board::Board;

/// What a budget has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    /// The budget.
    pub name: Arc<str>,
    /// Of what kind its scopes are.
    pub kind: ScopeKind,
    /// What is left below the ceiling of the account that has least left; the whole ceiling while there is none.
    pub least_left: Nanodollars,
    /// Accounts that are in memory.
    pub accounts: usize,
}

impl Ledger {
    /// What each configured budget has left. It looks at every account in memory, without a lock.
    #[must_use]
    pub fn budgets_left(&self, now_ms: u64) -> Vec<BudgetLeft> {
        self.board.budgets_left(now_ms)
    }

    /// Batches that wait to be written.
    #[must_use]
    pub fn waiting_batches(&self) -> usize {
        self.writer.waiting()
    }
}

impl Board {
    fn budgets_left(&self, now_ms: u64) -> Vec<BudgetLeft> {
        let mut left: Vec<BudgetLeft> = self
            .budgets()
            .rules()
            .map(|budget| BudgetLeft {
                name: Arc::clone(&budget.name),
                kind: budget.kind(),
                least_left: budget.hard,
                accounts: 0,
            })
            .collect();
        self.each_account(now_ms, |view, standing| {
            if let Some(budget) = left.iter_mut().find(|budget| budget.name == view.budget().name) {
                budget.least_left = budget.least_left.min(standing.headroom());
                budget.accounts = budget.accounts.saturating_add(1);
            }
        });
        left
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Configuration, Dimension};

    use super::*;
    use crate::book::{Budgets, Request, ReservationId};

    #[test]
    fn a_budget_has_left_what_its_tightest_account_has() {
        let text = "version = 1\n[[budget]]\nname = \"teams\"\nfor = { team = \"*\" }\nlimit = \"10.00 USD\"\nhard = \"10.00 USD\"\n\
             [[budget]]\nname = \"runs\"\nfor = { run = \"*\" }\nlimit = \"5.00 USD\"\nhard = \"5.00 USD\"\n";
        let configuration = Configuration::parse(text).unwrap();
        let ledger = Ledger::in_memory(Budgets::new(configuration.budgets).unwrap()).unwrap();
        for (id, team, dollars) in [(1, "red", 2), (2, "blue", 3)] {
            let path = ledger.path(&[(Dimension::Scope(ScopeKind::Team), team)]).unwrap();
            let amount = Nanodollars::new(dollars * 1_000_000_000);
            let request = Request { id: ReservationId(id), path: &path, amount, expires_ms: 1_000 };
            ledger.reserve(&request, 1).unwrap();
        }
        let left: Vec<_> = ledger
            .budgets_left(2)
            .into_iter()
            .map(|left| (left.name.to_string(), left.kind, left.least_left.to_string(), left.accounts))
            .collect();
        assert_eq!(
            left,
            [
                ("teams".to_owned(), ScopeKind::Team, "7.00 USD".to_owned(), 2),
                ("runs".to_owned(), ScopeKind::Run, "5.00 USD".to_owned(), 0),
            ]
        );
    }
}
