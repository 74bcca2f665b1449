//! `tollgate replay`: a recorded trace, decided as it would have been live.
//!
//! read rows ([`trace`]) ─► in order of time, each decided on the outcomes before it ([`timeline`]) ─► added up
//! ([`tally`]) ─► printed ([`render`])

mod estimate;
mod render;
mod tally;
mod timeline;
mod trace;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::import::Malformed;
use crate::records::Recording;
use crate::setup::{self, SetupArguments};
use crate::view::DecisionView;
use crate::{against, output};

pub(crate) use tally::Tally;
pub(crate) use timeline::{DecidedRow, Timeline};
pub(crate) use trace::{Row, RowStatus, read as read_trace};

#[derive(Args)]
pub(crate) struct ReplayArguments {
    /// The trace: JSON lines, one invocation each; its form is in docs/trace-format.md. With --against, a folder of decision
    /// records.
    trace: PathBuf,
    #[command(flatten)]
    setup: SetupArguments,
    /// A price table in LiteLLM's format, over the built-in one.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Write every decision as a JSON line to this file.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Write a record of every decision to this folder; `tollgate log` and `tollgate explain` read them.
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    /// Decide recorded dispatches again with the policies of this configuration, and tell what is different.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "prices", "decisions", "records"])]
    against: Option<PathBuf>,
    /// What a line that is not an invocation does.
    #[arg(long, value_enum, default_value_t = Malformed::Stop)]
    on_malformed: Malformed,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &ReplayArguments) -> anyhow::Result<()> {
    if let Some(against) = &arguments.against {
        let setup = SetupArguments { config: Some(against.clone()), ..arguments.setup.clone() };
        return against::run(&arguments.trace, &setup, arguments.json);
    }
    if arguments.trace.is_dir() {
        anyhow::bail!(
            "`{}` is a folder, and a trace is a file: decision records are replayed with `--against <FILE>`",
            arguments.trace.display(),
        );
    }
    let prices = setup::prices(arguments.prices.as_deref())?;
    let configuration = arguments.setup.configuration()?;
    let trace = trace::read(&arguments.trace, arguments.on_malformed.into())?;
    let host = Arc::new(arguments.setup.host_builder()?.build(&configuration)?);
    if let Some(decisions) = &arguments.decisions
        && decisions.canonicalize().ok() == Some(arguments.trace.canonicalize()?)
    {
        anyhow::bail!("`--decisions` is the trace itself, which would be lost: name another file");
    }
    let mut decisions = arguments.decisions.as_deref().map(Decisions::create).transpose()?;
    let mut recording = arguments.records.as_deref().map(|folder| Recording::open(folder, &host)).transpose()?;
    let mut tally = Tally::new(trace.skipped.len() as u64);
    let timeline = Timeline::new(&host, &configuration, &prices, trace.rows)?;
    for decided in timeline.recorded_by(recording.as_mut()) {
        let decided = decided?;
        tally.add(&decided, &host);
        if let Some(decisions) = &mut decisions {
            decisions.write(&decided, &DecisionView::of(&decided.decision, &decided.dispatch, &host))?;
        }
    }
    if let Some(decisions) = decisions {
        decisions.finish()?;
    }
    if let Some(recording) = recording {
        recording.finish();
    }
    let summary = tally.summary(host.switches().switches().len());
    if arguments.json { output::print_json(&summary) } else { output::print(&render::summary(&summary)) }
}

/// Every decision, a JSON line each, without timings: the same trace and policies give the same bytes.
struct Decisions {
    file: PathBuf,
    out: BufWriter<File>,
}

#[derive(Serialize)]
struct DecisionLine<'a> {
    line: usize,
    run: &'a str,
    task: &'a str,
    stage: &'a str,
    started_ms: u64,
    recorded: RowStatus,
    waited_ms: u32,
    #[serde(flatten)]
    decision: &'a DecisionView,
}

impl Decisions {
    fn create(file: &std::path::Path) -> anyhow::Result<Self> {
        let out = File::create(file).with_context(|| format!("cannot write `{}`", file.display()))?;
        Ok(Self { file: file.to_owned(), out: BufWriter::new(out) })
    }

    fn write(&mut self, decided: &DecidedRow, decision: &DecisionView) -> anyhow::Result<()> {
        let row = &decided.row;
        let line = DecisionLine {
            line: row.line,
            run: &row.run,
            task: &row.task,
            stage: &row.stage,
            started_ms: row.started_ms,
            recorded: row.status,
            waited_ms: decided.dispatch.waited_ms,
            decision,
        };
        let write = |out: &mut BufWriter<File>| -> std::io::Result<()> {
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")
        };
        write(&mut self.out).with_context(|| format!("cannot write `{}`", self.file.display()))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.out.flush().with_context(|| format!("cannot write `{}`", self.file.display()))
    }
}

/// Replays rows that are at hand, for the demonstration.
pub(crate) fn summarise(
    host: &tollgate_runtime::Host,
    configuration: &tollgate_core::Configuration,
    prices: &tollgate_ledger::prices::PriceTable,
    rows: Vec<Row>,
    recording: Option<&mut Recording>,
    mut each: impl FnMut(&DecidedRow),
) -> anyhow::Result<tally::Summary> {
    let mut tally = Tally::new(0);
    for decided in Timeline::new(host, configuration, prices, rows)?.recorded_by(recording) {
        let decided = decided?;
        tally.add(&decided, host);
        each(&decided);
    }
    Ok(tally.summary(host.switches().switches().len()))
}

pub(crate) use render::{dollars as render_dollars, summary as render_summary};
pub(crate) use tally::{Dollars, Summary};
