//! `tollgate import`: takes a recorded trace into the ledger, so that reports have something real to show.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tollgate_ledger::import_trace;
use tollgate_ledger::trace::OnMalformed;

use crate::data::DataArguments;
use crate::output;
use crate::replay::read_trace;

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

/// What a line does that is not of the form.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Malformed {
    /// Ends the command; nothing is taken.
    Stop,
    /// Is reported and passed over.
    Skip,
}

impl From<Malformed> for OnMalformed {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Stop => Self::Stop,
            Malformed::Skip => Self::Skip,
        }
    }
}

pub(crate) fn run(arguments: &ImportArguments) -> anyhow::Result<()> {
    // All of it is read before there is a ledger, so a trace that is not taken leaves nothing behind.
    let trace = read_trace(&arguments.trace, arguments.on_malformed.into())?;
    let ledger = arguments.data.open()?;
    let imported = import_trace(&ledger, trace).with_context(|| format!("`{}`", arguments.trace.display()))?;
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
