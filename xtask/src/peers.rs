//! The comparison with other engines: builds it, since nothing else does, and hands over to it.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::components::{build_core_module, build_plugins};
use crate::process::{cargo, run};
use crate::stage::stage;
use crate::toolchain::GuestToolchain;
use crate::workspace::Project;

const PROGRAM: &str = "tollgate-peers";

/// The status is that of the comparison, to which `arguments` go unchanged.
pub(crate) fn bench(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    let toolchain = GuestToolchain::obtain(project)?;
    build_plugins(project, &toolchain)?;
    let manifest = project.peers_manifest();
    let guest = stage("the guest of extism", || build_core_module(project, &toolchain, &manifest, "extism-guest"))?;
    stage("the peers, release: seven engines, two of them with a wasmtime of their own version", || {
        run(cargo()
            .current_dir(&project.root)
            .args(["build", "--release", "--package", PROGRAM, "--manifest-path"])
            .arg(&manifest)
            .arg("--target-dir")
            .arg(project.peers_target()))
    })?;
    let program = project.peers_target().join("release").join(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(&program)
        .arg("--plugins")
        .arg(project.plugins_out())
        .arg("--extism-guest")
        .arg(&guest)
        .args(arguments)
        .status()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
