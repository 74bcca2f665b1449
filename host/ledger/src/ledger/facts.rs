//! What decisions learn from the ledger, and what it learns from outcomes.

use tollgate_core::config::AttemptRules;
use tollgate_core::{Candidate, CounterRule, Dispatch, Movement, Reference, Report};

use super::Ledger;
use crate::book::{Book, BudgetError, Dimension, Effects, Path};
use crate::store::StoreError;

impl Ledger {
    /// The accounts of a dispatch with these names, by the budgets in force. Takes no lock. The same names are answered from
    /// memory, a few thousand of them.
    ///
    /// # Errors
    /// When too many budgets cover it.
    pub fn path(&self, names: &[(Dimension, &str)]) -> Result<Path, BudgetError> {
        self.board.path(names, None)
    }

    /// [`Ledger::path`] of a task of the run that the names name: approvals given for the task count for it.
    ///
    /// # Errors
    /// When too many budgets cover it.
    pub fn path_of_task(&self, names: &[(Dimension, &str)], task: &str) -> Result<Path, BudgetError> {
        self.board.path(names, Some(task))
    }

    /// Writes everything known into a dispatch: how the accounts of its path stand (approvals in force raise the ceiling, and
    /// mark it as approved), what its run and scopes spend, attempts, counters, what runs like it cost, and where its
    /// prompt cache lies. Takes no lock that a writer holds, except to fetch an account that left memory.
    ///
    /// # Errors
    /// When an account that left memory cannot be read.
    pub fn inform(&self, dispatch: &mut Dispatch, path: &Path) -> Result<(), StoreError> {
        self.history.inform(dispatch);
        if self.board.inform(dispatch, path) {
            return Ok(());
        }
        let inner = self.resident(path)?;
        dispatch.accounts.clear();
        for account in path.accounts() {
            if let Some(view) = inner.book.view(account.id) {
                let raised = inner.book.raises().of(path.beneficiaries(), &view.budget().name, dispatch.now_ms);
                dispatch.accounts.push(view.fact(view.standing(dispatch.now_ms), raised));
            }
        }
        dispatch.approved |= inner.book.raises().any(path.beneficiaries(), dispatch.now_ms);
        Ok(())
    }

    /// Takes in what became of a dispatch: whether it was an attempt, a loop, what it counts for. What it cost is said by
    /// [`Ledger::post`] alone. A failed attempt survives the process when this returns.
    pub fn outcome(&self, report: &Report) {
        self.history.record(report);
        self.save_tasks();
    }

    /// From now on attempts are counted by these rules; what was counted stays.
    pub fn set_attempt_rules(&self, rules: AttemptRules) {
        self.history.set_attempt_rules(rules);
    }

    /// Another generation of policies declares its counters; one that was declared before goes on from where it is.
    pub fn declare_counters(&self, counters: Vec<CounterRule>) {
        self.history.declare_counters(counters);
    }

    /// Counts a dispatch that was decided: `refused` where it did not go.
    pub fn count_decision(&self, dispatch: &Dispatch, refused: bool) {
        self.history.count_decision(dispatch, refused);
    }

    /// Remembers where a dispatch went, so that the next one of its run, task and stage finds its prompt cache.
    pub fn remember_route(&self, dispatch: &Dispatch, candidate: &Candidate) {
        self.history.remember_route(dispatch, candidate);
    }

    /// A run has ended; what it cost counts towards what runs of its task type cost.
    pub fn finish_run(&self, run: Reference) {
        self.history.finish_run(run);
    }

    /// Shows readers what an operation did. The only way by which the history hears of money.
    pub(super) fn tell(&self, book: &Book, effects: &Effects) {
        for entry in &effects.entries {
            let movement = Movement {
                at_ms: entry.at_ms,
                hold: entry.change.hold,
                release: entry.change.release,
                spend: entry.change.spend,
                refund: entry.change.refund,
            };
            // That a dispatch was sent moves nothing.
            let moves = movement != (Movement { at_ms: entry.at_ms, ..Movement::default() });
            if moves || !effects.opened.is_empty() {
                self.board.show(book, entry.path.accounts().iter().map(|account| account.id));
            }
            if moves {
                self.history.take(entry.path.scopes(), &movement);
            }
        }
    }
}
