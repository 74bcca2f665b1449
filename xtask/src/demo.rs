//! The demonstration: builds, then hands over to `tollgate demo`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::build::build;
use crate::workspace::Project;

/// The status is that of `tollgate demo`, to which `arguments` go unchanged.
pub(crate) fn demo(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    build(project)?;
    eprintln!("\n== tollgate demo {}", arguments.join(" "));
    let program = project.tollgate();
    let status = Command::new(&program)
        .current_dir(&project.root)
        .arg("demo")
        .args(arguments)
        .status()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    // Ended by a signal: no status of its own, and surely no success.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
