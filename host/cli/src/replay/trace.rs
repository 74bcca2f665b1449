//! A trace from a file, for commands: what is passed over is said at once.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use tollgate_ledger::trace::{OnMalformed, Trace, TraceError, read_trace};
pub(crate) use tollgate_ledger::trace::{Row, RowStatus};

/// Reads all of it.
pub(crate) fn read(file: &Path, on_malformed: OnMalformed) -> anyhow::Result<Trace> {
    let open = File::open(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let trace = read_trace(BufReader::new(open), on_malformed).map_err(|error| match error {
        TraceError::Line { .. } => {
            anyhow!("`{}` {error} (`--on-malformed skip` passes over such lines)", file.display())
        }
        TraceError::Read(error) => anyhow!("cannot read `{}`: {error}", file.display()),
    })?;
    for (line, problem) in &trace.skipped {
        eprintln!("tollgate: `{}` line {line} is passed over: {problem}", file.display());
    }
    if trace.rows.is_empty() {
        bail!("`{}` holds no invocation", file.display());
    }
    Ok(trace)
}
