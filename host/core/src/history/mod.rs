//! What happened so far, as far as decisions need it: failed attempts, loops, how fast scopes spend, the shape of finished runs,
//! declared counters, and where each task was routed. State belongs to the host, so a reload of policies loses none of it.
//! No clock: every time is an argument.
//!
//! Threads share it. Reading takes no lock; those who write wait for each other, never for a reader. What may be spent is
//! not here but in the ledger, which tells this every [`Movement`] of money.

mod bounded;
mod counter;
mod finished;
mod remembered;
mod spend;
mod task;

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use crate::config::AttemptRules;
use crate::{Candidate, Dispatch, Nanodollars, Reference, ScopeKind, ScopePath, Symbol, Tier};

use bounded::Bounded;
use counter::Counters;
pub use counter::{CounterBy, CounterEvent, CounterRule};
use finished::FinishedRuns;
pub use remembered::{Memory, Remembered};
use spend::Rates;
use task::TaskHistory;

/// What became of one dispatch. What it cost is not its business: the ledger says that, see [`Movement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The task it worked on.
    pub task: Reference,
    /// Who spent.
    pub scopes: ScopePath,
    /// What kind of task.
    pub task_type: Symbol,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: u64,
    /// The tier that worked on it.
    pub tier: Option<Tier>,
    /// How it ended.
    pub status: Status,
    /// A keyed hash of what was sent, where it is known: the same context again is a loop.
    pub context: Option<u64>,
    /// What the caller calls the proposal it is working on.
    pub proposal: Option<u64>,
    /// Whether it changed anything, where that is known.
    pub productive: Option<bool>,
}

/// How money moved for the scopes of one dispatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Newly held.
    pub hold: Nanodollars,
    /// No longer held.
    pub release: Nanodollars,
    /// Newly spent.
    pub spend: Nanodollars,
    /// Taken back from what was spent.
    pub refund: Nanodollars,
}

/// How a dispatch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The task moved on; reported by someone with the right to say so.
    Succeeded,
    /// It failed.
    Failed(Failure),
    /// It ended well, and a verifier rejected the work.
    Rejected,
    /// It ended, and nobody has said what that meant for the task.
    Unreported,
    /// The provider could not be reached or refused for load: its health, not the task's failure.
    ProviderUnavailable,
}

/// In which way it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// It ran out of time.
    Timeout,
    /// It was stopped at the output limit.
    OutputLimit,
    /// Anything else; equal fingerprints are the same failure.
    Other {
        /// A hash of what the caller or the upstream said.
        fingerprint: u64,
    },
}

/// What happened so far.
#[derive(Debug)]
pub struct History {
    rules: ArcSwap<AttemptRules>,
    tasks: Bounded<Reference, TaskHistory>,
    routes: Bounded<(Option<Reference>, Reference, Symbol), Route>,
    rates: Rates,
    finished: FinishedRuns,
    counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    model: Symbol,
    backend: Symbol,
}

impl History {
    /// How many tasks, runs, scopes, routes and counts are remembered, of each, where nothing else is said.
    pub const REMEMBERED: usize = 1_000_000;

    /// Nothing has happened yet. Of tasks, runs, scopes, routes and counts at most `remembered` each are kept; the ones
    /// untouched for longest are forgotten first.
    #[must_use]
    pub fn new(rules: AttemptRules, counters: Vec<CounterRule>, remembered: usize) -> Self {
        Self {
            rules: ArcSwap::from_pointee(rules),
            tasks: Bounded::new(remembered),
            routes: Bounded::new(remembered),
            rates: Rates::new(remembered),
            finished: FinishedRuns::new(remembered),
            counters: Counters::new(counters, remembered),
        }
    }

    /// Writes everything known about the dispatch's task, scopes and route into it: attempts, spending, counters, and
    /// which candidate holds the prompt cache. The accounts are the ledger's to write.
    pub fn inform(&self, dispatch: &mut Dispatch) {
        let now_ms = dispatch.now_ms;
        let rules = self.rules.load();
        let attempts = |task| self.tasks.read(&task, |known| known.attempts(&rules, now_ms));
        dispatch.attempts = dispatch.task.and_then(attempts).unwrap_or_default();
        dispatch.spending = self.rates.read(&dispatch.scopes, now_ms);
        (dispatch.spending.task_type_p95, dispatch.spending.finished_runs) = self.finished.p95(dispatch.task_type);
        dispatch.counters.clear();
        self.counters.read(dispatch.task, &dispatch.scopes, now_ms, &mut dispatch.counters);
        self.find_route(dispatch);
    }

    /// Takes in what became of a dispatch.
    pub fn record(&self, report: &Report) {
        if let Some(run) = report.scopes.of(ScopeKind::Run) {
            self.finished.works_on(run, report.task_type, report.ended_ms);
        }
        self.counters.count_report(report);
        let rules = self.rules.load();
        let record = |task: &mut TaskHistory| task.record(report, &rules);
        self.tasks.change(report.task, report.ended_ms, TaskHistory::default(), record);
    }

    /// Takes in how money moved.
    pub fn take(&self, scopes: &ScopePath, movement: &Movement) {
        self.rates.take(scopes, movement);
        if let Some(run) = scopes.of(ScopeKind::Run)
            && movement.spend != movement.refund
        {
            self.finished.spend(run, movement.at_ms, movement.spend, movement.refund);
        }
    }

    /// From now on attempts are counted by these rules; what was counted stays.
    pub fn set_attempt_rules(&self, rules: AttemptRules) {
        self.rules.store(Arc::new(rules));
    }

    /// Another generation of policies declares its counters; one that was declared before goes on from where it is.
    pub fn declare_counters(&self, counters: Vec<CounterRule>) {
        self.counters.declare(counters);
    }

    /// Counts a dispatch that was decided: `refused` where it did not go.
    pub fn count_decision(&self, dispatch: &Dispatch, refused: bool) {
        self.counters.count_dispatch(dispatch, refused);
    }

    /// Remembers where a dispatch went, so that the next one of its run, task and stage finds its prompt cache.
    pub fn remember_route(&self, dispatch: &Dispatch, candidate: &Candidate) {
        if let Some(task) = dispatch.task {
            let key = (dispatch.scopes.of(ScopeKind::Run), task, dispatch.stage);
            let route = Route { model: candidate.model, backend: candidate.backend };
            self.routes.change(key, dispatch.now_ms, route, |known| *known = route);
        }
    }

    /// A run has ended; what it cost counts towards what runs of its task type cost.
    pub fn finish_run(&self, run: Reference) {
        self.finished.finish(run);
    }

    fn find_route(&self, dispatch: &mut Dispatch) {
        let key = dispatch.task.map(|task| (dispatch.scopes.of(ScopeKind::Run), task, dispatch.stage));
        let Some(route) = key.and_then(|key| self.routes.read(&key, |route| *route)) else { return };
        for (index, candidate) in (0_u32..).zip(&mut dispatch.candidates) {
            candidate.warm = candidate.model == route.model && candidate.backend == route.backend;
            if candidate.warm {
                dispatch.sticky = Some(index);
            }
        }
    }
}

#[cfg(test)]
mod tests;
