//! Takes a recorded trace into a ledger: JSON lines of the form that `docs/trace-format.md` describes. Each line becomes a
//! reservation, its settlement and a call; a line that is there already is passed over, so a trace can be imported again.

use std::collections::HashMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tollgate_core::{MoneyError, Nanodollars, ScopeKind, Usage};

use crate::book::{BudgetError, Dimension, Refusal, Request, ReservationId, ReserveError, ResolveError, Settlement};
use crate::calls::{Call, CallStatus};
use crate::ledger::{Ledger, LedgerError};
use crate::store::StoreError;

/// What to do about a line that is not of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMalformed {
    /// Take nothing of the trace.
    #[default]
    Stop,
    /// Pass over it and say so.
    Skip,
}

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
    /// It cannot be read.
    #[error("the trace cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A line that is not of the form.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// A budget's ceiling does not let the recorded cost in.
    #[error("line {line}: `{}` has a ceiling of {}: import into a ledger without that budget, or raise it", refusal.account, refusal.standing.hard)]
    Budget {
        /// From 1.
        line: usize,
        /// Which ceiling.
        refusal: Box<Refusal>,
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

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineProblem {
    /// Not of the form.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// Not an amount.
    #[error("`cost_usd`: {0}")]
    Cost(#[from] MoneyError),
    /// A time that cannot be counted.
    #[error("`{field}` lies before 1970 or is too large")]
    Time {
        /// Which.
        field: &'static str,
    },
}

/// A line as it stands; what it has besides is others' business.
#[derive(Deserialize)]
struct Line {
    run: String,
    #[serde(alias = "phase")]
    stage: Option<String>,
    #[serde(alias = "task_id")]
    task: Option<String>,
    task_type: Option<String>,
    organisation: Option<String>,
    team: Option<String>,
    project: Option<String>,
    work_item: Option<String>,
    size: Option<String>,
    user: Option<String>,
    model: Option<String>,
    tier: Option<String>,
    status: String,
    attempt: Option<u32>,
    productive: Option<bool>,
    started_at: jiff::Timestamp,
    duration_s: Option<u64>,
    duration_ms: Option<u64>,
    input_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    cache_write_1h_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    usage_reported: Option<bool>,
    cost_usd: Option<Box<RawValue>>,
    loc_production_delta: Option<i64>,
    loc_test_delta: Option<i64>,
    #[serde(alias = "source_path")]
    trace_id: Option<String>,
}

struct Row {
    number: usize,
    call: Call,
    names: Vec<(Dimension, String)>,
    cost_known: bool,
}

/// Reads a trace and takes it in, in the order of time. Returns when all of it is on the disk.
///
/// # Errors
/// The first line that is not of the form (unless such lines are skipped), or what the ledger says.
pub fn import_trace(ledger: &Ledger, reader: impl BufRead, on_malformed: OnMalformed) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let mut rows = read(reader, on_malformed, &mut imported)?;
    rows.sort_by_key(|row| (row.call.started_ms, row.number));
    for row in rows {
        take_in(ledger, row, &mut imported)?;
    }
    ledger.flush().map_err(|error| ImportError::Post(error.into()))?;
    Ok(imported)
}

fn read(reader: impl BufRead, on_malformed: OnMalformed, imported: &mut Imported) -> Result<Vec<Row>, ImportError> {
    let mut rows = Vec::new();
    let mut seen: HashMap<[u8; 16], u64> = HashMap::new();
    for (index, text) in reader.lines().enumerate() {
        let (text, line) = (text?, index.saturating_add(1));
        if text.trim().is_empty() {
            continue;
        }
        let occurrence = seen.entry(digest(&text, 0)).or_default();
        match parse(&text, line, *occurrence) {
            Ok(row) => rows.push(row),
            Err(problem) if on_malformed == OnMalformed::Skip => imported.skipped.push((line, problem.to_string())),
            Err(problem) => return Err(ImportError::Line { line, problem }),
        }
        *occurrence = occurrence.saturating_add(1);
    }
    Ok(rows)
}

fn take_in(ledger: &Ledger, row: Row, imported: &mut Imported) -> Result<(), ImportError> {
    let Row { number, call, names, cost_known } = row;
    let id = ReservationId(u128::from_be_bytes(call.reservation));
    if ledger.status(id)?.is_some() {
        imported.repeated = imported.repeated.saturating_add(1);
        return Ok(());
    }
    let names: Vec<(Dimension, &str)> = names.iter().map(|(dimension, name)| (*dimension, name.as_str())).collect();
    let path = ledger.path(&names)?;
    let (started_ms, ended_ms) = (call.started_ms, call.started_ms.saturating_add(call.duration_ms));
    let request = Request { id, path: &path, amount: call.cost, expires_ms: ended_ms };
    ledger.reserve(&request, started_ms).map_err(|error| match error {
        LedgerError::Book(ReserveError::Refused(refusal)) => ImportError::Budget { line: number, refusal },
        other => ImportError::Reserve(other),
    })?;
    ledger.sent(id, ended_ms, started_ms)?;
    let settlement = if cost_known { Settlement::exact(call.cost) } else { Settlement::estimated(call.cost) };
    let _on_its_way = ledger.post(id, settlement, Some(call), ended_ms)?;
    imported.calls = imported.calls.saturating_add(1);
    imported.without_cost = imported.without_cost.saturating_add(u64::from(!cost_known));
    Ok(())
}

/// The line's own name: the same line has the same one whenever it is imported, and its repetitions have others.
fn digest(text: &str, occurrence: u64) -> [u8; 16] {
    let digest = Sha256::new().chain_update(occurrence.to_le_bytes()).chain_update(text.as_bytes()).finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    id
}

fn parse(text: &str, number: usize, occurrence: u64) -> Result<Row, LineProblem> {
    let line: Line = serde_json::from_str(text)?;
    let started_ms =
        u64::try_from(line.started_at.as_millisecond()).map_err(|_| LineProblem::Time { field: "started_at" })?;
    let seconds =
        line.duration_s.map(|seconds| seconds.checked_mul(1000).ok_or(LineProblem::Time { field: "duration_s" }));
    let duration_ms = line.duration_ms.map_or_else(|| seconds.unwrap_or(Ok(0)), Ok)?;
    let cost = match line.cost_usd.as_deref().map(RawValue::get) {
        None | Some("null") => None,
        Some(number) => Some(Nanodollars::from_decimal_rounded(number)?),
    };
    let usage = line.usage();
    let names = line.names();
    // A cost of zero beside an unknown usage is an unknown cost.
    let cost_known = cost.is_some_and(|cost| usage.is_some() || cost > Nanodollars::ZERO);
    let call = Call {
        reservation: digest(text, occurrence),
        started_ms,
        duration_ms,
        task: line.task.unwrap_or_else(|| line.run.clone()),
        run: line.run,
        work_item: line.work_item,
        user: line.user,
        task_type: line.task_type,
        stage: line.stage,
        model: line.model,
        tier: line.tier,
        attempt: line.attempt,
        status: CallStatus::from_word(&line.status),
        productive: line.productive,
        usage,
        cost: cost.unwrap_or(Nanodollars::ZERO),
        estimated: !cost_known,
        lines_production: line.loc_production_delta,
        lines_test: line.loc_test_delta,
        size: line.size,
        trace_id: line.trace_id,
    };
    Ok(Row { number, call, names, cost_known })
}

impl Line {
    fn usage(&self) -> Option<Usage> {
        let output = self.output_tokens.filter(|_| self.usage_reported != Some(false))?;
        Some(Usage {
            uncached_input: self.input_tokens.unwrap_or(0),
            cache_read: self.cache_read_tokens.unwrap_or(0),
            cache_write_5m: self.cache_write_tokens.unwrap_or(0),
            cache_write_1h: self.cache_write_1h_tokens.unwrap_or(0),
            output,
            reasoning: self.reasoning_tokens.unwrap_or(0),
        })
    }

    fn names(&self) -> Vec<(Dimension, String)> {
        let scope = |kind, name: &Option<String>| name.clone().map(|name| (Dimension::Scope(kind), name));
        let others = [
            scope(ScopeKind::Organisation, &self.organisation),
            scope(ScopeKind::Team, &self.team),
            scope(ScopeKind::Project, &self.project),
            scope(ScopeKind::WorkItem, &self.work_item),
            scope(ScopeKind::User, &self.user),
            self.task_type.clone().map(|name| (Dimension::TaskType, name)),
            self.model.clone().map(|name| (Dimension::Model, name)),
        ];
        let run = (Dimension::Scope(ScopeKind::Run), self.run.clone());
        std::iter::once(run).chain(others.into_iter().flatten()).collect()
    }
}
