//! Budgets, and which accounts a dispatch is charged to.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use tollgate_core::{Budget, BudgetProblem, Dimension, Pattern, Reference, ScopeKind, ScopePath, Symbol, Symbols};

use super::raise::Beneficiary;

/// The most budgets that one dispatch may be charged to.
pub const MAX_ACCOUNTS: usize = 16;

/// The account that a dispatch with these names is charged to; nothing when the budget does not cover it.
fn account_of(budget: &Budget, names: &[(Dimension, &str)]) -> Option<(AccountId, Arc<str>)> {
    let mut label = budget.name.to_string();
    let mut id = AccountHasher::default();
    id.part(&budget.name);
    for (dimension, pattern) in &budget.selector {
        let (_, name) = names.iter().find(|(named, name)| named == dimension && pattern.covers(name))?;
        if matches!(pattern, Pattern::Each(_)) {
            let _ = write!(label, " {dimension}={name}");
            id.part(name);
        }
    }
    Some((id.finish(), label.into()))
}

/// Whether a budget still has an account that storage knows by this name: what it covers may have changed since.
pub(crate) fn has_account(budget: &Budget, id: AccountId, label: &str) -> bool {
    let Some(mut rest) = label.strip_prefix(&*budget.name) else { return false };
    let mut named = budget.selector.iter().filter(|(_, pattern)| matches!(pattern, Pattern::Each(_))).peekable();
    let mut found = AccountHasher::default();
    found.part(&budget.name);
    while let Some((dimension, pattern)) = named.next() {
        let Some(names) = rest.strip_prefix(&format!(" {dimension}=")) else { return false };
        let next = named.peek().and_then(|(next, _)| names.find(&format!(" {next}=")));
        let (name, behind) = names.split_at(next.unwrap_or(names.len()));
        if !pattern.covers(name) {
            return false;
        }
        found.part(name);
        rest = behind;
    }
    rest.is_empty() && found.finish() == id
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
    scopes: ScopePath,
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
    pub(super) place: Place,
}

/// Where an account lay in memory when this path was used last: looked at first, and never trusted.
#[derive(Debug)]
pub(super) struct Place(AtomicU32);

impl Place {
    const UNKNOWN: u32 = u32::MAX;

    pub(super) const fn unknown() -> Self {
        Self(AtomicU32::new(Self::UNKNOWN))
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, slot: u32) {
        self.0.store(slot, Ordering::Relaxed);
    }
}

impl Clone for Place {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.get()))
    }
}

/// It says nothing about which account it is.
impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl PathAccount {
    /// An account as storage knows it; it can be settled, not reserved from.
    pub(crate) fn restored(id: AccountId, budget: &str, label: &str) -> Self {
        Self { id, budget: budget.into(), label: label.into(), rule: usize::MAX, place: Place::unknown() }
    }
}

impl Path {
    /// The accounts, in the order of the budgets.
    #[must_use]
    pub fn accounts(&self) -> &[PathAccount] {
        &self.0.accounts
    }

    /// What approvals can be given for: `run=…`, `task=…`, `work-item=…`; see [`super::Beneficiary`].
    #[must_use]
    pub fn beneficiaries(&self) -> &[Arc<str>] {
        &self.0.beneficiaries
    }

    /// The scopes it was made from; none where it comes from storage.
    #[must_use]
    pub fn scopes(&self) -> &ScopePath {
        &self.0.scopes
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.version
    }

    /// A path as storage knows it: of no version, so nothing new is reserved on it.
    pub(crate) fn restored(accounts: Vec<PathAccount>) -> Self {
        let scopes = ScopePath::default();
        Self(Arc::new(PathInner { version: u64::MAX, accounts, beneficiaries: Vec::new(), scopes }))
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
    /// A budget that cannot be put in force.
    #[error(transparent)]
    Budget(#[from] BudgetProblem),
    /// A dispatch that too many budgets cover.
    #[error("{count} budgets cover this dispatch, at most {MAX_ACCOUNTS} may")]
    TooManyAccounts {
        /// How many do.
        count: usize,
    },
}

/// The budgets in force. A change of which budgets there are makes a new version, and paths of the old one stale.
#[derive(Clone, Debug)]
pub struct Budgets {
    version: u64,
    pub(super) rules: Vec<Arc<Budget>>,
    /// How policies know who answers for each.
    pub(super) owners: Vec<Symbol>,
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
            budget.check()?;
            if by_name.insert(Arc::clone(&budget.name), index).is_some() {
                return Err(BudgetError::Duplicate { name: Arc::clone(&budget.name) });
            }
        }
        let owners = vec![Symbol::UNKNOWN; rules.len()];
        Ok(Self { version: 0, rules: rules.into_iter().map(Arc::new).collect(), owners, by_name })
    }

    /// The same budgets, with their owners by the names that a host's policies know: to be called after the host has taken in
    /// the configuration.
    #[must_use]
    pub fn with_owners(mut self, symbols: &Symbols) -> Self {
        let owner =
            |budget: &Arc<Budget>| budget.owner.as_deref().map_or(Symbol::UNKNOWN, |owner| symbols.lookup(owner));
        self.owners = self.rules.iter().map(owner).collect();
        self
    }

    /// The budgets, in the order of the configuration.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Budget> {
        self.rules.iter().map(|budget| &**budget)
    }

    /// These budgets as the successor of others.
    #[must_use]
    pub(crate) fn after(self, earlier: &Self) -> Self {
        Self { version: earlier.version.saturating_add(1), ..self }
    }

    /// The accounts of a dispatch with these names. A dimension may be named several times (a model and its family).
    ///
    /// # Errors
    /// When more than [`MAX_ACCOUNTS`] budgets cover it.
    pub fn path(&self, names: &[(Dimension, &str)]) -> Result<Path, BudgetError> {
        self.path_of_task(names, None)
    }

    /// [`Budgets::path`], of a task of the run that the names name: approvals can be given for it.
    ///
    /// # Errors
    /// When more than [`MAX_ACCOUNTS`] budgets cover it.
    pub fn path_of_task(&self, names: &[(Dimension, &str)], task: Option<&str>) -> Result<Path, BudgetError> {
        let charged = self.rules.iter().enumerate().filter_map(|(rule, budget)| {
            let (id, label) = account_of(budget, names)?;
            Some(PathAccount { id, budget: Arc::clone(&budget.name), label, rule, place: Place::unknown() })
        });
        let accounts: Vec<PathAccount> = charged.collect();
        if accounts.len() > MAX_ACCOUNTS {
            return Err(BudgetError::TooManyAccounts { count: accounts.len() });
        }
        let mut beneficiaries: Vec<Arc<str>> = Vec::new();
        for (dimension, name) in names {
            let whom = match dimension {
                Dimension::Scope(ScopeKind::Run) => Beneficiary::Run(name),
                Dimension::Scope(ScopeKind::WorkItem) => Beneficiary::WorkItem(name),
                _ => continue,
            };
            beneficiaries.push(whom.to_string().into());
            if let (Beneficiary::Run(run), Some(task)) = (whom, task) {
                beneficiaries.push(Beneficiary::Task { run, task }.to_string().into());
            }
        }
        let mut scopes = ScopePath::default();
        for (dimension, name) in names {
            if let Dimension::Scope(kind) = dimension {
                scopes.set(*kind, Reference::of(name));
            }
        }
        Ok(Path(Arc::new(PathInner { version: self.version, accounts, beneficiaries, scopes })))
    }

    /// The budget of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Budget> {
        self.rules.get(*self.by_name.get(name)?).map(|budget| &**budget)
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Arc<Budget>] {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::Nanodollars;

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
    }
}
