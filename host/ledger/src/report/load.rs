//! Reads calls from a ledger's database.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Row, params};
use tollgate_core::{Nanodollars, Usage};

use crate::calls::{Call, CallStatus, Outcome};
use crate::store::{Sqlite, StoreError};

/// From when until when, in milliseconds since the Unix epoch; the end does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first millisecond.
    pub from_ms: u64,
    /// The first millisecond after it.
    pub until_ms: u64,
}

impl Default for Period {
    /// All there is.
    fn default() -> Self {
        Self { from_ms: 0, until_ms: u64::MAX }
    }
}

/// The calls that began in a period, in the order of time, each with the last outcome that was said of it.
///
/// # Errors
/// When the database cannot be read.
pub fn load(store: &Sqlite, period: Period) -> Result<Vec<Call>, StoreError> {
    // Also those that began later: an outcome of theirs is not one of the call before.
    let mut calls = load_calls(store, Period { until_ms: u64::MAX, ..period })?;
    tell(&mut calls, load_outcomes(store, period.from_ms)?);
    calls.retain(|call| call.started_ms < period.until_ms);
    Ok(calls)
}

/// Gives each outcome to its call. `calls` are in the order of time, and so are `outcomes`.
fn tell(calls: &mut [Call], outcomes: Vec<Outcome>) {
    let mut last: HashMap<(String, String), usize> = HashMap::new();
    let mut told: Vec<(usize, Outcome)> = Vec::new();
    let mut outcomes = outcomes.into_iter().peekable();
    for (place, call) in calls.iter().enumerate() {
        while let Some(outcome) = outcomes.next_if(|outcome| outcome.at_ms < call.started_ms) {
            told.extend(last.get(&(outcome.run.clone(), outcome.task.clone())).map(|place| (*place, outcome)));
        }
        last.insert((call.run.clone(), call.task.clone()), place);
    }
    for outcome in outcomes {
        told.extend(last.get(&(outcome.run.clone(), outcome.task.clone())).map(|place| (*place, outcome)));
    }
    // The last word on a call comes last.
    let told: BTreeMap<usize, Outcome> = told.into_iter().collect();
    for (place, outcome) in told {
        let Some(call) = calls.get_mut(place) else { continue };
        call.status = outcome.status;
        call.productive = outcome.productive.or(call.productive);
        call.lines_production = outcome.lines_production.or(call.lines_production);
        call.lines_test = outcome.lines_test.or(call.lines_test);
    }
}

fn load_outcomes(store: &Sqlite, from_ms: u64) -> Result<Vec<Outcome>, StoreError> {
    let query = "SELECT at_ms, run, task, status, productive, lines_production, lines_test, author FROM outcomes \
                 WHERE at_ms >= ?1 ORDER BY at_ms, id";
    let mut statement = store.connection().prepare(query)?;
    let outcomes = statement.query_map([i64::try_from(from_ms).unwrap_or(i64::MAX)], |row| {
        Ok(Outcome {
            at_ms: row.get::<_, i64>(0).map(|at_ms| u64::try_from(at_ms).unwrap_or(0))?,
            run: row.get(1)?,
            task: row.get(2)?,
            status: CallStatus::from_word(&row.get::<_, String>(3)?),
            productive: row.get(4)?,
            lines_production: row.get(5)?,
            lines_test: row.get(6)?,
            author: row.get(7)?,
        })
    })?;
    Ok(outcomes.collect::<Result<_, _>>()?)
}

fn load_calls(store: &Sqlite, period: Period) -> Result<Vec<Call>, StoreError> {
    let stored = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let query = "SELECT reservation, started_ms, duration_ms, run, task, work_item, user, task_type, stage, model, tier, attempt, status, \
                 productive, uncached_input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, cost, estimated, \
                 lines_production, lines_test, size, trace_id FROM calls WHERE started_ms >= ?1 AND started_ms < ?2 \
                 ORDER BY started_ms, reservation";
    let mut statement = store.connection().prepare(query)?;
    let calls = statement.query_map(params![stored(period.from_ms), stored(period.until_ms)], call)?;
    Ok(calls.collect::<Result<_, _>>()?)
}

fn call(row: &Row<'_>) -> rusqlite::Result<Call> {
    let count = |place| row.get::<_, i64>(place).map(|count| u64::try_from(count).unwrap_or(0));
    let output: Option<i64> = row.get(18)?;
    let usage = || {
        Ok::<_, rusqlite::Error>(Usage {
            uncached_input: count(14)?,
            cache_read: count(15)?,
            cache_write_5m: count(16)?,
            cache_write_1h: count(17)?,
            output: count(18)?,
            reasoning: count(19)?,
        })
    };
    Ok(Call {
        reservation: row.get(0)?,
        started_ms: count(1)?,
        duration_ms: count(2)?,
        run: row.get(3)?,
        task: row.get(4)?,
        work_item: row.get(5)?,
        user: row.get(6)?,
        task_type: row.get(7)?,
        stage: row.get(8)?,
        model: row.get(9)?,
        tier: row.get(10)?,
        attempt: row.get(11)?,
        status: CallStatus::from_word(&row.get::<_, String>(12)?),
        productive: row.get(13)?,
        usage: output.map(|_| usage()).transpose()?,
        cost: Nanodollars::new(count(20)?),
        estimated: row.get(21)?,
        lines_production: row.get(22)?,
        lines_test: row.get(23)?,
        size: row.get(24)?,
        trace_id: row.get(25)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(started_ms: u64, task: &str) -> Call {
        Call { started_ms, run: "r".to_owned(), task: task.to_owned(), ..Call::default() }
    }

    fn outcome(at_ms: u64, task: &str, status: CallStatus, lines: Option<i64>) -> Outcome {
        let (run, task) = ("r".to_owned(), task.to_owned());
        Outcome { at_ms, run, task, status, lines_production: lines, ..Outcome::default() }
    }

    #[test]
    fn an_outcome_is_about_the_last_call_before_it_and_the_last_word_stands() {
        let mut calls = vec![call(1, "t"), call(2, "u"), call(3, "t"), call(9, "t")];
        let outcomes = vec![
            outcome(0, "t", CallStatus::Failed, Some(1)),
            outcome(2, "t", CallStatus::Failed, None),
            outcome(3, "t", CallStatus::Rejected, Some(7)),
            outcome(8, "t", CallStatus::Success, Some(5)),
            outcome(8, "t", CallStatus::Success, Some(5)),
            outcome(8, "nobody's", CallStatus::Success, Some(5)),
        ];
        tell(&mut calls, outcomes);
        let found: Vec<_> = calls.iter().map(|call| (call.status, call.lines_production)).collect();
        use CallStatus::{Failed, Success, Unknown};
        assert_eq!(found, [(Failed, None), (Unknown, None), (Success, Some(5)), (Unknown, None)]);
    }
}
