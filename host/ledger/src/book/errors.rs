//! Why the book did not do something; one enum for each operation.

use std::sync::Arc;

use tollgate_core::{BudgetProblem, MAX_AMOUNT, Nanodollars};

use super::account::Standing;
use super::resolved::Resolution;

/// The account that bound: a reservation did not fit below its ceiling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Budget and names.
    pub account: Arc<str>,
    /// The budget.
    pub budget: Arc<str>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// What was asked for.
    pub amount: Nanodollars,
    /// How the account stands; its ceiling includes the approvals in force.
    pub standing: Standing,
}

impl Refusal {
    /// Only reservations stand in the way: what was spent leaves room for the amount. The dispatch should wait a little and
    /// try again before it is refused, since worst cases mostly turn out smaller.
    #[must_use]
    pub fn is_brief(&self) -> bool {
        self.standing.spent.checked_add(self.amount).is_some_and(|sum| sum <= self.standing.hard)
    }
}

/// Why nothing was reserved, or not more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// It would pass a ceiling.
    #[error("`{}` has {} left of {}, and this needs {}", .0.account, .0.standing.headroom(), .0.standing.hard, .0.amount)]
    Refused(Box<Refusal>),
    /// The budgets have changed since the path was made.
    #[error("the budgets have changed: make the path anew")]
    StalePath,
    /// Another reservation has this id.
    #[error("another reservation has this id")]
    Conflict,
    /// It has ended.
    #[error("this reservation has ended: {0}")]
    Ended(Resolution),
    /// There is none to extend.
    #[error("there is no such reservation")]
    Unknown,
    /// An account lies in storage.
    #[error("account `{label}` is not in memory")]
    NotResident {
        /// The first that is not.
        label: Arc<str>,
    },
    /// More than an account can hold.
    #[error("{amount} is more than an account can hold ({MAX_AMOUNT})")]
    TooLarge {
        /// What was asked for.
        amount: Nanodollars,
    },
}

/// Why a reservation was not resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// It was resolved otherwise before.
    #[error("this reservation was resolved before: {was}")]
    Double {
        /// How.
        was: Resolution,
    },
    /// The book does not know it.
    #[error("there is no such reservation")]
    Unknown,
    /// It was sent, so it may cost something.
    #[error("this dispatch was sent: post what it cost")]
    WasSent,
    /// It is open: post it.
    #[error("this reservation is open: post it instead of correcting it")]
    Open,
    /// An account lies in storage.
    #[error("account `{label}` is not in memory")]
    NotResident {
        /// The first that is not.
        label: Arc<str>,
    },
    /// More than an account can hold.
    #[error("{amount} is more than an account can hold ({MAX_AMOUNT})")]
    TooLarge {
        /// The cost.
        amount: Nanodollars,
    },
}

/// Why a limit was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No such budget.
    #[error("there is no budget `{name}`")]
    Unknown {
        /// Its name.
        name: Arc<str>,
    },
    /// The new limit and ceiling do not fit each other.
    #[error(transparent)]
    Budget(#[from] BudgetProblem),
}

/// Why an account was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The book has it.
    #[error("account `{label}` is in memory already")]
    Resident {
        /// Which.
        label: Arc<str>,
    },
    /// The book does not have it.
    #[error("account `{label}` is not in memory")]
    NotResident {
        /// Which.
        label: Arc<str>,
    },
}
