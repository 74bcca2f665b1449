//! Where the plugins are, and hosts that load them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tollgate_core::config::Isolation;
use tollgate_core::{Configuration, PolicyKind};
use tollgate_runtime::Host;
use tollgate_runtime::control::measured_configuration;

/// The folder with the four shipped plugins.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let folder = match env::var_os("TOLLGATE_PLUGINS") {
        Some(named) => PathBuf::from(named),
        None => beside_this_program().context("this program is in no folder: set `TOLLGATE_PLUGINS`")?,
    };
    for kind in PolicyKind::ALL {
        let file = file(&folder, *kind);
        ensure!(
            file.is_file(),
            "no plugin `{}`: build the plugins with `cargo xtask build`, or set `TOLLGATE_PLUGINS` to their folder",
            file.display()
        );
    }
    Ok(folder)
}

/// `plugins` in the folder of the profile; benches lie in its `deps`.
fn beside_this_program() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("plugins"))
}

/// The file of the shipped policy of a kind.
pub(crate) fn file(folder: &Path, kind: PolicyKind) -> PathBuf {
    folder.join(format!("{kind}.wasm"))
}

/// A host with the policies that the measured configuration keeps.
pub(crate) fn host(folder: &Path, change: impl FnOnce(&mut Configuration)) -> anyhow::Result<Host> {
    let mut configuration = measured_configuration();
    change(&mut configuration);
    Ok(Host::builder().plugin_folder(folder).build(&configuration)?)
}

/// The measured host, with that isolation.
pub(crate) fn measured_host(folder: &Path, isolation: Isolation) -> anyhow::Result<Host> {
    host(folder, |configuration| {
        for policy in &mut configuration.policies {
            policy.isolation = isolation;
        }
    })
}

/// A host with the policy of one kind.
pub(crate) fn host_of_kind(folder: &Path, kind: PolicyKind) -> anyhow::Result<Host> {
    host(folder, |configuration| configuration.policies.retain(|policy| policy.name == kind.as_str()))
}
