//! The generation that decides, the ones before it, and the one step in which another takes over.
//!
//! A decision loads the running generation once and ends on it. What no longer runs is freed by whoever reloads, once
//! the last decision on it has ended: never on the thread of a decision, where taking down instances would be a stall.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};

use crate::candidate::{Ending, Trial};
use crate::cause::Cause;
use crate::event::{Event, Listener, tell};
use crate::generation::Generation;

pub(crate) struct Live {
    running: ArcSwap<Generation>,
    kept: Mutex<Kept>,
    trial: ArcSwapOption<Trial>,
    /// One decision of so many is compared; 0 without a candidate. What a decision looks at first.
    compare_every: AtomicU32,
    pub(crate) listener: Option<Listener>,
}

/// What does not run.
#[derive(Default)]
struct Kept {
    /// What ran before, the latest last.
    earlier: VecDeque<Arc<Generation>>,
    /// What nobody can go back to, and decisions may still be on.
    leaving: Vec<Arc<Generation>>,
    /// Why the running one runs; its own cause where nobody went back to it.
    cause: Option<Cause>,
}

/// Something else took over meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superseded;

/// How long the one who reloads waits for decisions under way; one that takes longer is waited for at the next reload.
const PATIENCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_micros(200);

const ANOTHER_SERVES: &str = "another generation serves than the one it was compared with";

impl Live {
    pub(crate) fn new(generation: Generation, listener: Option<Listener>) -> Self {
        Self {
            running: ArcSwap::from_pointee(generation),
            kept: Mutex::default(),
            trial: ArcSwapOption::empty(),
            compare_every: AtomicU32::new(0),
            listener,
        }
    }

    /// The generation that decides.
    #[inline]
    pub(crate) fn running(&self) -> Guard<Arc<Generation>> {
        self.running.load()
    }

    pub(crate) fn running_in_full(&self) -> Arc<Generation> {
        self.running.load_full()
    }

    /// From now on `next` decides, unless something else took over from `before` since it was loaded.
    pub(crate) fn install(
        &self,
        next: Arc<Generation>,
        before: &Arc<Generation>,
        cause: Cause,
    ) -> Result<(), Superseded> {
        let keep = usize::from(next.configuration().reload.keep);
        next.warm_like(before);
        let mut kept = self.kept();
        if !Arc::ptr_eq(&self.running.load(), before) {
            return Err(Superseded);
        }
        let generation = next.id;
        self.running.store(next);
        let trial = self.end_comparing();
        kept.cause = Some(cause.clone());
        kept.earlier.push_back(Arc::clone(before));
        while kept.earlier.len() > keep {
            let oldest = kept.earlier.pop_front();
            kept.leaving.extend(oldest);
        }
        drop(kept);
        self.tell_discarded(trial.filter(|trial| trial.generation.id != generation), ANOTHER_SERVES);
        self.tell(|| Event::GenerationServes { generation, before: before.id, cause });
        Ok(())
    }

    /// The generation before the running one, or that of a number, decides again; those after it are given up. The
    /// number of the one that decides now; nothing where there is none to go back to.
    pub(crate) fn go_back(&self, to: Option<u64>, cause: Cause) -> Option<u64> {
        let mut kept = self.kept();
        let place = match to {
            None => kept.earlier.len().checked_sub(1)?,
            Some(id) => kept.earlier.iter().position(|earlier| earlier.id == id)?,
        };
        let given_up = kept.earlier.split_off(place.saturating_add(1));
        kept.leaving.extend(given_up);
        let next = kept.earlier.pop_back()?;
        next.warm_like(&self.running.load());
        let generation = next.id;
        let before = self.running.swap(next);
        let before_id = before.id;
        kept.leaving.push(before);
        kept.cause = Some(cause.clone());
        let trial = self.end_comparing();
        drop(kept);
        self.tell_discarded(trial, ANOTHER_SERVES);
        self.tell(|| Event::GenerationServes { generation, before: before_id, cause });
        Some(generation)
    }

    /// A candidate is under way.
    #[inline]
    pub(crate) fn is_comparing(&self) -> bool {
        self.compare_every() != 0
    }

    #[inline]
    pub(crate) fn compare_every(&self) -> u32 {
        self.compare_every.load(Ordering::Relaxed)
    }

    pub(crate) fn trial(&self) -> Option<Arc<Trial>> {
        self.trial.load_full()
    }

    /// From now on this candidate is compared, unless something else took over from `before` since it was loaded.
    pub(crate) fn begin_trial(&self, trial: Arc<Trial>, before: &Arc<Generation>) -> Result<(), Superseded> {
        let kept = self.kept();
        if !Arc::ptr_eq(&self.running.load(), before) {
            return Err(Superseded);
        }
        let (every, generation) = (trial.rules.every, trial.generation.id);
        let earlier = self.end_comparing();
        self.trial.store(Some(trial));
        self.compare_every.store(every, Ordering::Relaxed);
        drop(kept);
        self.tell_discarded(earlier, "another candidate takes its place");
        self.tell(|| Event::CandidateBegins { generation, beside: before.id });
        Ok(())
    }

    /// Lets a candidate decide, if it is the one under way.
    pub(crate) fn promote(&self, trial: &Arc<Trial>, by: &str) -> Result<u64, Superseded> {
        let before = self.running.load_full();
        if !self.is_under_way(trial) {
            return Err(Superseded);
        }
        self.install(Arc::clone(&trial.generation), &before, Cause::Promotion(by.to_owned()))?;
        Ok(trial.generation.id)
    }

    /// Gives a candidate up, if it is the one under way.
    pub(crate) fn discard(&self, trial: &Arc<Trial>, reason: &str) {
        let kept = self.kept();
        let ended = self.is_under_way(trial).then(|| self.end_comparing()).flatten();
        drop(kept);
        self.tell_discarded(ended, reason);
    }

    /// What the candidate's own rules say.
    pub(crate) fn end_trial(&self, trial: &Arc<Trial>, ending: Ending) {
        match ending {
            // Something else took over: it is no longer under way.
            Ending::Promote => _ = self.promote(trial, "its agreement (`candidate.promote_after`)"),
            Ending::Discard => self.discard(trial, "its evaluations failed (`candidate.discard_after_failures`)"),
        }
        self.sweep();
    }

    fn is_under_way(&self, trial: &Arc<Trial>) -> bool {
        self.trial.load().as_ref().is_some_and(|under_way| Arc::ptr_eq(under_way, trial))
    }

    fn end_comparing(&self) -> Option<Arc<Trial>> {
        self.compare_every.store(0, Ordering::Relaxed);
        self.trial.swap(None)
    }

    fn tell_discarded(&self, trial: Option<Arc<Trial>>, reason: &str) {
        if let Some(trial) = trial {
            self.tell(|| Event::CandidateDiscarded { generation: trial.generation.id, reason: reason.to_owned() });
        }
    }

    /// Frees what no decision is on any more: generations that nobody can go back to, and the instances of the others.
    pub(crate) fn sweep(&self) {
        let pauses = PATIENCE.as_micros() / PAUSE.as_micros();
        for _ in 0..pauses {
            if self.sweep_once() {
                return;
            }
            thread::park_timeout(PAUSE);
        }
    }

    /// Whether nothing is left to free.
    fn sweep_once(&self) -> bool {
        let mut kept = self.kept();
        let (gone, leaving): (Vec<_>, Vec<_>) =
            kept.leaving.drain(..).partition(|generation| Arc::strong_count(generation) == 1);
        kept.leaving = leaving;
        let (resting, busy): (Vec<_>, Vec<_>) =
            kept.earlier.iter().cloned().partition(|generation| Arc::strong_count(generation) == 2);
        let done = kept.leaving.is_empty() && busy.is_empty();
        drop(kept);
        // Outside of the lock: taking down what a generation has may take a while.
        drop(gone);
        resting.iter().for_each(|generation| generation.rest());
        done
    }

    /// The running generation with why it runs, and the earlier ones, the latest first.
    pub(crate) fn generations(&self) -> (Arc<Generation>, Cause, Vec<Arc<Generation>>) {
        let kept = self.kept();
        let running = self.running.load_full();
        let cause = kept.cause.clone().unwrap_or_else(|| running.cause.clone());
        (running, cause, kept.earlier.iter().rev().cloned().collect())
    }

    /// The running generation or an earlier one, by its number.
    pub(crate) fn kept_generation(&self, id: u64) -> Option<Arc<Generation>> {
        let running = self.running.load();
        if running.id == id {
            return Some(Arc::clone(&running));
        }
        let kept = self.kept();
        kept.earlier.iter().chain(&kept.leaving).find(|earlier| earlier.id == id).cloned()
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        tell(self.listener.as_ref(), event);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whoever panicked with it left it whole: each change is a few moves.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
