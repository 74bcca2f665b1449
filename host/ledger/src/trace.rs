//! Reading a trace: JSON lines, one invocation each. `docs/trace-format.md` is the form; fields it does not name are
//! passed over, since traces are others' data.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tollgate_core::form::{self, FormError, Object};
use tollgate_core::{Dimension, MoneyError, Nanodollars, Priority, ScopeKind, Usage};

/// The longest line that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// One invocation: a whole agent session recorded as one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its line in the trace, from 1.
    pub line: usize,
    /// The line's own name: the same line has the same one in every trace, and its repetitions have others.
    pub identity: [u8; 16],
    /// The agent session.
    pub run: String,
    /// What it worked on; the run where the trace does not say.
    pub task: String,
    /// The pipeline step; empty where the trace does not say.
    pub stage: String,
    /// What kind of task.
    pub task_type: Option<String>,
    /// A scope, as the others below.
    pub organisation: Option<String>,
    /// Its team.
    pub team: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// What owns the task.
    pub work_item: Option<String>,
    /// Whose it was.
    pub user: Option<String>,
    /// How much it mattered.
    pub priority: Priority,
    /// The model that worked on it, where the trace says.
    pub model: Option<String>,
    /// The model's tier, in the trace's word.
    pub tier: Option<String>,
    /// The n-th try of its task, as the trace counts.
    pub attempt: Option<u32>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: u64,
    /// How it ended.
    pub status: RowStatus,
    /// In which way it failed: `timeout`, `output-limit`, or anything.
    pub failure_kind: Option<String>,
    /// Whether it changed anything, where that is known.
    pub productive: Option<bool>,
    /// What the caller calls the proposal it works on.
    pub proposal: Option<String>,
    /// Nothing where the trace has no usage for it, which is not a usage of nothing.
    pub usage: Option<Usage>,
    /// Nothing where the trace has no cost for it, likewise.
    pub cost: Option<Nanodollars>,
    /// Lines of product code added, less those taken away.
    pub lines_production: Option<i64>,
    /// Lines of tests, likewise.
    pub lines_test: Option<i64>,
    /// The size of its work item, in the owner's words.
    pub size: Option<String>,
    /// Where it can be looked up.
    pub trace_id: Option<String>,
}

/// How an invocation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowStatus {
    /// Well.
    #[default]
    Success,
    /// It failed.
    Failed,
    /// Well, and a verifier rejected the work.
    Rejected,
    /// The provider could not be reached or refused for load.
    ProviderUnavailable,
}

/// What to do about a line that is not of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMalformed {
    /// Take nothing of the trace.
    #[default]
    Stop,
    /// Pass over it and say so.
    Skip,
}

/// The rows of a trace, in the order of its lines.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The lines that are of the form.
    pub rows: Vec<Row>,
    /// Those that were passed over, and why.
    pub skipped: Vec<(usize, String)>,
}

/// Why a trace was not read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The source.
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
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineProblem {
    /// Not of the form. Whoever tells it tells the line of the trace; a line of JSON has only a column.
    #[error("column {}: {}", .0.column, .0.without_place())]
    Form(#[from] FormError),
    /// A field that says one thing by one of its names and another by the other.
    #[error("`{}` is `{}` and `{}` is `{}`: they are two names of one field, so leave one of them out", .one.0, .one.1, .other.0, .other.1)]
    TwoNames {
        /// A name, and what stands there.
        one: (&'static str, String),
        /// The other.
        other: (&'static str, String),
    },
    /// Not an amount.
    #[error("`cost_usd`: {0}")]
    Cost(#[from] MoneyError),
    /// A time that cannot be counted.
    #[error("`{field}` lies before 1970 or is too large to be counted")]
    Time {
        /// Which.
        field: &'static str,
    },
    /// It does not say how long it took.
    #[error("it has neither `duration_s` nor `duration_ms`")]
    Duration,
    /// Tokens without end.
    #[error("the sum of its input tokens is too large to be counted")]
    Tokens,
    /// A line without end.
    #[error("a line has at most {MAX_LINE_BYTES} bytes, and this one has more")]
    Length,
}

/// A line as it stands.
#[derive(Deserialize)]
struct Line {
    run: String,
    stage: Option<String>,
    phase: Option<String>,
    task: Option<String>,
    task_id: Option<String>,
    task_type: Option<String>,
    organisation: Option<String>,
    team: Option<String>,
    project: Option<String>,
    work_item: Option<String>,
    size: Option<String>,
    user: Option<String>,
    priority: Option<Priority>,
    model: Option<String>,
    tier: Option<String>,
    status: RowStatus,
    failure_kind: Option<String>,
    attempt: Option<u32>,
    productive: Option<bool>,
    proposal_key: Option<String>,
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

/// Reads a whole trace, so that nothing of it is taken in where a line is wrong.
///
/// # Errors
/// When it cannot be read; the first line that is not of the form, unless such lines are skipped.
pub fn read_trace(mut reader: impl BufRead, on_malformed: OnMalformed) -> Result<Trace, TraceError> {
    let mut trace = Trace::default();
    let mut seen: HashMap<[u8; 16], u64> = HashMap::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        let Some(whole) = read_line(&mut reader, &mut bytes)? else {
            break;
        };
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let occurrence = seen.entry(digest(&bytes, 0)).or_default();
        match if whole { parse(line, &bytes, *occurrence) } else { Err(LineProblem::Length) } {
            Ok(row) => trace.rows.push(row),
            Err(problem) if on_malformed == OnMalformed::Skip => trace.skipped.push((line, problem.to_string())),
            Err(problem) => return Err(TraceError::Line { line, problem }),
        }
        *occurrence = occurrence.saturating_add(1);
    }
    Ok(trace)
}

/// Reads a line without its end; whether it is all there, or nothing at the end. What is past the bound is passed over.
fn read_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    let bound = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(2);
    bytes.clear();
    if reader.by_ref().take(bound).read_until(b'\n', bytes)? == 0 {
        return Ok(None);
    }
    let mut whole = true;
    if bytes.last() != Some(&b'\n') && bytes.len() > MAX_LINE_BYTES {
        whole = false;
        let mut rest = Vec::new();
        while reader.by_ref().take(bound).read_until(b'\n', &mut rest)? > 0 && rest.last() != Some(&b'\n') {
            rest.clear();
        }
    }
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Ok(Some(whole && bytes.len() <= MAX_LINE_BYTES))
}

fn digest(line: &[u8], occurrence: u64) -> [u8; 16] {
    let digest = Sha256::new().chain_update(occurrence.to_le_bytes()).chain_update(line).finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    id
}

fn parse(number: usize, bytes: &[u8], occurrence: u64) -> Result<Row, LineProblem> {
    let Object(line) = form::from_json::<Object<Line>>(bytes)?;
    let task = either(("task", line.task.as_ref()), ("task_id", line.task_id.as_ref()))?;
    let stage = either(("stage", line.stage.as_ref()), ("phase", line.phase.as_ref()))?;
    let time = |field| LineProblem::Time { field };
    let started_ms = u64::try_from(line.started_at.as_millisecond()).map_err(|_| time("started_at"))?;
    let duration_ms = match (line.duration_ms, line.duration_s) {
        (Some(milliseconds), _) => milliseconds,
        (None, Some(seconds)) => seconds.checked_mul(1000).ok_or(time("duration_s"))?,
        (None, None) => return Err(LineProblem::Duration),
    };
    let usage = line.usage()?;
    let cost = match line.cost_usd.as_deref().map(RawValue::get) {
        None | Some("null") => None,
        Some(number) => Some(Nanodollars::from_decimal_rounded(number)?)
            // A zero beside an unknown usage stands where nobody knows.
            .filter(|cost| usage.is_some() || *cost > Nanodollars::ZERO),
    };
    Ok(Row {
        line: number,
        identity: digest(bytes, occurrence),
        task: task.unwrap_or_else(|| line.run.clone()),
        run: line.run,
        stage: stage.unwrap_or_default(),
        task_type: line.task_type,
        organisation: line.organisation,
        team: line.team,
        project: line.project,
        work_item: line.work_item,
        user: line.user,
        priority: line.priority.unwrap_or_default(),
        model: line.model,
        tier: line.tier,
        attempt: line.attempt,
        started_ms,
        ended_ms: started_ms.checked_add(duration_ms).ok_or(time("duration_ms"))?,
        status: line.status,
        failure_kind: line.failure_kind,
        productive: line.productive,
        proposal: line.proposal_key,
        usage,
        cost,
        lines_production: line.loc_production_delta,
        lines_test: line.loc_test_delta,
        size: line.size,
        trace_id: line.trace_id,
    })
}

/// A field with two names, which may say the same twice.
fn either(
    one: (&'static str, Option<&String>),
    other: (&'static str, Option<&String>),
) -> Result<Option<String>, LineProblem> {
    match (one.1, other.1) {
        (Some(first), Some(second)) if first != second => {
            Err(LineProblem::TwoNames { one: (one.0, first.clone()), other: (other.0, second.clone()) })
        }
        (first, second) => Ok(first.or(second).cloned()),
    }
}

impl Line {
    /// The usage; nothing where the trace says that none was reported, or names no output.
    fn usage(&self) -> Result<Option<Usage>, LineProblem> {
        let Some(output) = self.output_tokens.filter(|_| self.usage_reported != Some(false)) else {
            return Ok(None);
        };
        let usage = Usage {
            uncached_input: self.input_tokens.unwrap_or(0),
            cache_read: self.cache_read_tokens.unwrap_or(0),
            cache_write_5m: self.cache_write_tokens.unwrap_or(0),
            cache_write_1h: self.cache_write_1h_tokens.unwrap_or(0),
            output,
            reasoning: self.reasoning_tokens.unwrap_or(0),
        };
        usage.input().ok_or(LineProblem::Tokens)?;
        Ok(Some(usage))
    }
}

impl Row {
    /// What its budgets are found by.
    #[must_use]
    pub fn names(&self) -> Vec<(Dimension, &str)> {
        let scope = Dimension::Scope;
        let named = [
            (scope(ScopeKind::Organisation), self.organisation.as_ref()),
            (scope(ScopeKind::Team), self.team.as_ref()),
            (scope(ScopeKind::Project), self.project.as_ref()),
            (scope(ScopeKind::WorkItem), self.work_item.as_ref()),
            (scope(ScopeKind::Run), Some(&self.run)),
            (scope(ScopeKind::User), self.user.as_ref()),
            (Dimension::TaskType, self.task_type.as_ref()),
            (Dimension::Model, self.model.as_ref()),
        ];
        named.into_iter().filter_map(|(dimension, name)| Some((dimension, name?.as_str()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"run":"r","phase":"coding","task_id":"5","status":"failed","started_at":"2026-02-25T04:25:30Z","duration_s":164,"input_tokens":2,"cache_write_tokens":71783,"cache_read_tokens":15594,"output_tokens":8948,"cost_usd":0.41586499999999993,"num_turns":null}"#;

    fn row(line: &str) -> Row {
        read_trace(line.as_bytes(), OnMalformed::Stop).unwrap().rows.remove(0)
    }

    #[test]
    fn a_row_is_read_and_its_cost_is_exact() {
        let row = row(LINE);
        assert_eq!((row.line, row.stage.as_str(), row.task.as_str()), (1, "coding", "5"));
        assert_eq!(row.cost, Some(Nanodollars::new(415_865_000)));
        assert_eq!(row.ended_ms - row.started_ms, 164_000);
    }

    #[test]
    fn two_names_may_say_the_same_and_a_byte_order_mark_nothing() {
        let line = LINE.replace("\"task_id\"", "\"task\":\"5\",\"task_id\"");
        assert_eq!(row(&format!("\u{feff}{line}")).task, "5");
    }

    #[test]
    fn unknown_is_not_zero() {
        let unreported = LINE.replace("\"num_turns\"", "\"usage_reported\":false,\"num_turns\"");
        assert_eq!(row(&unreported).usage, None);
        assert_eq!(row(&unreported.replace("0.41586499999999993", "0.0")).cost, None);
        assert_eq!(row(&LINE.replace("0.41586499999999993", "null")).cost, None);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (from, to, says) in [
            ("\"failed\"", "\"broken\"", "unknown variant `broken`"),
            ("2026-02-25T04:25:30Z", "yesterday", "year"),
            ("2026-02-25T04:25:30Z", "1969-02-25T04:25:30Z", "`started_at` lies before 1970"),
            ("\"duration_s\":164,", "", "neither `duration_s` nor `duration_ms`"),
            ("0.41586499999999993", "-1", "cost_usd"),
            ("{\"run\":\"r\",", "{", "missing field `run`"),
            ("\"input_tokens\":2", "\"input_tokens\":-2", "`input_tokens`: invalid value"),
            ("\"task_id\"", "\"task\":\"6\",\"task_id\"", "`task` is `6` and `task_id` is `5`"),
            ("\"run\":\"r\"", "\"run\":7", "column 8: `run`: invalid type: integer `7`, expected a string"),
            (LINE, "[\"r\"]", "expected an object"),
            ("\"input_tokens\":2", "\"input_tokens\":18446744073709551615", "too large to be counted"),
        ] {
            let trace = format!("{LINE}\n{}", LINE.replace(from, to));
            let error = read_trace(trace.as_bytes(), OnMalformed::Stop).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(says), "{to}: {error}");
            assert!(!error.contains("at line"), "{to}: {error}");
        }
    }

    #[test]
    fn a_line_that_is_no_text_or_too_long_is_skipped_where_such_lines_are() {
        let long = format!("{}{}", LINE, " ".repeat(MAX_LINE_BYTES + 1 - LINE.len()));
        let longest = &long[..MAX_LINE_BYTES];
        let endless = "x".repeat(3 * MAX_LINE_BYTES);
        let mut trace = format!("{LINE}\n{long}\r\n{longest}\r\n{endless}\n").into_bytes();
        trace.extend(b"\xff\xfe\n\n");
        trace.extend(LINE.as_bytes());
        let read = read_trace(&trace[..], OnMalformed::Skip).unwrap();
        let rows: Vec<usize> = read.rows.iter().map(|row| row.line).collect();
        let skipped: Vec<usize> = read.skipped.iter().map(|(line, _)| *line).collect();
        assert_eq!((rows, skipped), (vec![1, 3, 7], vec![2, 4, 5]));
        assert_ne!(read.rows[0].identity, read.rows[2].identity, "the same line again is another invocation");
        assert!(matches!(read_trace(&trace[..], OnMalformed::Stop), Err(TraceError::Line { line: 2, .. })));
    }
}
