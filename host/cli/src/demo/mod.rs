//! `tollgate demo`: a generated pipeline, decided by the four shipped policies, and then the same policies live in a gateway.

mod generate;
mod live;

use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use tollgate_core::{Configuration, Outcome, PolicyKind};
use tollgate_ledger::prices::PriceTable;

use crate::output;
use crate::records::Recording;
use crate::replay::{self, DecidedRow, Summary};
use crate::setup::SetupArguments;
use crate::view::DecisionView;
use live::Telling;

/// The shipped policies with budgets and a ceiling for the teams of the demonstration.
const CONFIGURATION: &str = include_str!("demo.toml");

#[derive(Args)]
pub(crate) struct DemoArguments {
    /// Another seed, another pipeline of the same shape.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// A folder with plugins, searched first.
    #[arg(long, value_name = "FOLDER")]
    plugins: Option<std::path::PathBuf>,
    /// Write a record of every decision to this folder; `tollgate log`, `explain` and `replay --against` read them.
    #[arg(long, value_name = "FOLDER")]
    records: Option<std::path::PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Demonstration<'a> {
    seed: u64,
    examples: &'a [Example],
    #[serde(flatten)]
    summary: &'a Summary,
    live: &'a live::Shown,
}

/// The first time a kind of policy settled an outcome.
#[derive(Serialize)]
struct Example {
    kind: PolicyKind,
    what: String,
    why: String,
}

pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    let configuration = Configuration::parse(CONFIGURATION)?;
    let setup = SetupArguments { config: None, plugins: arguments.plugins.clone() };
    let host = Arc::new(setup.host_builder()?.build(&configuration)?);
    let mut recording = arguments.records.as_deref().map(|folder| Recording::open(folder, &host)).transpose()?;
    let rows = generate::pipeline(arguments.seed);
    let mut examples = Vec::new();
    let summary =
        replay::summarise(&host, &configuration, &PriceTable::builtin(), rows, recording.as_mut(), |decided| {
            let view = DecisionView::of(&decided.decision, &decided.dispatch, &host);
            examples.extend(
                example(decided, &view).filter(|new| examples.iter().all(|old: &Example| old.kind != new.kind)),
            );
        })?;
    if let Some(recording) = recording {
        recording.finish();
    }
    let telling = if arguments.json { Telling::Silent } else { Telling::Aloud };
    if telling == Telling::Aloud {
        output::print(&render(arguments.seed, &examples, &summary))?;
    }
    let acted = summary.kinds_that_acted();
    if let Some(idle) = PolicyKind::ALL.iter().find(|kind| !acted.contains(kind)) {
        bail!("no {idle} policy acted on the pipeline of seed {}: this demonstrates nothing", arguments.seed);
    }
    let live = live::show(&setup, telling)?;
    if telling == Telling::Silent {
        let (seed, examples, summary, live) = (arguments.seed, &*examples, &summary, &live);
        output::print_json(&Demonstration { seed, examples, summary, live })?;
    }
    Ok(())
}

/// What to show of a decision: who changed the course of a dispatch, and why.
fn example(decided: &DecidedRow, view: &DecisionView) -> Option<Example> {
    let row = &decided.row;
    let who =
        format!("{} invocation of task {} in run {} (team {})", row.stage, row.task, row.run, row.team.as_deref()?);
    if let Outcome::Proceed(_) = decided.decision.outcome {
        let model = view.model.clone()?;
        let tier = view.tier?;
        let task_type = row.task_type.clone()?;
        return (tier != tollgate_core::Tier::Premium).then(|| Example {
            kind: PolicyKind::Routing,
            what: format!("routed a {who} to {model}"),
            why: format!("{task_type} is work for the {tier} tier"),
        });
    }
    let kind = view.verdicts.last().map(|verdict| verdict.kind)?;
    let kind = PolicyKind::ALL.iter().copied().find(|one| one.as_str() == kind)?;
    let reason = view.reason.as_ref().map(|reason| reason.text.clone())?;
    let what = match view.outcome {
        "hold" => format!("held a {who} for a human"),
        "refuse" => format!("refused a {who}"),
        _ => return None,
    };
    Some(Example { kind, what, why: reason })
}

fn render(seed: u64, examples: &[Example], summary: &Summary) -> String {
    let mut text = format!(
        "A generated agent pipeline (seed {seed}): three teams plan and code, some tasks fail again and again,\n\
         one run is a runaway. Every invocation was decided by four WebAssembly policies, as it would have been live.\n\n"
    );
    for example in examples {
        text.push_str(&format!("{:<14}{}\n{:<14}because {}\n", example.kind, example.what, "", example.why));
    }
    text.push('\n');
    text.push_str(&replay::render_summary(summary));
    text
}
