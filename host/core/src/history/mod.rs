//! What happened so far, as far as decisions need it: failed attempts, loops, spend, the shape of finished runs,
//! declared counters, and where each task was routed. State belongs to the host, so a reload of policies loses none of it.
//! No clock: every time is an argument.

mod bounded;
mod counter;
mod finished;
mod numbers;
mod spend;
mod task;

use crate::config::{AttemptRules, BudgetConfiguration};
use crate::{Candidate, Dispatch, Nanodollars, Reference, ScopeKind, ScopePath, Symbol, Symbols, Tier};

use bounded::Bounded;
use counter::Counters;
pub use counter::{CounterBy, CounterEvent, CounterRule};
use finished::FinishedRuns;
use spend::{Accounts, Rates};
pub use spend::{Threshold, ThresholdReached};
use task::TaskHistory;

/// The most tasks, runs or routes remembered; the ones untouched for longest are forgotten first.
const CAPACITY: usize = 1_000_000;

/// What became of one dispatch.
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
    /// What it cost.
    pub cost: Nanodollars,
    /// How it ended.
    pub status: Status,
    /// A keyed hash of what was sent, where it is known: the same context again is a loop.
    pub context: Option<u64>,
    /// What the caller calls the proposal it is working on.
    pub proposal: Option<u64>,
    /// Whether it changed anything, where that is known.
    pub productive: Option<bool>,
}

/// How a dispatch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    rules: AttemptRules,
    tasks: Bounded<Reference, TaskHistory>,
    routes: Bounded<(Option<Reference>, Reference, Symbol), Route>,
    accounts: Accounts,
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
    /// Nothing has happened yet. `symbols` gives the owners of the budgets theirs.
    #[must_use]
    pub fn new(
        rules: AttemptRules,
        budgets: &[BudgetConfiguration],
        counters: Vec<CounterRule>,
        symbols: &Symbols,
    ) -> Self {
        Self {
            rules,
            tasks: Bounded::new(CAPACITY),
            routes: Bounded::new(CAPACITY),
            accounts: Accounts::new(budgets, symbols),
            rates: Rates::new(CAPACITY),
            finished: FinishedRuns::new(CAPACITY),
            counters: Counters::new(counters, CAPACITY),
        }
    }

    /// Goes on by another configuration, and forgets nothing: tasks, routes, rates and finished runs stay as they are; a
    /// budget for the same scope and window keeps what was spent whatever its limit is now; a counter that still means the
    /// same keeps its counts. What is no longer configured is found again when it comes back, until it is pushed out.
    pub fn adopt(
        &mut self,
        rules: AttemptRules,
        budgets: &[BudgetConfiguration],
        counters: Vec<CounterRule>,
        symbols: &Symbols,
    ) {
        self.rules = rules;
        self.accounts.adopt(budgets, symbols);
        self.counters.adopt(counters);
    }

    /// Writes everything known about the dispatch's task, scopes and route into it: attempts, spending,
    /// accounts, counters, and which candidate holds the prompt cache.
    pub fn inform(&self, dispatch: &mut Dispatch) {
        let now_ms = dispatch.now_ms;
        let task = dispatch.task.and_then(|task| self.tasks.get(&task));
        dispatch.attempts = task.map(|task| task.attempts(&self.rules, now_ms)).unwrap_or_default();
        dispatch.accounts.clear();
        self.accounts.read(&dispatch.scopes, now_ms, &mut dispatch.accounts);
        dispatch.spending = self.rates.read(&dispatch.scopes, now_ms);
        (dispatch.spending.task_type_p95, dispatch.spending.finished_runs) = self.finished.p95(dispatch.task_type);
        dispatch.counters.clear();
        self.counters.read(dispatch.task, &dispatch.scopes, now_ms, &mut dispatch.counters);
        self.find_route(dispatch);
    }

    /// Takes in what became of a dispatch, and tells which budgets reached a threshold by it: each of them once in
    /// a window.
    pub fn record(&mut self, report: &Report) -> Vec<ThresholdReached> {
        let reached = self.accounts.spend(&report.scopes, report.ended_ms, report.cost);
        self.rates.spend(&report.scopes, report.ended_ms, report.cost);
        if let Some(run) = report.scopes.of(ScopeKind::Run) {
            self.finished.spend(run, report.task_type, report.ended_ms, report.cost);
        }
        self.counters.count_report(report);
        self.tasks.entry(report.task, report.ended_ms).record(report, &self.rules);
        reached
    }

    /// Counts a dispatch that was decided: `refused` where it did not go.
    pub fn count_decision(&mut self, dispatch: &Dispatch, refused: bool) {
        self.counters.count_dispatch(dispatch, refused);
    }

    /// Remembers where a dispatch went, so that the next one of its run, task and stage finds its prompt cache.
    pub fn remember_route(&mut self, dispatch: &Dispatch, candidate: &Candidate) {
        if let Some(task) = dispatch.task {
            let key = (dispatch.scopes.of(ScopeKind::Run), task, dispatch.stage);
            let route = Route { model: candidate.model, backend: candidate.backend };
            *self.routes.entry_or(key, dispatch.now_ms, route) = route;
        }
    }

    /// A run has ended; what it cost counts towards what runs of its task type cost.
    pub fn finish_run(&mut self, run: Reference) {
        self.finished.finish(run);
    }

    fn find_route(&self, dispatch: &mut Dispatch) {
        let route =
            dispatch.task.and_then(|task| self.routes.get(&(dispatch.scopes.of(ScopeKind::Run), task, dispatch.stage)));
        let Some(route) = route.copied() else { return };
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
