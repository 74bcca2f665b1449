//! Everything that is tested with cargo alone. What needs software from outside Rust is in [`crate::external`].

use std::process::Command;

use anyhow::Result;

use crate::build::build_host;
use crate::components::build_guests;
use crate::process::{cargo, run};
use crate::stage::stage;
use crate::workspace::Project;

/// Case folders and hostile guests are listed by the tests that run them: their output has to be shown.
const SHOWN: [&str; 2] = ["--", "--show-output"];

pub(crate) fn test(project: &Project) -> Result<()> {
    build_tested(project)?;
    stage("tests of the workspace: unit, documentation, cases, hostile guests", || {
        run(with_built_paths(project, &mut cargo())
            .current_dir(&project.root)
            .args(["test", "--workspace"])
            .args(SHOWN))
    })?;
    stage("native tests of the shipped policies", || {
        run(with_built_paths(project, &mut cargo())
            .current_dir(project.root.join("plugins"))
            .args(["test", "--workspace", "--target-dir"])
            .arg(project.plugins_native_target())
            .args(SHOWN))
    })
}

/// The components and the binary that tests run.
pub(crate) fn build_tested(project: &Project) -> Result<()> {
    build_guests(project)?;
    build_host(project)
}

/// Tells tests where to find what [`build_tested`] built.
pub(crate) fn with_built_paths<'c>(project: &Project, command: &'c mut Command) -> &'c mut Command {
    command
        .env("TOLLGATE_PLUGINS", project.plugins_out())
        .env("TOLLGATE_GUESTS", project.test_guests_out())
        .env("TOLLGATE_BIN", project.tollgate())
}
