//! Approvals: for a run, a task or a work item, ceilings are higher by an amount until a time, or until they are taken back.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tollgate_core::Nanodollars;

/// For whom something is approved. As text it is what [`Raise::beneficiary`] holds.
///
/// ```
/// use tollgate_ledger::book::Beneficiary;
/// assert_eq!(Beneficiary::Task { run: "night-7", task: "5463" }.to_string(), "task=night-7/5463");
/// assert_eq!(Beneficiary::WorkItem("GH-12").to_string(), "work-item=GH-12");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beneficiary<'a> {
    /// All that a run does.
    Run(&'a str),
    /// One task; its name is its run's own.
    Task {
        /// The run.
        run: &'a str,
        /// The task in it.
        task: &'a str,
    },
    /// All runs that work on a work item.
    WorkItem(&'a str),
}

impl fmt::Display for Beneficiary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "run={run}"),
            Self::Task { run, task } => write!(f, "task={run}/{task}"),
            Self::WorkItem(item) => write!(f, "work-item={item}"),
        }
    }
}

/// A bounded raise of ceilings, with who gave it and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Unique: given twice, it counts once.
    pub id: u128,
    /// For whom: a [`Beneficiary`] as text.
    pub beneficiary: Arc<str>,
    /// Only this budget's ceiling; all of them where none is named.
    pub budget: Option<Arc<str>>,
    /// By how much the ceiling is raised for its dispatches; zero where only a policy wants to know.
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
/// The most raises that have not ended, of all beneficiaries together; readers are shown copies of all of them.
pub const MAX_ALL_RAISES: usize = 1_000;

/// Why an approval was not taken, or not taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    /// An approval is bounded in time.
    #[error("the approval ends before it begins: give a later time")]
    Over,
    /// An approval has a name to it, and so has its end.
    #[error("an approval needs an author and a reason")]
    Anonymous,
    /// It has to be for somebody.
    #[error("`{0}` is nobody an approval can be for: use `run=…`, `task=<run>/<task>` or `work-item=…`")]
    Nobody(Arc<str>),
    /// The same id with other contents.
    #[error("another approval has this id")]
    Conflict,
    /// It was taken back: the same id is not given again.
    #[error("this approval was taken back: give another one")]
    Revoked,
    /// None of that id has not ended.
    #[error("there is no such approval in force")]
    Unknown,
    /// Too many at once, for one or for all.
    #[error("{most} approvals are in force{whose}: let one end, or revoke one")]
    TooMany {
        /// How many there may be.
        most: usize,
        /// Of this one, or of all.
        whose: &'static str,
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Raises {
    by_beneficiary: HashMap<Arc<str>, Vec<Given>>,
}

#[derive(Clone, Debug)]
struct Given {
    raise: Raise,
    /// It is kept until it would have ended, so that nobody gives it again.
    revoked: bool,
}

impl Given {
    fn counts(&self, now_ms: u64) -> bool {
        !self.revoked && self.raise.until_ms > now_ms
    }
}

impl Raises {
    /// Takes a raise in; whether it is new.
    pub(super) fn give(&mut self, raise: Raise, now_ms: u64) -> Result<bool, RaiseError> {
        check(&raise, now_ms)?;
        let known = self.by_beneficiary.values().flatten().find(|known| known.raise.id == raise.id);
        match known {
            Some(known) if known.raise != raise => return Err(RaiseError::Conflict),
            Some(known) if known.revoked => return Err(RaiseError::Revoked),
            Some(_) => return Ok(false),
            None => {}
        }
        self.by_beneficiary.retain(|_, given| {
            given.retain(|known| known.raise.until_ms > now_ms);
            !given.is_empty()
        });
        if self.by_beneficiary.values().map(Vec::len).sum::<usize>() >= MAX_ALL_RAISES {
            return Err(RaiseError::TooMany { most: MAX_ALL_RAISES, whose: "" });
        }
        let given = self.by_beneficiary.entry(Arc::clone(&raise.beneficiary)).or_default();
        if given.len() >= MAX_RAISES {
            return Err(RaiseError::TooMany { most: MAX_RAISES, whose: " for this run, task or work item" });
        }
        given.push(Given { raise, revoked: false });
        Ok(true)
    }

    /// Takes one back; whether that is news.
    pub(super) fn revoke(&mut self, id: u128, now_ms: u64) -> Result<bool, RaiseError> {
        let mut given = self.by_beneficiary.values_mut().flatten();
        let known = given.find(|known| known.raise.id == id && known.raise.until_ms > now_ms);
        let known = known.ok_or(RaiseError::Unknown)?;
        Ok(!std::mem::replace(&mut known.revoked, true))
    }

    /// By how much the ceiling of a budget is raised now for a dispatch of these.
    pub(crate) fn of(&self, beneficiaries: &[Arc<str>], budget: &str, now_ms: u64) -> Nanodollars {
        let counts =
            |given: &&Given| given.counts(now_ms) && given.raise.budget.as_deref().is_none_or(|only| only == budget);
        let given = self.given(beneficiaries).filter(counts);
        given.fold(Nanodollars::ZERO, |sum, given| sum.saturating_add(given.raise.amount))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_beneficiary.is_empty()
    }

    /// Whether somebody approved something for one of these, and it has not ended.
    pub(crate) fn any(&self, beneficiaries: &[Arc<str>], now_ms: u64) -> bool {
        self.given(beneficiaries).any(|given| given.counts(now_ms))
    }

    /// Those in force, the first to end first.
    pub(crate) fn in_force(&self, now_ms: u64) -> Vec<Raise> {
        let given = self.by_beneficiary.values().flatten().filter(|given| given.counts(now_ms));
        let mut raises: Vec<Raise> = given.map(|given| given.raise.clone()).collect();
        raises.sort_by_key(|raise| (raise.until_ms, raise.id));
        raises
    }

    fn given(&self, beneficiaries: &[Arc<str>]) -> impl Iterator<Item = &Given> {
        beneficiaries.iter().filter_map(|beneficiary| self.by_beneficiary.get(beneficiary)).flatten()
    }
}

fn check(raise: &Raise, now_ms: u64) -> Result<(), RaiseError> {
    if raise.until_ms <= now_ms {
        return Err(RaiseError::Over);
    }
    if raise.author.is_empty() || raise.reason.is_empty() {
        return Err(RaiseError::Anonymous);
    }
    let named = match raise.beneficiary.split_once('=') {
        Some(("run" | "work-item", name)) => !name.is_empty(),
        Some(("task", name)) => name.split_once('/').is_some_and(|(run, task)| !run.is_empty() && !task.is_empty()),
        _ => false,
    };
    if named { Ok(()) } else { Err(RaiseError::Nobody(Arc::clone(&raise.beneficiary))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(id: u128, beneficiary: &str) -> Raise {
        Raise {
            id,
            beneficiary: beneficiary.into(),
            budget: None,
            amount: Nanodollars::new(5),
            until_ms: 100,
            author: "ada".into(),
            reason: "release day".into(),
        }
    }

    #[test]
    fn one_that_was_taken_back_counts_no_more_and_is_not_given_again() {
        let mut raises = Raises::default();
        let whom = [Arc::from("task=r/t")];
        assert_eq!(raises.give(raise(1, "task=r/t"), 0), Ok(true));
        assert_eq!(raises.of(&whom, "team", 99), Nanodollars::new(5));
        assert_eq!(raises.in_force(99), [raise(1, "task=r/t")]);
        assert_eq!((raises.revoke(1, 50), raises.revoke(1, 50)), (Ok(true), Ok(false)));
        assert_eq!((raises.of(&whom, "team", 50), raises.any(&whom, 50)), (Nanodollars::ZERO, false));
        assert_eq!(raises.give(raise(1, "task=r/t"), 50), Err(RaiseError::Revoked));
        assert_eq!((raises.revoke(2, 50), raises.revoke(1, 100)), (Err(RaiseError::Unknown), Err(RaiseError::Unknown)));
        assert!(raises.in_force(50).is_empty());
    }

    #[test]
    fn an_id_is_one_approval_whoever_it_is_for() {
        let mut raises = Raises::default();
        assert_eq!(raises.give(raise(1, "run=a"), 0), Ok(true));
        assert_eq!(raises.give(raise(1, "run=b"), 0), Err(RaiseError::Conflict));
    }

    #[test]
    fn both_bounds_hold_and_what_has_ended_makes_room() {
        let mut raises = Raises::default();
        for id in 0..MAX_RAISES as u128 {
            assert_eq!(raises.give(raise(id, "run=a"), 0), Ok(true));
        }
        let refused = raises.give(raise(99, "run=a"), 0).unwrap_err().to_string();
        assert_eq!(refused, "16 approvals are in force for this run, task or work item: let one end, or revoke one");
        for id in MAX_RAISES..MAX_ALL_RAISES {
            assert_eq!(raises.give(raise(id as u128, &format!("run={id}")), 0), Ok(true));
        }
        let full = RaiseError::TooMany { most: MAX_ALL_RAISES, whose: "" };
        assert_eq!(raises.give(raise(5_000, "run=z"), 0), Err(full));
        assert_eq!(raises.give(Raise { until_ms: 200, ..raise(5_000, "run=z") }, 100), Ok(true));
        assert_eq!(raises.by_beneficiary.len(), 1);
    }

    #[test]
    fn it_has_to_be_for_somebody() {
        for nobody in ["", "run=", "team=red", "task=5463", "task=/5463", "run"] {
            let refused = Raises::default().give(raise(1, nobody), 0);
            assert_eq!(refused, Err(RaiseError::Nobody(nobody.into())), "{nobody}");
        }
    }
}
