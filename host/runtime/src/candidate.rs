//! A candidate: another generation that makes the same decisions beside the one that runs, changes nothing, and is
//! counted. It runs on the observing thread, so it costs a decision the copy of its dispatch and no more.

mod report;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quanta::Clock;
use tollgate_core::config::CandidateRules;
use tollgate_core::{Decision, Outcome, Ruling, Symbols, TrailEntry, Verdict};

use crate::evaluate::decide_quietly;
use crate::generation::Generation;
use crate::observe::Sample;

use report::Tally;
pub use report::{CandidateReport, Difference, Figures, Said, SaidVerdict};

/// A candidate under way.
pub(crate) struct Trial {
    pub(crate) generation: Arc<Generation>,
    pub(crate) rules: CandidateRules,
    lost: AtomicU64,
    tally: Mutex<Tally>,
}

/// How a trial ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It agreed often enough for long enough.
    Promote,
    /// It failed too often.
    Discard,
}

impl Trial {
    pub(crate) fn new(generation: Arc<Generation>) -> Self {
        let rules = generation.configuration().candidate;
        Self { generation, rules, lost: AtomicU64::default(), tally: Mutex::default() }
    }

    /// One decision was not compared, since the queue was full.
    pub(crate) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets the candidate decide what was decided, and counts. What ends the trial, where something does.
    pub(crate) fn compare(&self, sample: &Sample, symbols: &Symbols, clock: &Clock) -> Option<Ending> {
        // What runs decides once more, so that both are timed on the same thread with the same caches.
        let again = decide(&sample.generation, sample, clock);
        let candidate = decide(&self.generation, sample, clock);
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.latencies(again.nanoseconds, candidate.nanoseconds);
        tally.failures(&sample.decision.trail, &candidate.trail);
        tally.costs(&sample.dispatch, &sample.decision.outcome, &candidate.outcome);
        if same(&sample.decision.outcome, &candidate.outcome) {
            tally.agree();
        } else {
            tally.differ(|| Difference {
                now_ms: sample.dispatch.now_ms,
                task_type: symbols.display(sample.dispatch.task_type).to_string(),
                live: Said::of(&sample.decision, &sample.generation, &sample.dispatch, symbols),
                candidate: Said::of(&candidate, &self.generation, &sample.dispatch, symbols),
            });
        }
        tally.ending(&self.rules)
    }

    pub(crate) fn report(&self) -> CandidateReport {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.report(&self.generation, self.lost.load(Ordering::Relaxed))
    }
}

/// Whether the same is done: to the same place with the same cap, the same wait, a hold, a refusal. For whatever reason.
fn same(live: &Outcome, candidate: &Outcome) -> bool {
    match (live, candidate) {
        (Outcome::Proceed(live), Outcome::Proceed(candidate)) => {
            (live.candidate(), live.output_cap()) == (candidate.candidate(), candidate.output_cap())
        }
        (Outcome::Slow { milliseconds: live, .. }, Outcome::Slow { milliseconds: candidate, .. }) => live == candidate,
        (Outcome::Hold { .. }, Outcome::Hold { .. }) | (Outcome::Refuse { .. }, Outcome::Refuse { .. }) => true,
        _ => false,
    }
}

fn decide(generation: &Generation, sample: &Sample, clock: &Clock) -> Decision {
    decide_quietly(generation, Ruling::open(&sample.dispatch, &sample.switches), clock)
}

fn failed(entry: &TrailEntry) -> bool {
    entry.last_good || matches!(entry.verdict, Verdict::Failed(..))
}
