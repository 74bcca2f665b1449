//! Runs of keys: how many new ones a key begins, and whose a run is.
//!
//! A run belongs to the scopes under which it was begun. Another key may go on with it if those are within its own: a second agent of
//! the same team, a verifier of the whole organisation. A key of another team may not, since a run's budget and its ceilings are
//! the run's.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tollgate_core::{Reference, Scope, ScopeKind};

use super::caller::{Caller, Key};
use super::file::MAX_KEYS;

/// Runs that are remembered; when there are more, those that are idle are forgotten.
const MAX_RUNS: usize = 100_000;
/// A run that is idle for so long may be forgotten where there is no room.
const IDLE_MS: u64 = 30 * 60 * 1_000;

/// Runs that keys have begun.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    runs: HashMap<Reference, Run>,
    /// When each key will have all its new runs back, in microseconds since the Unix epoch.
    refilled_us: HashMap<String, u64>,
}

#[derive(Debug)]
struct Run {
    scopes: Box<[Scope]>,
    last_ms: u64,
}

/// Why a run is not gone on with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the run `{run}` was begun under scopes that the key `{key}` does not have: name a run of its own")]
    Foreign { run: String, key: String },
    #[error("the key `{key}` has begun {limit} new runs in a minute: go on with one, or wait")]
    TooMany { key: String, limit: u32, retry_after_s: u64 },
}

impl Runs {
    /// A call of a run: one that it may go on with, or one more that its key may begin.
    pub(crate) fn call(&self, caller: &Caller, run: &str, scopes: &[Scope], now_ms: u64) -> Result<(), RunError> {
        let Caller::Holder(key) = caller else { return Ok(()) };
        let mut known = self.known();
        if let Some(known) = known.runs.get_mut(&Reference::of(run)) {
            known.last_ms = known.last_ms.max(now_ms);
            return known.belongs_to(key, run);
        }
        known.begin(key, now_ms)?;
        if known.runs.len() >= MAX_RUNS {
            known.runs.retain(|_, run| now_ms.saturating_sub(run.last_ms) <= IDLE_MS);
        }
        // One that has no room is a new run each time: its key is slowed, and nobody loses what is theirs.
        if known.runs.len() < MAX_RUNS {
            let scopes = scopes.iter().filter(|scope| !matches!(scope.kind, ScopeKind::Run | ScopeKind::Key));
            known.runs.insert(Reference::of(run), Run { scopes: scopes.cloned().collect(), last_ms: now_ms });
        }
        Ok(())
    }

    /// Whether a caller may say what became of a run; of one that nobody has begun, anyone may.
    pub(crate) fn outcome(&self, caller: &Caller, run: &str) -> Result<(), RunError> {
        let Caller::Holder(key) = caller else { return Ok(()) };
        self.known().runs.get(&Reference::of(run)).map_or(Ok(()), |known| known.belongs_to(key, run))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn belongs_to(&self, key: &Key, run: &str) -> Result<(), RunError> {
        let name = |kind| self.scopes.iter().find(|scope| scope.kind == kind).map(|scope| &*scope.name);
        if ScopeKind::ALL.into_iter().all(|kind| key.reaches(kind, name(kind))) {
            return Ok(());
        }
        Err(RunError::Foreign { run: run.to_owned(), key: key.name.clone() })
    }
}

impl Known {
    /// A bucket that holds a minute's runs and is refilled evenly.
    fn begin(&mut self, key: &Key, now_ms: u64) -> Result<(), RunError> {
        const MINUTE_US: u64 = 60_000_000;
        let limit = key.new_runs_per_minute.max(1);
        let (now_us, each_us) = (now_ms.saturating_mul(1_000), MINUTE_US / u64::from(limit));
        if self.refilled_us.len() >= MAX_KEYS && !self.refilled_us.contains_key(&key.name) {
            self.refilled_us.retain(|_, refilled| *refilled > now_us);
        }
        let refilled = self.refilled_us.entry(key.name.clone()).or_insert(now_us);
        let next = (*refilled).max(now_us).saturating_add(each_us);
        let over_us = next.saturating_sub(now_us).saturating_sub(MINUTE_US);
        if over_us > 0 {
            let retry_after_s = over_us.div_ceil(1_000_000);
            return Err(RunError::TooMany { key: key.name.clone(), limit, retry_after_s });
        }
        *refilled = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::tests::holder;
    use super::*;

    fn red() -> Vec<Scope> {
        vec![Scope::new(ScopeKind::Team, "red"), Scope::new(ScopeKind::Project, "shop")]
    }

    #[test]
    fn a_run_belongs_to_the_scopes_that_began_it() {
        let runs = Runs::default();
        runs.call(&holder(&["team=red"], &[]), "r", &red(), 0).unwrap();
        for (scopes, may) in [
            (&["team=red"][..], true),
            (&["team=red", "project=shop"], true),
            (&[], true),
            (&["team=blue"], false),
            (&["project=other"], false),
            (&["user=ada"], false),
        ] {
            let caller = holder(scopes, &[]);
            assert_eq!(runs.call(&caller, "r", &[], 1).is_ok(), may, "{scopes:?}");
            assert_eq!(runs.outcome(&caller, "r").is_ok(), may, "{scopes:?}");
            assert!(runs.outcome(&caller, "unknown").is_ok());
        }
    }

    #[test]
    fn new_runs_are_limited_and_old_ones_go_on() {
        let (runs, caller) = (Runs::default(), holder(&["team=red"], &[]));
        let call = |run: &str, now_ms| runs.call(&caller, run, &red(), now_ms);
        assert_eq!((call("a", 0), call("b", 0)), (Ok(()), Ok(())));
        let refused = RunError::TooMany { key: "ci".to_owned(), limit: 2, retry_after_s: 30 };
        assert_eq!(call("c", 0), Err(refused));
        assert_eq!(call("a", 0), Ok(()), "what has begun goes on");
        assert!(call("c", 29_999).is_err());
        assert_eq!(call("c", 30_000), Ok(()));
        assert!(call("d", 30_000).is_err());
        let anyone = Caller::Anyone("x".to_owned());
        assert!((0..100).all(|number| runs.call(&anyone, &number.to_string(), &[], 0).is_ok()));
    }

    #[test]
    fn the_table_is_bounded() {
        let runs = Runs::default();
        let scopes: Vec<Scope> = Vec::new();
        for number in 0..=MAX_RUNS as u64 {
            let _ = runs.call(&holder(&[], &[]), &number.to_string(), &scopes, number * 30_000 % IDLE_MS);
            runs.known().refilled_us.clear();
        }
        assert_eq!(runs.known().runs.len(), MAX_RUNS);
        runs.call(&holder(&[], &[]), "late", &scopes, 3 * IDLE_MS).unwrap();
        assert_eq!(runs.known().runs.len(), 1);
    }
}
