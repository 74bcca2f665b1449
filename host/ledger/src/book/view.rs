//! An account as others may see it: a copy that tells how it stands at any later moment without asking the book.

use std::sync::Arc;

use tollgate_core::{Budget, Nanodollars, ScopeKind, Symbol};

use super::account::{AccountState, Balance, Standing};
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
        self.standing_with(self.newest().as_ref(), now_ms)
    }

    /// The same, if its newest window is another one now.
    pub(crate) fn standing_with(&self, newest: Option<&Balance>, now_ms: u64) -> Standing {
        if let Some(current) = newest.filter(|newest| now_ms < newest.bounds.end_ms) {
            return self.state.standing_with(&self.budget, current.bounds.start_ms, newest);
        }
        let mut rolled = self.state.clone();
        if let (Some(last), Some(newest)) = (rolled.windows.last_mut(), newest) {
            *last = *newest;
        }
        rolled.roll(&self.budget, now_ms);
        let start_ms = rolled.current().map_or(now_ms, |current| current.bounds.start_ms);
        rolled.standing(&self.budget, start_ms)
    }

    /// Its newest window; nothing where it has none yet.
    pub(crate) fn newest(&self) -> Option<Balance> {
        self.state.current().copied()
    }

    /// What a policy is told of an account that stands like that, with the ceiling raised by approvals.
    pub(crate) fn fact(&self, standing: Standing, raised: Nanodollars) -> tollgate_core::Account {
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

    /// The newest window of an account, where nothing else about it has changed since a view of it was taken.
    pub(crate) fn newest_alone(&self, id: AccountId, view: &AccountView) -> Option<Balance> {
        let account = self.account(*self.by_id.get(&id)?)?;
        let budget = self.budgets.rules.get(account.rule)?;
        let owner = self.budgets.owners.get(account.rule).copied().unwrap_or_default();
        let (newest, older) = account.state.windows.split_last()?;
        let (was, older_then) = view.state.windows.split_last()?;
        let same_rules = Arc::ptr_eq(budget, &view.budget) && owner == view.owner;
        let same_state = account.state.grant == view.state.grant && newest.bounds == was.bounds && older == older_then;
        (same_rules && same_state).then_some(*newest)
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
