//! Where things are, and what cargo says is in a workspace. Asks `cargo metadata`; reads no manifest itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{cargo, output};

/// The checkout and its target directory (which `CARGO_TARGET_DIR` may have moved).
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Project {
    /// `cargo run` names the manifest of the checkout it runs in; the compiled-in one may be another
    /// checkout's when two share a target directory.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask lies in a folder of the project")?.to_path_buf();
        let target = Metadata::of(&root.join("Cargo.toml"))?.target_directory;
        Ok(Self { root, target })
    }

    pub(crate) fn plugins_manifest(&self) -> PathBuf {
        self.root.join("plugins/Cargo.toml")
    }

    pub(crate) fn test_guests_manifest(&self) -> PathBuf {
        self.root.join("tests/guests/Cargo.toml")
    }

    pub(crate) fn peers_manifest(&self) -> PathBuf {
        self.root.join("benches/peers/Cargo.toml")
    }

    /// The engines that decisions are compared with: a build of their own, so that no other one waits for them.
    pub(crate) fn peers_target(&self) -> PathBuf {
        self.target.join("peers")
    }

    /// Components of the shipped policies, where the host looks without being told.
    pub(crate) fn plugins_out(&self) -> PathBuf {
        self.target.join("release/plugins")
    }

    /// Components of the hostile guests, for tests only.
    pub(crate) fn test_guests_out(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Native builds of the plugins workspace, for its tests: apart from its guests and from the host.
    pub(crate) fn plugins_native_target(&self) -> PathBuf {
        self.target.join("plugins-native")
    }

    pub(crate) fn tollgate(&self) -> PathBuf {
        self.target.join("release").join(format!("tollgate{}", std::env::consts::EXE_SUFFIX))
    }
}

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) crate_types: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Cargo's word: nothing for a normal dependency, else `build` or `dev`.
    pub(crate) kind: Option<String>,
    /// Set for a dependency in this checkout.
    pub(crate) path: Option<PathBuf>,
}

impl Metadata {
    /// The members of the workspace that `manifest` belongs to, with what each declares. Needs no network.
    pub(crate) fn of(manifest: &Path) -> Result<Self> {
        if !manifest.is_file() {
            bail!("there is no `{}`", manifest.display());
        }
        let text =
            output(cargo().args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"]).arg(manifest))?;
        serde_json::from_str(&text)
            .with_context(|| format!("cargo metadata of `{}` was not understood", manifest.display()))
    }
}

impl Package {
    /// The name of the core module cargo leaves behind, if this package builds one.
    pub(crate) fn core_module(&self) -> Option<String> {
        let target = self.targets.iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))?;
        Some(format!("{}.wasm", target.name.replace('-', "_")))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().expect("cargo gives the path of a file in a folder")
    }
}
