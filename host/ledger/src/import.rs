//! Takes a recorded trace into a ledger. Each row becomes a reservation, its settlement and a call; a row that is there already is
//! passed over, so a trace can be imported again.

use serde::Serialize;
use tollgate_core::{MAX_AMOUNT, Nanodollars};

use crate::book::{BudgetError, Refusal, Request, ReservationId, ReserveError, ResolveError, Settlement, Status};
use crate::calls::{Call, CallStatus};
use crate::ledger::{Ledger, LedgerError};
use crate::store::StoreError;
use crate::trace::{Row, RowStatus, Trace};

/// What was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Lines that became calls.
    pub calls: u64,
    /// Lines that were there already.
    pub repeated: u64,
    /// Lines without a cost: counted as nothing, and shown as unknown.
    pub without_cost: u64,
    /// Lines that were passed over: their numbers, and why.
    pub skipped: Vec<(usize, String)>,
}

/// Why a trace was not taken in, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A budget's ceiling does not let the recorded cost in.
    #[error("line {line}: `{}` has a ceiling of {}: import into a ledger without that budget, or raise it", refusal.account, refusal.standing.hard)]
    Budget {
        /// From 1.
        line: usize,
        /// Which ceiling.
        refusal: Box<Refusal>,
    },
    /// A cost that no account can hold.
    #[error("line {line}: `cost_usd` is more than an account can hold ({MAX_AMOUNT}); nothing was taken in")]
    TooLarge {
        /// From 1.
        line: usize,
    },
    /// More budgets than a call may be charged to.
    #[error(transparent)]
    Path(#[from] BudgetError),
    /// The reservation.
    #[error(transparent)]
    Reserve(LedgerError<ReserveError>),
    /// The settlement.
    #[error(transparent)]
    Post(#[from] LedgerError<ResolveError>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a trace in, in the order of time. Returns when all of it is on the disk.
///
/// # Errors
/// What the ledger says.
pub fn import_trace(ledger: &Ledger, trace: Trace) -> Result<Imported, ImportError> {
    let Trace { mut rows, skipped } = trace;
    let mut imported = Imported { skipped, ..Imported::default() };
    // Found before anything is taken in.
    if let Some(row) = rows.iter().find(|row| row.cost.is_some_and(|cost| cost > MAX_AMOUNT)) {
        return Err(ImportError::TooLarge { line: row.line });
    }
    rows.sort_by_key(|row| (row.started_ms, row.line));
    for row in rows {
        take_in(ledger, row, &mut imported)?;
    }
    ledger.flush().map_err(|error| ImportError::Post(error.into()))?;
    Ok(imported)
}

fn take_in(ledger: &Ledger, row: Row, imported: &mut Imported) -> Result<(), ImportError> {
    let id = ReservationId(u128::from_be_bytes(row.identity));
    // One that is open was left by an import that was killed: it is brought to its end.
    if matches!(ledger.status(id)?, Some(Status::Ended(_))) {
        imported.repeated = imported.repeated.saturating_add(1);
        return Ok(());
    }
    let path = ledger.path(&row.names())?;
    let (line, started_ms, ended_ms, known) = (row.line, row.started_ms, row.ended_ms, row.cost.is_some());
    let amount = row.cost.unwrap_or(Nanodollars::ZERO);
    let request = Request { id, path: &path, amount, expires_ms: ended_ms };
    let settlement = if known { Settlement::exact(amount) } else { Settlement::estimated(amount) };
    let recorded = ledger.record(&request, settlement, call(row), (started_ms, ended_ms));
    let _on_its_way = recorded.map_err(|error| match error {
        LedgerError::Book(ReserveError::Refused(refusal)) => ImportError::Budget { line, refusal },
        other => ImportError::Reserve(other),
    })?;
    imported.calls = imported.calls.saturating_add(1);
    imported.without_cost = imported.without_cost.saturating_add(u64::from(!known));
    Ok(())
}

fn call(row: Row) -> Call {
    Call {
        reservation: row.identity,
        started_ms: row.started_ms,
        duration_ms: row.ended_ms.saturating_sub(row.started_ms),
        run: row.run,
        task: row.task,
        work_item: row.work_item,
        user: row.user,
        task_type: row.task_type,
        stage: Some(row.stage).filter(|stage| !stage.is_empty()),
        model: row.model,
        tier: row.tier,
        attempt: row.attempt,
        status: match row.status {
            RowStatus::Success => CallStatus::Success,
            RowStatus::Failed => CallStatus::Failed,
            RowStatus::Rejected => CallStatus::Rejected,
            // It says nothing about the work.
            RowStatus::ProviderUnavailable => CallStatus::Unknown,
        },
        productive: row.productive,
        usage: row.usage,
        cost: row.cost.unwrap_or(Nanodollars::ZERO),
        estimated: row.cost.is_none(),
        lines_production: row.lines_production,
        lines_test: row.lines_test,
        size: row.size,
        trace_id: row.trace_id,
    }
}
