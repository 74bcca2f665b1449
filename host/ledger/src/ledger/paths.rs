//! The paths that were asked for last: an agent asks for the same one at each of its calls, and making one costs hashes and names.

use foldhash::quality::RandomState;
use tollgate_core::{Dimension, ScopeKind};

use crate::book::{BudgetError, Budgets, Path};

/// Paths that are kept; when there are more, all are made anew. Each takes about a kilobyte.
const MAX_PATHS: usize = 8_192;

/// Paths by the names that they were made from.
#[derive(Debug, Default)]
pub(super) struct Paths(papaya::HashMap<Vec<u8>, Path, RandomState>);

impl Paths {
    /// The path of these names by these budgets: the one that is known, or a new one.
    pub(super) fn of(
        &self,
        budgets: &Budgets,
        names: &[(Dimension, &str)],
        task: Option<&str>,
    ) -> Result<Path, BudgetError> {
        let key = key(names, task);
        let known = self.0.pin();
        if let Some(path) = known.get(&key).filter(|path| path.version() == budgets.version()) {
            return Ok(path.clone());
        }
        let path = budgets.path_of_task(names, task)?;
        if known.len() >= MAX_PATHS {
            known.clear();
        }
        known.insert(key, path.clone());
        Ok(path)
    }
}

/// Every part goes in with its length, so that no two lists of names are the same bytes.
fn key(names: &[(Dimension, &str)], task: Option<&str>) -> Vec<u8> {
    let mut key = Vec::with_capacity(256);
    let mut part = |kind: u8, name: &str| {
        key.push(kind);
        key.extend_from_slice(&name.len().to_le_bytes());
        key.extend_from_slice(name.as_bytes());
    };
    for (dimension, name) in names {
        let kind = match dimension {
            Dimension::Scope(ScopeKind::Organisation) => 0,
            Dimension::Scope(ScopeKind::Team) => 1,
            Dimension::Scope(ScopeKind::Project) => 2,
            Dimension::Scope(ScopeKind::WorkItem) => 3,
            Dimension::Scope(ScopeKind::Run) => 4,
            Dimension::Scope(ScopeKind::User) => 5,
            Dimension::Scope(ScopeKind::Key) => 6,
            Dimension::TaskType => 7,
            Dimension::Model => 8,
        };
        part(kind, name);
    }
    if let Some(task) = task {
        part(u8::MAX, task);
    }
    key
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Budget, Nanodollars};

    use super::*;

    const RUN: Dimension = Dimension::Scope(ScopeKind::Run);

    fn budgets() -> Budgets {
        Budgets::new(vec![Budget::each(ScopeKind::Run, Nanodollars::new(1))]).unwrap()
    }

    #[test]
    fn the_same_names_are_the_same_path_until_the_budgets_change() {
        let (paths, budgets) = (Paths::default(), budgets());
        let of = |budgets: &Budgets, run, task| paths.of(budgets, &[(RUN, run)], task).unwrap();
        let first = of(&budgets, "7", Some("t"));
        assert!(std::ptr::eq(first.accounts(), of(&budgets, "7", Some("t")).accounts()));
        for (run, task) in [("7", None), ("7", Some("u")), ("8", Some("t"))] {
            assert!(!std::ptr::eq(first.accounts(), of(&budgets, run, task).accounts()));
        }
        let later = budgets.clone().after(&budgets);
        assert_eq!(of(&later, "7", Some("t")).version(), later.version());
    }

    #[test]
    fn names_cannot_be_chosen_to_fall_together() {
        let team = Dimension::Scope(ScopeKind::Team);
        assert_ne!(key(&[(RUN, "ab")], Some("c")), key(&[(RUN, "a")], Some("bc")));
        assert_ne!(key(&[(RUN, "a")], None), key(&[(team, "a")], None));
        assert_ne!(key(&[(RUN, "a")], Some("b")), key(&[(RUN, "a"), (RUN, "b")], None));
    }

    #[test]
    fn they_are_bounded() {
        let (paths, budgets) = (Paths::default(), budgets());
        for run in 0..=MAX_PATHS {
            paths.of(&budgets, &[(RUN, &run.to_string())], None).unwrap();
        }
        assert_eq!(paths.0.len(), 1);
    }
}
