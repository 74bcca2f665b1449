//! Approvals: for a run or a work item, a ceiling is higher by an amount until a time.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_core::Nanodollars;

/// A bounded raise of ceilings, with who gave it and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Unique: given twice, it counts once.
    pub id: u128,
    /// For whom: `run=…` or `work-item=…`.
    pub beneficiary: Arc<str>,
    /// Only this budget's ceiling; all of them where none is named.
    pub budget: Option<Arc<str>>,
    /// By how much the ceiling is raised for its dispatches.
    pub amount: Nanodollars,
    /// Until when, exclusive.
    pub until_ms: u64,
    /// Who gave it.
    pub author: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

/// The most raises in force for one beneficiary.
pub const MAX_RAISES: usize = 16;

/// Why an approval was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    /// An approval is bounded in time.
    #[error("the approval ends before it begins: give a later time")]
    Over,
    /// An approval has a name to it.
    #[error("an approval needs an author and a reason")]
    Anonymous,
    /// The same id with other contents.
    #[error("another approval has this id")]
    Conflict,
    /// Too many at once.
    #[error("{MAX_RAISES} approvals are in force for this run or work item: let one end")]
    TooMany,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Raises {
    by_beneficiary: HashMap<Arc<str>, Vec<Raise>>,
}

impl Raises {
    /// Takes a raise in; whether it is new.
    pub(super) fn give(&mut self, raise: Raise, now_ms: u64) -> Result<bool, RaiseError> {
        if raise.until_ms <= now_ms {
            return Err(RaiseError::Over);
        }
        if raise.author.is_empty() || raise.reason.is_empty() {
            return Err(RaiseError::Anonymous);
        }
        let given = self.by_beneficiary.entry(Arc::clone(&raise.beneficiary)).or_default();
        if let Some(known) = given.iter().find(|known| known.id == raise.id) {
            return if *known == raise { Ok(false) } else { Err(RaiseError::Conflict) };
        }
        given.retain(|known| known.until_ms > now_ms);
        if given.len() >= MAX_RAISES {
            return Err(RaiseError::TooMany);
        }
        given.push(raise);
        Ok(true)
    }

    /// By how much the ceiling of a budget is raised now for a dispatch of these.
    pub(crate) fn of(&self, beneficiaries: &[Arc<str>], budget: &str, now_ms: u64) -> Nanodollars {
        let given = beneficiaries.iter().filter_map(|beneficiary| self.by_beneficiary.get(beneficiary)).flatten();
        let counts =
            |raise: &&Raise| raise.until_ms > now_ms && raise.budget.as_deref().is_none_or(|only| only == budget);
        given.filter(counts).fold(Nanodollars::ZERO, |sum, raise| sum.saturating_add(raise.amount))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_beneficiary.is_empty()
    }

    /// Whether somebody approved something for one of these, and it has not ended.
    pub(crate) fn any(&self, beneficiaries: &[Arc<str>], now_ms: u64) -> bool {
        let given = beneficiaries.iter().filter_map(|beneficiary| self.by_beneficiary.get(beneficiary)).flatten();
        given.into_iter().any(|raise| raise.until_ms > now_ms)
    }
}
