//! Builds the standard library for wasm32 from sources that carry their dependencies, so without a network.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{TARGET, say};
use crate::process::{cargo, run};

/// Written last: the digest of the libraries, which tells one build of them from the next.
const IDENTITY: &str = "identity";

/// Builds `sources` in `workshop` and puts the libraries where a compiler with this `sysroot` looks for them.
/// `environment` names the compiler, where it is not the one in use.
pub(super) fn build(
    sources: &Path,
    workshop: &Path,
    sysroot: &Path,
    environment: &[(&'static str, OsString)],
) -> Result<()> {
    say("building the standard library (about a minute, once)");
    let vendored = sources.join("vendor").display().to_string();
    // What guests carry of these paths must not depend on whose cache this is.
    let remapped = format!("--remap-path-prefix={}=/rustc/library", sources.display());
    let flags = ["-Zforce-unstable-if-unmarked", "-Cembed-bitcode=yes", remapped.as_str()];
    run(cargo()
        .current_dir(sources)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        // Allows the library its own unstable features, for this one command.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .args(["build", "--release", "--offline", "--package", "sysroot", "--target", TARGET])
        // The library's tests want crates that the package does not carry.
        .arg("-Zavoid-dev-deps")
        .args(["--config", "source.crates-io.replace-with=\"vendored\""])
        .arg("--config")
        .arg(format!("source.vendored.directory={vendored:?}"))
        .arg("--target-dir")
        .arg(workshop))?;
    assemble(&workshop.join(TARGET).join("release/deps"), sysroot)
}

/// What [`build`] wrote last; an error means that somebody else was in this folder.
pub(super) fn identity(sysroot: &Path) -> Result<String> {
    std::fs::read_to_string(sysroot.join(IDENTITY))
        .with_context(|| format!("`{}` is damaged: remove that folder", sysroot.display()))
}

fn assemble(libraries: &Path, sysroot: &Path) -> Result<()> {
    let folder = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::create_dir_all(&folder)?;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(libraries)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
        .collect();
    paths.sort();
    let mut digest = Sha256::new();
    for path in &paths {
        let bytes = std::fs::read(path)?;
        digest.update(&bytes);
        std::fs::write(folder.join(path.file_name().expect("a library has a name")), bytes)?;
    }
    let digest = digest.finalize();
    let identity: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(std::fs::write(sysroot.join(IDENTITY), identity)?)
}
