//! Budgets, and which accounts a dispatch is charged to.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tollgate_core::{Nanodollars, ScopeKind};

use super::window::Window;

/// Something a budget can be selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// A scope of the dispatch.
    Scope(ScopeKind),
    /// The kind of task.
    TaskType,
    /// The model it goes to.
    Model,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(kind) => kind.fmt(f),
            Self::TaskType => f.pad("task-type"),
            Self::Model => f.pad("model"),
        }
    }
}

/// Which names of a dimension a budget covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`, `red-*`: every name that matches has an account of its own. At most one `*`.
    Each(Arc<str>),
    /// All of these share one account.
    Shared(Vec<Arc<str>>),
}

impl Pattern {
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Each(glob) => match glob.split_once('*') {
                Some((head, tail)) => {
                    name.len() >= head.len().saturating_add(tail.len())
                        && name.starts_with(head)
                        && name.ends_with(tail)
                }
                None => **glob == *name,
            },
            Self::Shared(names) => names.iter().any(|shared| **shared == *name),
        }
    }
}

/// A budget: what the scopes it selects may spend in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Unique; what messages and records call it.
    pub name: Arc<str>,
    /// All of these must match; without any, every dispatch shares one account.
    pub selector: Vec<(Dimension, Pattern)>,
    /// What a window allows; a plugin decides what happens on the way from here to `hard`.
    pub limit: Nanodollars,
    /// What the book never lets spend and reservations pass.
    pub hard: Nanodollars,
    /// How long the limit lasts.
    pub window: Window,
    /// In thousandths of the limit, ascending, at most [`MAX_THRESHOLDS`]: an event when spend reaches one.
    pub thresholds: Vec<u32>,
    /// At most so much of what a window leaves is added to the next one's limit and ceiling.
    pub carry_over: Nanodollars,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
}

/// The most thresholds of a budget.
pub const MAX_THRESHOLDS: usize = 16;
/// The most budgets that one dispatch may be charged to.
pub const MAX_ACCOUNTS: usize = 16;

/// The default of [`Budget::hard`], in thousandths of the limit: room for the last dispatch to end well.
const HARD_PERMILLE: u128 = 1100;

impl Budget {
    /// A budget with the default ceiling (110 %), that never starts anew and emits events at 80 % and 100 %.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, selector: Vec<(Dimension, Pattern)>, limit: Nanodollars) -> Self {
        Self {
            name: name.into(),
            selector,
            limit,
            hard: default_hard(limit),
            window: Window::Total,
            thresholds: vec![800, 1000],
            carry_over: Nanodollars::ZERO,
            owner: None,
        }
    }

    /// Each scope of that kind has an account of its own.
    #[must_use]
    pub fn each(kind: ScopeKind, limit: Nanodollars) -> Self {
        Self::new(kind.as_str(), vec![(Dimension::Scope(kind), Pattern::Each("*".into()))], limit)
    }

    /// The account that a dispatch with these names is charged to; nothing when the budget does not cover it.
    fn account(&self, names: &[(Dimension, &str)]) -> Option<(AccountId, Arc<str>)> {
        let mut label = self.name.to_string();
        let mut id = AccountHasher::default();
        id.part(&self.name);
        for (dimension, pattern) in &self.selector {
            let (_, name) = names.iter().find(|(named, name)| named == dimension && pattern.covers(name))?;
            if matches!(pattern, Pattern::Each(_)) {
                let _ = write!(label, " {dimension}={name}");
                id.part(name);
            }
        }
        Some((id.finish(), label.into()))
    }
}

/// 110 % of a limit, or all there is.
#[must_use]
pub fn default_hard(limit: Nanodollars) -> Nanodollars {
    let hard = u128::from(limit.as_u64()).saturating_mul(HARD_PERMILLE) / 1000;
    u64::try_from(hard).map_or(Nanodollars::MAX, Nanodollars::new)
}

/// A stable name for an account: the first half of the SHA-256 of its budget and the names that make it one,
/// so that nobody can choose names that fall together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(crate) u128);

/// Every part goes in with its length, so that no two lists of names are the same bytes.
#[derive(Default)]
struct AccountHasher(Sha256);

impl AccountHasher {
    fn part(&mut self, name: &str) {
        self.0.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(name.as_bytes());
    }

    fn finish(self) -> AccountId {
        let digest = self.0.finalize();
        AccountId(digest.iter().take(16).fold(0, |id, byte| (id << 8) | u128::from(*byte)))
    }
}

impl AccountId {
    /// As 16 bytes, for storage.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// From storage.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The accounts a dispatch is charged to. Made once for a set of names and used for all its dispatches; cheap to clone.
#[derive(Clone, Debug)]
pub struct Path(Arc<PathInner>);

#[derive(Debug)]
struct PathInner {
    version: u64,
    accounts: Vec<PathAccount>,
    beneficiaries: Vec<Arc<str>>,
}

/// One account of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathAccount {
    /// The account.
    pub id: AccountId,
    /// Which budget it belongs to.
    pub budget: Arc<str>,
    /// Budget and names: `team team=red`.
    pub label: Arc<str>,
    pub(super) rule: usize,
}

impl PathAccount {
    /// An account as storage knows it; it can be settled, not reserved from.
    pub(crate) fn restored(id: AccountId, budget: &str, label: &str) -> Self {
        Self { id, budget: budget.into(), label: label.into(), rule: usize::MAX }
    }
}

impl Path {
    /// The accounts, in the order of the budgets.
    #[must_use]
    pub fn accounts(&self) -> &[PathAccount] {
        &self.0.accounts
    }

    /// What approvals can be given for: `run=…`, `work-item=…`.
    #[must_use]
    pub fn beneficiaries(&self) -> &[Arc<str>] {
        &self.0.beneficiaries
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version
    }

    /// A path as storage knows it: of no version, so nothing new is reserved on it.
    pub(crate) fn restored(accounts: Vec<PathAccount>) -> Self {
        Self(Arc::new(PathInner { version: u64::MAX, accounts, beneficiaries: Vec::new() }))
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.accounts.iter().map(|account| account.id).eq(other.0.accounts.iter().map(|account| account.id))
    }
}

/// Why budgets or names were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Two budgets of the same name.
    #[error("two budgets are called `{name}`: give one of them another name")]
    Duplicate {
        /// The name.
        name: Arc<str>,
    },
    /// The ceiling is below the limit.
    #[error("budget `{name}`: `hard` is {hard}, below the limit of {limit}: raise `hard` or drop it")]
    HardBelowLimit {
        /// Which budget.
        name: Arc<str>,
        /// Its limit.
        limit: Nanodollars,
        /// Its ceiling.
        hard: Nanodollars,
    },
    /// More than fit the book or its storage.
    #[error("budget `{name}`: {amount} is more than an account can hold (9.2 billion USD)")]
    TooLarge {
        /// Which budget.
        name: Arc<str>,
        /// The amount.
        amount: Nanodollars,
    },
    /// Too many thresholds, or not in ascending order.
    #[error("budget `{name}`: thresholds must ascend, and be at most {MAX_THRESHOLDS}")]
    Thresholds {
        /// Which budget.
        name: Arc<str>,
    },
    /// A dispatch that too many budgets cover.
    #[error("{count} budgets cover this dispatch, at most {MAX_ACCOUNTS} may")]
    TooManyAccounts {
        /// How many do.
        count: usize,
    },
}

/// The most that an amount may be: the largest integer of the storage. Ceilings above it are no ceilings.
pub const MAX_AMOUNT: Nanodollars = Nanodollars::new(i64::MAX.unsigned_abs());

/// The budgets in force. A change of which budgets there are makes a new version, and paths of the old one stale.
#[derive(Clone, Debug)]
pub struct Budgets {
    version: u64,
    pub(super) rules: Vec<Budget>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Budgets {
    /// Checks budgets and puts them in force.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn new(rules: Vec<Budget>) -> Result<Self, BudgetError> {
        let mut by_name = HashMap::new();
        for (index, budget) in rules.iter().enumerate() {
            check(budget)?;
            if by_name.insert(Arc::clone(&budget.name), index).is_some() {
                return Err(BudgetError::Duplicate { name: Arc::clone(&budget.name) });
            }
        }
        Ok(Self { version: 0, rules, by_name })
    }

    /// These budgets as the successor of others.
    #[must_use]
    pub(super) fn after(self, earlier: &Self) -> Self {
        Self { version: earlier.version.saturating_add(1), ..self }
    }

    /// The accounts of a dispatch with these names. A dimension may be named several times (a model and its family).
    ///
    /// # Errors
    /// When more than [`MAX_ACCOUNTS`] budgets cover it.
    pub fn path(&self, names: &[(Dimension, &str)]) -> Result<Path, BudgetError> {
        let charged = self.rules.iter().enumerate().filter_map(|(rule, budget)| {
            let (id, label) = budget.account(names)?;
            Some(PathAccount { id, budget: Arc::clone(&budget.name), label, rule })
        });
        let accounts: Vec<PathAccount> = charged.collect();
        if accounts.len() > MAX_ACCOUNTS {
            return Err(BudgetError::TooManyAccounts { count: accounts.len() });
        }
        let approvable =
            |dimension: &Dimension| matches!(dimension, Dimension::Scope(ScopeKind::Run | ScopeKind::WorkItem));
        let beneficiaries = names.iter().filter(|(dimension, _)| approvable(dimension));
        let beneficiaries = beneficiaries.map(|(dimension, name)| format!("{dimension}={name}").into()).collect();
        Ok(Path(Arc::new(PathInner { version: self.version, accounts, beneficiaries })))
    }

    /// The budget of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Budget> {
        self.rules.get(*self.by_name.get(name)?)
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Budget] {
        &self.rules
    }
}

pub(super) fn check(budget: &Budget) -> Result<(), BudgetError> {
    let name = || Arc::clone(&budget.name);
    if budget.hard < budget.limit {
        return Err(BudgetError::HardBelowLimit { name: name(), limit: budget.limit, hard: budget.hard });
    }
    for amount in [budget.limit, budget.carry_over] {
        if amount > MAX_AMOUNT {
            return Err(BudgetError::TooLarge { name: name(), amount });
        }
    }
    if budget.thresholds.len() > MAX_THRESHOLDS || !budget.thresholds.is_sorted_by(|a, b| a < b) {
        return Err(BudgetError::Thresholds { name: name() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEAM: Dimension = Dimension::Scope(ScopeKind::Team);
    const USER: Dimension = Dimension::Scope(ScopeKind::User);

    fn labels(budgets: &Budgets, names: &[(Dimension, &str)]) -> Vec<String> {
        budgets.path(names).expect("a path").accounts().iter().map(|account| account.label.to_string()).collect()
    }

    #[test]
    fn wildcards_give_each_match_its_own_account_and_lists_share_one() {
        let dollar = Nanodollars::new(1_000_000_000);
        let budgets = Budgets::new(vec![
            Budget::new("everything", vec![], dollar),
            Budget::new("reds", vec![(TEAM, Pattern::Each("red-*".into()))], dollar),
            Budget::new("two", vec![(TEAM, Pattern::Shared(vec!["red-1".into(), "blue".into()]))], dollar),
            Budget::new(
                "dear",
                vec![(USER, Pattern::Each("*".into())), (Dimension::Model, Pattern::Each("opus*".into()))],
                dollar,
            ),
        ])
        .expect("budgets");
        assert_eq!(labels(&budgets, &[(TEAM, "red-1")]), ["everything", "reds team=red-1", "two"]);
        assert_eq!(labels(&budgets, &[(TEAM, "blue"), (USER, "ada")]), ["everything", "two"]);
        assert_eq!(
            labels(&budgets, &[(USER, "ada"), (Dimension::Model, "opus-4")]),
            ["everything", "dear user=ada model=opus-4"]
        );
        let two =
            |team| budgets.path(&[(TEAM, team)]).expect("a path").accounts()[1..].last().map(|account| account.id);
        assert_eq!(two("red-1"), two("blue"));
    }

    #[test]
    fn names_cannot_be_chosen_to_fall_together() {
        let dollar = Nanodollars::new(1_000_000_000);
        let selector = vec![(TEAM, Pattern::Each("*".into())), (USER, Pattern::Each("*".into()))];
        let budgets = Budgets::new(vec![Budget::new("b", selector, dollar)]).expect("budgets");
        let id = |team, user| budgets.path(&[(TEAM, team), (USER, user)]).expect("a path").accounts()[0].id;
        assert_ne!(id("a user=b", "c"), id("a", "b user=c"));
    }

    #[test]
    fn what_is_wrong_with_a_budget_is_named() {
        let dollar = Nanodollars::new(1_000_000_000);
        let low = Budget { hard: Nanodollars::new(1), ..Budget::each(ScopeKind::Run, dollar) };
        assert_eq!(
            Budgets::new(vec![low]).map(|_| ()).unwrap_err().to_string(),
            "budget `run`: `hard` is 0.000000001 USD, below the limit of 1.00 USD: raise `hard` or drop it"
        );
        let twice = vec![Budget::each(ScopeKind::Run, dollar), Budget::each(ScopeKind::Run, dollar)];
        assert!(matches!(Budgets::new(twice), Err(BudgetError::Duplicate { .. })));
        let unsorted = Budget { thresholds: vec![900, 800], ..Budget::each(ScopeKind::Run, dollar) };
        assert!(matches!(Budgets::new(vec![unsorted]), Err(BudgetError::Thresholds { .. })));
    }
}
