//! Reads calls from a ledger's database.

use rusqlite::{Row, params};
use tollgate_core::{Nanodollars, Usage};

use crate::calls::{Call, CallStatus};
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

/// The calls that began in a period, in the order of time.
///
/// # Errors
/// When the database cannot be read.
pub fn load(store: &Sqlite, period: Period) -> Result<Vec<Call>, StoreError> {
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
