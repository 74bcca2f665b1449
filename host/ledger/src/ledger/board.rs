//! What policies are told of the accounts, read without waiting for the ledger: copies that it replaces, under its own lock, whenever
//! an account changes. A reader has the copy from before a change or the one from after it.

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arc_swap::ArcSwap;
use crossbeam_utils::atomic::AtomicCell;
use tollgate_core::{Dimension, Dispatch, reclaim};

use super::paths::Paths;
use crate::book::{AccountId, AccountView, Balance, Book, BudgetError, Budgets, Fold, Path, Raise, Raises, Standing};

#[derive(Debug)]
pub(super) struct Board {
    accounts: papaya::HashMap<AccountId, Shown, BuildHasherDefault<Fold>>,
    /// The budgets in force.
    budgets: ArcSwap<Budgets>,
    /// The approvals in force.
    raises: ArcSwap<Raises>,
    paths: Paths,
}

/// An account. Nearly every change is one of its newest window alone, which is replaced where it is.
#[derive(Debug)]
struct Shown {
    view: AccountView,
    newest: AtomicCell<Option<Balance>>,
}

impl Shown {
    fn standing(&self, now_ms: u64) -> Standing {
        self.view.standing_with(self.newest.load().as_ref(), now_ms)
    }
}

impl Board {
    /// What a book says now.
    pub(super) fn of(book: &Book) -> Self {
        let board = Self {
            accounts: papaya::HashMap::builder()
                .hasher(BuildHasherDefault::default())
                .collector(reclaim::collector())
                .build(),
            budgets: ArcSwap::from_pointee(book.budgets().clone()),
            raises: ArcSwap::from_pointee(book.raises().clone()),
            paths: Paths::default(),
        };
        board.show_all(book);
        board
    }

    pub(super) fn budgets(&self) -> Arc<Budgets> {
        self.budgets.load_full()
    }

    /// The accounts of these names by the budgets in force.
    pub(super) fn path(&self, names: &[(Dimension, &str)], task: Option<&str>) -> Result<Path, BudgetError> {
        self.paths.of(&self.budgets.load(), names, task)
    }

    /// The accounts as they are in the book now.
    pub(super) fn show(&self, book: &Book, accounts: impl Iterator<Item = AccountId>) {
        let shown = self.accounts.pin();
        for id in accounts {
            let known = shown.get(&id);
            if let Some((known, newest)) = known.and_then(|known| Some((known, book.newest_alone(id, &known.view)?))) {
                known.newest.store(Some(newest));
                continue;
            }
            match book.view(id) {
                Some(view) => shown.insert(id, Shown { newest: AtomicCell::new(view.newest()), view }),
                None => shown.remove(&id),
            };
        }
    }

    /// Everything, after budgets have changed.
    pub(super) fn show_budgets(&self, book: &Book) {
        self.budgets.store(Arc::new(book.budgets().clone()));
        self.show_all(book);
    }

    pub(super) fn show_raises(&self, book: &Book) {
        self.raises.store(Arc::new(book.raises().clone()));
    }

    pub(super) fn approvals(&self, now_ms: u64) -> Vec<Raise> {
        self.raises.load().in_force(now_ms)
    }

    fn show_all(&self, book: &Book) {
        let ids: Vec<AccountId> = book.accounts().map(|(id, _)| id).collect();
        self.show(book, ids.into_iter());
    }

    /// Shows every account that is in memory.
    pub(super) fn each_account(&self, now_ms: u64, mut look: impl FnMut(&AccountView, Standing)) {
        let shown = self.accounts.pin();
        shown.iter().for_each(|(_, shown)| look(&shown.view, shown.standing(now_ms)));
    }

    /// Writes how the accounts of a path stand into a dispatch, and whether somebody approved it; whether all of them are
    /// shown here. Accounts whose budget is gone are not told.
    pub(super) fn inform(&self, dispatch: &mut Dispatch, path: &Path) -> bool {
        let raises = self.raises.load();
        let shown = self.accounts.pin();
        dispatch.accounts.clear();
        for account in path.accounts() {
            let Some(shown) = shown.get(&account.id) else {
                return false;
            };
            let raised = raises.of(path.beneficiaries(), &shown.view.budget().name, dispatch.now_ms);
            dispatch.accounts.push(shown.view.fact(shown.standing(dispatch.now_ms), raised));
        }
        let approved = !raises.is_empty() && raises.any(path.beneficiaries(), dispatch.now_ms);
        dispatch.approved |= approved;
        true
    }
}
