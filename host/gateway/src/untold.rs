//! How much of the traffic says what it is for. Ceilings are counted by task, and a task that nobody names, or of which nobody says
//! what became, is one that no ceiling stops early.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tollgate_core::Reference;

/// Tasks whose outcome may still come; those beyond count as without one.
const MAX_TASKS: usize = 100_000;

/// Counts since the gateway was opened.
#[derive(Debug, Default)]
pub(crate) struct Untold(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    dispatches: u64,
    without_run: u64,
    without_task: u64,
    /// Dispatches of tasks of which an outcome was told afterwards.
    with_outcome: u64,
    /// Dispatches of each task since its last outcome.
    open: HashMap<Reference, u64>,
}

impl Untold {
    /// Takes in a dispatch; a line for the log at the 100th, the 1,000th and so on.
    pub(crate) fn dispatch(&self, task: Reference, names_run: bool, names_task: bool) -> Option<String> {
        let mut counts = self.counts();
        counts.dispatches = counts.dispatches.saturating_add(1);
        counts.without_run += u64::from(!names_run);
        counts.without_task += u64::from(!names_task);
        let room = counts.open.len() < MAX_TASKS;
        match counts.open.get_mut(&task) {
            Some(dispatches) => *dispatches += 1,
            None if room => drop(counts.open.insert(task, 1)),
            None => {}
        }
        let round = counts.dispatches >= 100 && 10_u64.pow(counts.dispatches.ilog10()) == counts.dispatches;
        round.then(|| counts.line()).flatten()
    }

    /// Somebody said what became of a task.
    pub(crate) fn outcome(&self, task: Reference) {
        let mut counts = self.counts();
        let told = counts.open.remove(&task).unwrap_or(0);
        counts.with_outcome = counts.with_outcome.saturating_add(told);
    }

    pub(crate) fn document(&self) -> Value {
        let counts = self.counts();
        json!({
            "dispatches": counts.dispatches,
            "without_run_permille": counts.permille(counts.without_run),
            "without_task_permille": counts.permille(counts.without_task),
            "without_outcome_permille": counts.permille(counts.without_outcome()),
        })
    }

    /// For the log; nothing where everything was told.
    pub(crate) fn line(&self) -> Option<String> {
        self.counts().line()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    const fn without_outcome(&self) -> u64 {
        self.dispatches.saturating_sub(self.with_outcome)
    }

    fn permille(&self, part: u64) -> u64 {
        part.saturating_mul(1_000).checked_div(self.dispatches).unwrap_or(0)
    }

    fn line(&self) -> Option<String> {
        let [run, task, outcome] = [self.without_run, self.without_task, self.without_outcome()];
        if run + task + outcome == 0 {
            return None;
        }
        let percent = |part| format!("{}.{} %", self.permille(part) / 10, self.permille(part) % 10);
        Some(format!(
            "of {} dispatches, {} named no run, {} no task, and of {} nobody has said what became: ceilings need all three",
            self.dispatches,
            percent(run),
            percent(task),
            percent(outcome)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_dispatches() {
        let untold = Untold::default();
        assert_eq!((untold.line(), untold.document()["without_run_permille"].as_u64()), (None, Some(0)));
        let (told, silent) = (Reference::of("told"), Reference::of("silent"));
        for (task, run, names_task) in [(told, true, true), (told, true, false), (silent, false, false)] {
            assert_eq!(untold.dispatch(task, run, names_task), None);
        }
        untold.outcome(told);
        untold.outcome(told);
        let document = json!({
            "dispatches": 3, "without_run_permille": 333, "without_task_permille": 666, "without_outcome_permille": 333,
        });
        assert_eq!(untold.document(), document);
        let line = untold.line().unwrap();
        assert!(
            line.starts_with("of 3 dispatches, 33.3 % named no run, 66.6 % no task, and of 33.3 % nobody"),
            "{line}"
        );
    }

    #[test]
    fn the_log_hears_of_it_at_round_numbers() {
        let untold = Untold::default();
        let told = (1..=10_000).filter(|_| untold.dispatch(Reference::of("t"), false, true).is_some());
        assert_eq!(told.count(), 3, "at 100, 1,000 and 10,000");
    }

    #[test]
    fn the_table_is_bounded() {
        let untold = Untold::default();
        for number in 0..=MAX_TASKS as u64 {
            untold.dispatch(Reference::from_u64(number), true, true);
        }
        assert_eq!(untold.counts().open.len(), MAX_TASKS);
    }
}
