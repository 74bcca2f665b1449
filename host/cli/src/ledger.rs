//! `tollgate ledger`: checks a ledger, or writes it out.

use std::io::{BufWriter, Write};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use tollgate_ledger::report::Period;
use tollgate_ledger::{ExportFormat, export};

use crate::data::DataArguments;
use crate::output;

#[derive(Args)]
pub(crate) struct LedgerArguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Subcommand)]
enum What {
    /// Recompute every account from the entries and compare
    Verify {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write the ledger to standard output
    Export {
        /// In which form
        #[arg(long, value_enum, default_value_t = Form::Jsonl)]
        format: Form,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// An entry a line, each a JSON object
    Jsonl,
    /// An entry a line
    Csv,
    /// A call a line, with the columns of FOCUS
    Focus,
}

pub(crate) fn run(arguments: &LedgerArguments) -> anyhow::Result<()> {
    let store = arguments.data.read()?;
    match arguments.what {
        What::Verify { json } => {
            let found = store.verify()?;
            if json {
                output::print_json(&found)?;
            } else {
                output::print(&format!(
                    "{} windows, {} entries, {} open reservations, {} differences, {} resolved twice, {} misplaced, {} calls that differ\n{}",
                    found.windows,
                    found.entries,
                    found.open,
                    found.differences.len(),
                    found.resolved_twice,
                    found.misplaced,
                    found.calls_differing,
                    found.damage.as_ref().map(|damage| format!("damaged: {damage}\n")).unwrap_or_default(),
                ))?;
            }
            if !found.is_clean() {
                bail!("the ledger does not agree with its entries");
            }
        }
        What::Export { format } => {
            let format = match format {
                Form::Jsonl => ExportFormat::JsonLines,
                Form::Csv => ExportFormat::Csv,
                Form::Focus => ExportFormat::Focus,
            };
            let mut to = BufWriter::new(std::io::stdout().lock());
            export(&store, format, Period::default(), &mut to)?;
            to.flush()?;
        }
    }
    Ok(())
}
