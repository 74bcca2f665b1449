//! Long tests of the host: built with what they load, run with their output, their exit status passed on. What they do
//! and which bounds they hold is in `tests/src/bin/`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::components::build_guests;
use crate::process::{cargo, run};
use crate::stage::stage;
use crate::test::with_built_paths;
use crate::workspace::Project;

/// Reloads under load; `arguments` go on to it, as in `--reloads 1000` or `--trapping`.
pub(crate) fn reload(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    build_guests(project)?;
    stage("soak-reload, release", || {
        run(cargo().current_dir(&project.root).args(["build", "--release", "--workspace", "--bin", "soak-reload"]))
    })?;
    let program = project.tollgate().with_file_name(format!("soak-reload{}", std::env::consts::EXE_SUFFIX));
    let status = with_built_paths(project, &mut Command::new(&program))
        .args(arguments)
        .status()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
