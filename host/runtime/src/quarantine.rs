//! Whether a policy is asked at all. One that fails too often is left alone for a while, and comes back by itself.
//!
//! One dispatch that was made to crash a policy must not shut the door for everybody: failures count together only when
//! they come from several keys and are more than a share of the evaluations. What a policy that serves costs here is one
//! relaxed load; everything else happens only once something has failed. Time is the dispatch's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use tollgate_core::config::QuarantineRules;
use tollgate_core::{Dispatch, Reference, ScopeKind};

/// A policy's evaluations, its failures, and whether it is left alone. It belongs to one version of a policy, whichever
/// generations that version is part of, so a reload does not let it out.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// When it comes back, in milliseconds since the Unix epoch; 0 while it serves.
    until_ms: AtomicU64,
    /// On a line of its own: it is written by every thread, and what is beside it is read in every decision.
    evaluations: CachePadded<AtomicU64>,
    failures: AtomicU64,
    record: Mutex<Record>,
}

/// What is looked at when something has failed.
#[derive(Debug, Default)]
struct Record {
    window_ms: u64,
    /// Evaluations when the window began.
    evaluations: u64,
    failures: u64,
    keys: Vec<Option<Reference>>,
    /// Quarantines in a row.
    times: u32,
    back_off_ms: u64,
    returned_ms: u64,
    cause: Option<QuarantineCause>,
}

/// Why a policy is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuarantineCause {
    /// It failed on dispatches of several keys, and too often.
    Failures {
        /// How many evaluations of the window failed.
        failed: u64,
        /// Of how many.
        evaluations: u64,
    },
    /// A fresh instance said something else about the same dispatch.
    Impure,
}

/// A policy that is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Quarantine {
    /// Why.
    pub cause: QuarantineCause,
    /// When it comes back, in milliseconds since the Unix epoch, by the dispatches' time.
    pub until_ms: u64,
    /// How many times in a row it was left alone, this one included.
    pub times: u32,
}

/// What became of a policy so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Service {
    /// How many times it was asked; each thread tells of its own after every 32.
    pub evaluations: u64,
    /// How many of those failed.
    pub failures: u64,
    /// Whether it is left alone.
    pub quarantine: Option<Quarantine>,
}

impl Watch {
    /// Whether it is asked.
    #[inline]
    pub(crate) fn serves(&self) -> bool {
        self.until_ms.load(Ordering::Relaxed) == 0
    }

    /// So many evaluations more.
    pub(crate) fn evaluated(&self, evaluations: u32) {
        self.evaluations.fetch_add(u64::from(evaluations), Ordering::Relaxed);
    }

    /// Lets it serve again when its time has come. Of several threads one is told so.
    pub(crate) fn returns(&self, now_ms: u64) -> bool {
        let until_ms = self.until_ms.load(Ordering::Relaxed);
        if until_ms == 0 || now_ms < until_ms {
            return false;
        }
        let mut record = self.record();
        // Exchanged under the lock: a quarantine that begins meanwhile is not ended by this.
        if self.until_ms.compare_exchange(until_ms, 0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        record.returned_ms = now_ms;
        record.begin_window(now_ms, self.evaluations.load(Ordering::Relaxed));
        true
    }

    /// It failed on a dispatch. The quarantine, where that makes one.
    pub(crate) fn failed(&self, rules: &QuarantineRules, dispatch: &Dispatch) -> Option<Quarantine> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let now_ms = dispatch.now_ms;
        let mut record = self.record();
        let evaluations = self.evaluations.load(Ordering::Relaxed);
        if now_ms.saturating_sub(record.window_ms) >= rules.window.as_u64() {
            record.begin_window(now_ms, evaluations);
        }
        record.failures = record.failures.saturating_add(1);
        let (key, enough) = (key(dispatch), usize::from(rules.keys));
        if record.keys.len() < enough && !record.keys.contains(&key) {
            record.keys.push(key);
        }
        let failed = record.failures;
        let evaluations = evaluations.saturating_sub(record.evaluations).max(failed);
        let share = failed.saturating_mul(1_000) > evaluations.saturating_mul(u64::from(rules.share_permille));
        if record.keys.len() < enough || !share || !self.serves() {
            return None;
        }
        Some(self.shut(&mut record, rules, now_ms, QuarantineCause::Failures { failed, evaluations }))
    }

    /// It was seen to be impure. The quarantine, unless it is in one.
    pub(crate) fn impure(&self, rules: &QuarantineRules, now_ms: u64) -> Option<Quarantine> {
        let mut record = self.record();
        self.serves().then(|| self.shut(&mut record, rules, now_ms, QuarantineCause::Impure))
    }

    fn shut(&self, record: &mut Record, rules: &QuarantineRules, now_ms: u64, cause: QuarantineCause) -> Quarantine {
        let good_for_ms = now_ms.saturating_sub(record.returned_ms);
        let recovered = record.times > 0 && good_for_ms >= record.back_off_ms;
        record.times = if recovered { 1 } else { record.times.saturating_add(1) };
        record.back_off_ms = rules.back_off_ms(record.times);
        record.cause = Some(cause);
        let until_ms = now_ms.saturating_add(record.back_off_ms).max(1);
        self.until_ms.store(until_ms, Ordering::Relaxed);
        Quarantine { cause, until_ms, times: record.times }
    }

    pub(crate) fn service(&self) -> Service {
        let record = self.record();
        let until_ms = self.until_ms.load(Ordering::Relaxed);
        let cause = record.cause.filter(|_| until_ms > 0);
        Service {
            evaluations: self.evaluations.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            quarantine: cause.map(|cause| Quarantine { cause, until_ms, times: record.times }),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // What it counts is right after every statement.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn begin_window(&mut self, now_ms: u64, evaluations: u64) {
        (self.window_ms, self.evaluations, self.failures) = (now_ms, evaluations, 0);
        self.keys.clear();
    }
}

/// Who a dispatch is from: its key, or the nearest thing to one. A caller can name any run or task it likes, but not
/// another's key.
fn key(dispatch: &Dispatch) -> Option<Reference> {
    let scope = |kind| dispatch.scopes.of(kind);
    scope(ScopeKind::Key).or(scope(ScopeKind::User)).or(scope(ScopeKind::Run)).or(dispatch.task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::Milliseconds;

    fn rules() -> QuarantineRules {
        QuarantineRules { keys: 2, share_permille: 100, window: Milliseconds::new(1_000), ..QuarantineRules::default() }
    }

    fn from(key: &str, now_ms: u64) -> Dispatch {
        let mut dispatch = Dispatch { now_ms, ..Dispatch::default() };
        dispatch.scopes.set(ScopeKind::Key, Reference::of(key));
        dispatch.scopes.set(ScopeKind::Run, Reference::of(&now_ms.to_string()));
        dispatch
    }

    #[test]
    fn one_key_shuts_nothing_however_often_it_fails() {
        let watch = Watch::default();
        for now_ms in 0..900 {
            watch.evaluated(1);
            assert_eq!(watch.failed(&rules(), &from("one", now_ms)), None);
        }
        assert!(watch.serves());
        assert!(watch.failed(&rules(), &from("other", 901)).is_some());
        assert!(!watch.serves());
    }

    #[test]
    fn failures_that_are_rare_or_far_apart_shut_nothing() {
        let watch = Watch::default();
        watch.evaluated(100);
        for (key, now_ms) in [("one", 1), ("two", 2), ("one", 1_002), ("two", 2_003)] {
            assert_eq!(watch.failed(&rules(), &from(key, now_ms)), None, "{key} at {now_ms}");
            watch.evaluated(30);
        }
        assert_eq!(watch.service().failures, 4);
    }

    #[test]
    fn it_comes_back_once_and_stays_away_longer_each_time_until_it_was_good() {
        let watch = Watch::default();
        let shut = |now_ms| {
            watch.evaluated(2);
            assert_eq!(watch.failed(&rules(), &from("one", now_ms)), None);
            watch.failed(&rules(), &from("two", now_ms)).expect("two keys, all failed")
        };
        let first = shut(1_000);
        assert_eq!((first.until_ms, first.times), (31_000, 1));
        assert_eq!(watch.service().quarantine, Some(first));
        assert!(!watch.returns(30_999));
        assert!(watch.returns(31_000));
        assert!(!watch.returns(31_000), "only one is told");
        let second = shut(31_500);
        assert_eq!((second.until_ms, second.times), (91_500, 2));
        assert!(watch.returns(91_500));
        let third = shut(91_500 + 60_000);
        assert_eq!((third.until_ms, third.times), (181_500, 1), "it was good for as long as it was away");
    }

    #[test]
    fn an_impure_policy_is_shut_at_once() {
        let watch = Watch::default();
        let quarantine = watch.impure(&rules(), 10).expect("it served");
        assert_eq!(quarantine.cause, QuarantineCause::Impure);
        assert_eq!(watch.impure(&rules(), 11), None);
    }
}
