//! What a user runs: the release binary and the components of the shipped policies.

use anyhow::Result;

use crate::components;
use crate::process::{cargo, run};
use crate::stage::stage;
use crate::toolchain::GuestToolchain;
use crate::workspace::Project;

/// Leaves `target/release/tollgate` and `target/release/plugins/`.
pub(crate) fn build(project: &Project) -> Result<()> {
    let toolchain = GuestToolchain::obtain(project)?;
    components::build_plugins(project, &toolchain)?;
    build_host(project)
}

/// Always the whole workspace's features: with those of one package alone cargo would build wasmtime a second time.
pub(crate) fn build_host(project: &Project) -> Result<()> {
    stage("host, release (minutes the first time: it contains a compiler)", || {
        run(cargo().current_dir(&project.root).args(["build", "--release", "--workspace", "--bin", "tollgate"]))
    })
}
