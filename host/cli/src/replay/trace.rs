//! Reading a trace: JSON lines, one invocation each. docs/trace-format.md is the form; fields it does not name are
//! passed over, since traces are others' data.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tollgate_core::form::{self, Object};
use tollgate_core::{Nanodollars, Priority, Usage};

use super::OnMalformed;

/// The longest line that is read.
const MAX_LINE_BYTES: usize = 1 << 20;

/// One invocation: a whole agent session recorded as one row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its line in the trace, from 1.
    pub(crate) line: usize,
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) stage: String,
    pub(crate) task_type: Option<String>,
    pub(crate) organisation: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) work_item: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) priority: Priority,
    /// The model that worked on it, where the trace says.
    pub(crate) model: Option<String>,
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: u64,
    pub(crate) status: RowStatus,
    pub(crate) failure_kind: Option<String>,
    /// Whether it changed anything, where that is known.
    pub(crate) productive: Option<bool>,
    pub(crate) proposal: Option<String>,
    /// Nothing where the trace has no usage for it, which is not a usage of nothing.
    pub(crate) usage: Option<Usage>,
    /// Nothing where the trace has no cost for it, likewise.
    pub(crate) cost: Option<Nanodollars>,
}

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RowStatus {
    Success,
    Failed,
    Rejected,
    ProviderUnavailable,
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
    user: Option<String>,
    priority: Option<Priority>,
    model: Option<String>,
    status: RowStatus,
    failure_kind: Option<String>,
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
}

/// The rows of a trace and how many lines were passed over.
pub(crate) struct Trace {
    pub(crate) rows: Vec<Row>,
    pub(crate) skipped: u64,
}

pub(crate) fn read(file: &Path, on_malformed: OnMalformed) -> anyhow::Result<Trace> {
    let open = File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut reader = BufReader::new(open);
    let mut trace = Trace { rows: Vec::new(), skipped: 0 };
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).with_context(|| format!("cannot read `{}`", file.display()))?;
        if read == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        match (parse(line, &bytes), on_malformed) {
            (Ok(row), _) => trace.rows.push(row),
            (Err(error), OnMalformed::Stop) => {
                return Err(error
                    .context(format!("`{}` line {line}", file.display()))
                    .context("a malformed line (--on-malformed skip passes over such lines)"));
            }
            (Err(error), OnMalformed::Skip) => {
                eprintln!("tollgate: `{}` line {line} is passed over: {error:#}", file.display());
                trace.skipped += 1;
            }
        }
    }
    if trace.rows.is_empty() {
        bail!("`{}` holds no invocation", file.display());
    }
    Ok(trace)
}

fn parse(number: usize, bytes: &[u8]) -> anyhow::Result<Row> {
    if bytes.len() > MAX_LINE_BYTES {
        bail!("it has {} bytes, and a line has at most {MAX_LINE_BYTES}", bytes.len());
    }
    let Object(line) = form::from_json::<Object<Line>>(bytes).map_err(|error| {
        // The line of the trace is told by the caller; a line of JSON has only a column.
        anyhow!("column {}: {}", error.column, error.without_place())
    })?;
    let task = either(("task", line.task.as_ref()), ("task_id", line.task_id.as_ref()))?;
    let stage = either(("stage", line.stage.as_ref()), ("phase", line.phase.as_ref()))?;
    let started_ms = u64::try_from(line.started_at.as_millisecond()).context("`started_at` lies before 1970")?;
    let duration_ms = match (line.duration_ms, line.duration_s) {
        (Some(milliseconds), _) => milliseconds,
        (None, Some(seconds)) => seconds.checked_mul(1000).context("`duration_s` is too large")?,
        (None, None) => bail!("it has neither `duration_s` nor `duration_ms`"),
    };
    let ended_ms = started_ms.checked_add(duration_ms).context("it ends too late to be counted")?;
    let unreported = line.usage_reported == Some(false);
    let cost = match line.cost_usd.as_deref().map(RawValue::get) {
        None | Some("null") => None,
        Some(number) => Some(Nanodollars::from_decimal_rounded(number).context("`cost_usd`")?)
            // Nothing was reported, and a zero stands where nobody knows.
            .filter(|cost| !(unreported && *cost == Nanodollars::ZERO)),
    };
    Ok(Row {
        line: number,
        usage: line.usage()?,
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
        started_ms,
        ended_ms,
        status: line.status,
        failure_kind: line.failure_kind,
        productive: line.productive,
        proposal: line.proposal_key,
        cost,
    })
}

/// A field with two names, which may say the same twice.
fn either(one: (&str, Option<&String>), other: (&str, Option<&String>)) -> anyhow::Result<Option<String>> {
    match (one.1, other.1) {
        (Some(first), Some(second)) if first != second => bail!(
            "`{}` is `{first}` and `{}` is `{second}`: they are two names of one field, so leave one of them out",
            one.0,
            other.0
        ),
        (first, second) => Ok(first.or(second).cloned()),
    }
}

impl Line {
    /// The usage; nothing where the trace says that none was reported, or names no output.
    fn usage(&self) -> anyhow::Result<Option<Usage>> {
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
        usage.input().context("the sum of its input tokens is too large to be counted")?;
        Ok(Some(usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"run":"r","phase":"coding","task_id":"5","status":"failed","started_at":"2026-02-25T04:25:30Z","duration_s":164,"input_tokens":2,"cache_write_tokens":71783,"cache_read_tokens":15594,"output_tokens":8948,"cost_usd":0.41586499999999993,"num_turns":null}"#;

    #[test]
    fn a_row_is_read_and_its_cost_is_exact() -> anyhow::Result<()> {
        let row = parse(7, LINE.as_bytes())?;
        assert_eq!((row.line, row.stage.as_str(), row.task.as_str()), (7, "coding", "5"));
        assert_eq!(row.cost, Some(Nanodollars::new(415_865_000)));
        assert_eq!(row.ended_ms - row.started_ms, 164_000);
        Ok(())
    }

    #[test]
    fn unknown_is_not_zero() -> anyhow::Result<()> {
        let row = parse(1, LINE.replace("\"num_turns\"", "\"usage_reported\":false,\"num_turns\"").as_bytes())?;
        assert_eq!(row.usage, None);
        let row = parse(1, LINE.replace("0.41586499999999993", "null").as_bytes())?;
        assert_eq!(row.cost, None);
        Ok(())
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (from, to, says) in [
            ("\"failed\"", "\"broken\"", "unknown variant `broken`"),
            ("2026-02-25T04:25:30Z", "yesterday", "year"),
            ("\"duration_s\":164,", "", "neither `duration_s` nor `duration_ms`"),
            ("0.41586499999999993", "-1", "cost_usd"),
            ("{\"run\":\"r\",", "{", "missing field `run`"),
            ("\"input_tokens\":2", "\"input_tokens\":-2", "`input_tokens`: invalid value"),
            ("\"task_id\"", "\"task\":\"6\",\"task_id\"", "`task` is `6` and `task_id` is `5`"),
            ("\"run\":\"r\"", "\"run\":7", "column 8: `run`: invalid type: integer `7`, expected a string"),
            (LINE, "[\"r\"]", "expected an object"),
        ] {
            let error = parse(1, LINE.replace(from, to).as_bytes()).map(|_| ()).map_err(|error| format!("{error:#}"));
            assert!(error.as_ref().is_err_and(|error| error.contains(says)), "{to}: {error:?}");
            assert!(error.as_ref().is_err_and(|error| !error.contains("at line")), "{to}: {error:?}");
        }
    }

    #[test]
    fn two_names_may_say_the_same_and_a_byte_order_mark_nothing() -> anyhow::Result<()> {
        let line = LINE.replace("\"task_id\"", "\"task\":\"5\",\"task_id\"");
        assert_eq!(parse(1, format!("\u{feff}{line}").as_bytes())?.task, "5");
        Ok(())
    }
}
