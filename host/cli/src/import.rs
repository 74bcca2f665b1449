//! `tollgate import`: takes a recorded trace into the ledger, so that reports have something real to show.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tollgate_ledger::{OnMalformed, import_trace};

use crate::data::DataArguments;
use crate::output;

#[derive(Args)]
pub(crate) struct ImportArguments {
    /// A trace: JSON lines as docs/trace-format.md describes them.
    trace: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    /// What to do about a line that is not of the form.
    #[arg(long, value_enum, default_value_t = Malformed::Stop)]
    on_malformed: Malformed,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Malformed {
    Stop,
    Skip,
}

pub(crate) fn run(arguments: &ImportArguments) -> anyhow::Result<()> {
    let file = File::open(&arguments.trace).with_context(|| format!("cannot read `{}`", arguments.trace.display()))?;
    let on_malformed = match arguments.on_malformed {
        Malformed::Stop => OnMalformed::Stop,
        Malformed::Skip => OnMalformed::Skip,
    };
    let ledger = arguments.data.open()?;
    let imported = import_trace(&ledger, BufReader::new(file), on_malformed)
        .with_context(|| format!("`{}`", arguments.trace.display()))?;
    for (line, problem) in &imported.skipped {
        eprintln!("tollgate: line {line} is passed over: {problem}");
    }
    if arguments.json {
        return output::print_json(&imported);
    }
    output::print(&format!(
        "imported {} calls ({} were there already, {} lines passed over, {} of unknown cost)\n",
        imported.calls,
        imported.repeated,
        imported.skipped.len(),
        imported.without_cost
    ))
}
