//! The ledger's long tests: built here, run with their output, their exit status passed on. What they do and which
//! bounds they hold is in `host/ledger/examples/`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::process::{cargo, run};
use crate::workspace::Project;

/// What can be crashed.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Subject {
    /// The ledger on its real storage
    Ledger,
    /// The gateway under load
    Gateway,
}

pub(crate) fn long_test(project: &Project, example: &str, arguments: &[String]) -> Result<ExitCode> {
    run(cargo().current_dir(&project.root).args([
        "build",
        "--release",
        "--package",
        "tollgate-ledger",
        "--example",
        example,
    ]))?;
    let program = project.target.join("release/examples").join(example);
    let status = Command::new(&program)
        .args(arguments)
        .status()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
