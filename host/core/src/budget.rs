//! What scopes may spend, as an operator writes it and as the ledger enforces it: one type for both.

mod form;
mod pattern;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

pub use pattern::{Pattern, PatternError};

use crate::window::{Window, WindowError};
use crate::{MoneyError, Nanodollars, ScopeKind};

/// Something a budget can be selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
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

/// A word that budgets are not selected by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a budget cannot be for a `{0}`: use organisation, team, project, work-item, run, user, key, task-type or model"
)]
pub struct DimensionError(String);

impl FromStr for Dimension {
    type Err = DimensionError;

    fn from_str(word: &str) -> Result<Self, DimensionError> {
        match word {
            "task-type" => Ok(Self::TaskType),
            "model" => Ok(Self::Model),
            _ => word.parse().map(Self::Scope).map_err(|_| DimensionError(word.to_owned())),
        }
    }
}

impl TryFrom<String> for Dimension {
    type Error = DimensionError;

    fn try_from(word: String) -> Result<Self, DimensionError> {
        word.parse()
    }
}

/// A budget: what the scopes it selects may spend in a window.
///
/// ```
/// # let text = r#"
/// version = 1
/// [[budget]]
/// name = "background"                 # what messages call it; from `for`, where nothing is said
/// for = { team = "blue-*", model = "claude-opus-*" }   # each team and model that matches has an account
/// limit = "180.00 USD"
/// hard = "200.00 USD"                 # 110 % of the limit, where nothing is said
/// window = "month"                    # total, hour, day, week, month, or rolling: "last 24h"
/// time_zone = "Europe/Berlin"         # UTC, where nothing is said
/// thresholds = ["50%", "80%", "100%"] # events; 80 % and 100 %, where nothing is said
/// carry_over = "20.00 USD"            # of what a window leaves, at most so much is added to the next
/// owner = "blue-lead"
/// # "#;
/// # let configuration = tollgate_core::Configuration::parse(text)?;
/// # assert_eq!(configuration.budgets[0].thresholds, [500, 800, 1000]);
/// # Ok::<(), tollgate_core::ConfigurationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "form::BudgetForm")]
pub struct Budget {
    /// Unique; what messages and records call it. Accounts are told apart by it, so another name is another budget.
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

/// The most thresholds of a budget; with its ceiling, as many as the bits that storage keeps of a window.
pub const MAX_THRESHOLDS: usize = 15;
/// The longest name of a budget, in bytes.
pub const MAX_BUDGET_NAME_BYTES: usize = 256;
/// The most that an amount may be: the largest integer of the storage. Ceilings above it are no ceilings.
pub const MAX_AMOUNT: Nanodollars = Nanodollars::new(i64::MAX.unsigned_abs());

/// The default of [`Budget::hard`], in thousandths of the limit: room for the last dispatch to end well.
const HARD_PERMILLE: u128 = 1100;
/// Where a budget says that it comes near its end, and that it is there, unless it says otherwise.
const THRESHOLDS_PERMILLE: [u32; 2] = [800, 1000];

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
            thresholds: THRESHOLDS_PERMILLE.to_vec(),
            carry_over: Nanodollars::ZERO,
            owner: None,
        }
    }

    /// Each scope of that kind has an account of its own.
    #[must_use]
    pub fn each(kind: ScopeKind, limit: Nanodollars) -> Self {
        Self::new(kind.as_str(), vec![(Dimension::Scope(kind), Pattern::each())], limit)
    }

    /// The narrowest kind of scope it is selected by: what policies are told it is a budget of. The organisation, where it is
    /// selected by no scope.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        let kinds = self.selector.iter().filter_map(|(dimension, _)| match dimension {
            Dimension::Scope(kind) => Some(*kind),
            Dimension::TaskType | Dimension::Model => None,
        });
        kinds.max().unwrap_or(ScopeKind::Organisation)
    }

    /// Whether it can be put in force.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), BudgetProblem> {
        let name = || Arc::clone(&self.name);
        if self.name.is_empty() || self.name.len() > MAX_BUDGET_NAME_BYTES {
            return Err(BudgetProblem::Name { name: name() });
        }
        if self.hard < self.limit {
            return Err(BudgetProblem::HardBelowLimit { name: name(), limit: self.limit, hard: self.hard });
        }
        for amount in [self.limit, self.carry_over] {
            if amount > MAX_AMOUNT {
                return Err(BudgetProblem::TooLarge { name: name(), amount });
            }
        }
        if self.thresholds.len() > MAX_THRESHOLDS || !self.thresholds.is_sorted_by(|a, b| a < b) {
            return Err(BudgetProblem::Thresholds { name: name() });
        }
        Ok(())
    }
}

/// 110 % of a limit, or all there is.
#[must_use]
pub fn default_hard(limit: Nanodollars) -> Nanodollars {
    let hard = u128::from(limit.as_u64()).saturating_mul(HARD_PERMILLE) / 1000;
    u64::try_from(hard).map_or(Nanodollars::MAX, Nanodollars::new)
}

/// What is wrong with a budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetProblem {
    /// It does not say what it covers, or says it twice.
    #[error(
        "a budget says what it is for: `for = {{ team = \"*\" }}` gives each team an account, `for = {{}}` covers everything; `scope = \"team\"` alone is short for the first"
    )]
    For,
    /// A pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The window.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// An amount.
    #[error("`{key}`: {problem}")]
    Amount {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        problem: MoneyError,
    },
    /// A threshold that is no percentage.
    #[error("`{0}` is no threshold: write a percentage with at most one digit behind the point, as in \"80%\"")]
    Threshold(String),
    /// No name, or a long one.
    #[error("a budget's name has 1 to {MAX_BUDGET_NAME_BYTES} bytes, and `{name}` has {}: give it another `name`", name.len())]
    Name {
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
    #[error("budget `{name}`: {amount} is more than an account can hold ({MAX_AMOUNT})")]
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
}

#[cfg(test)]
mod tests;
