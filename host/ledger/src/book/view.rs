//! An account as others may see it: a copy that tells how it stands at any later moment without asking the book.

use std::sync::Arc;

use tollgate_core::{Budget, Nanodollars, ScopeKind, Symbol};

use super::account::{AccountState, Standing};
use super::budget::AccountId;
use super::{Book, Path};

/// A copy of an account with its budget. What it says is true until the account or its budget changes.
#[derive(Clone, Debug)]
pub struct AccountView {
    pub(super) state: AccountState,
    pub(super) budget: Arc<Budget>,
    pub(super) owner: Symbol,
}

impl AccountView {
    /// How the account stands: in the window that `now_ms` lies in, also one that was not opened yet. Approvals come on top.
    #[must_use]
    pub fn standing(&self, now_ms: u64) -> Standing {
        let current = self.state.current().filter(|current| now_ms < current.bounds.end_ms);
        if let Some(current) = current {
            return self.state.standing(&self.budget, current.bounds.start_ms);
        }
        let mut rolled = self.state.clone();
        rolled.roll(&self.budget, now_ms);
        let start_ms = rolled.current().map_or(now_ms, |current| current.bounds.start_ms);
        rolled.standing(&self.budget, start_ms)
    }

    /// What a policy is told, with the ceiling raised by approvals.
    #[must_use]
    pub fn fact(&self, now_ms: u64, raised: Nanodollars) -> tollgate_core::Account {
        let standing = self.standing(now_ms);
        tollgate_core::Account {
            kind: self.kind(),
            owner: self.owner,
            spent: standing.spent,
            reserved: standing.reserved,
            limit: standing.limit,
            hard: standing.hard.saturating_add(raised),
            window_end_ms: standing.window_end_ms,
        }
    }

    /// Of what kind of scope.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        self.budget.kind()
    }

    /// Budget and names: `team team=red`.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.state.label
    }

    /// The budget it belongs to.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Book {
    /// An account as others may see it; nothing where it is not in memory or its budget is gone.
    #[must_use]
    pub fn view(&self, id: AccountId) -> Option<AccountView> {
        let account = self.account(*self.by_id.get(&id)?)?;
        let budget = Arc::clone(self.budgets.rules.get(account.rule)?);
        let owner = self.budgets.owners.get(account.rule).copied().unwrap_or_default();
        Some(AccountView { state: account.state.clone(), budget, owner })
    }

    /// How the accounts of a path stand, in its order. One that is not resident has spent nothing here.
    #[must_use]
    pub fn standings(&self, path: &Path, now_ms: u64) -> smallvec::SmallVec<[Standing; 4]> {
        let fresh = |account: &super::PathAccount| {
            let budget = Arc::clone(self.budgets.rules.get(account.rule)?);
            Some(AccountView { state: AccountState::new(Arc::clone(&account.label)), budget, owner: Symbol::UNKNOWN })
        };
        let view = |account: &super::PathAccount| {
            if self.by_id.contains_key(&account.id) { self.view(account.id) } else { fresh(account) }
        };
        path.accounts().iter().filter_map(|account| Some(view(account)?.standing(now_ms))).collect()
    }
}
