//! The standard library for wasm32, built from Debian's package of this very release's sources. The package
//! carries its dependencies, so only the package itself needs a network.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::apt::{Apt, Suite, sites, unpack};
use super::cache::Cache;
use super::{GuestToolchain, Rustc, TARGET};
use crate::process::{cargo, run};

/// Suites that carry compilers newer than Debian's stable release.
const SUITES: [&str; 2] = ["trixie-backports", "sid"];

/// Written last: the digest of the libraries, which tells one build of them from the next.
const IDENTITY: &str = "identity";

pub(super) fn present(compiler: &Rustc, cache: &Cache) -> Result<Option<GuestToolchain>> {
    let sysroot = cache.entry(&entry_name(compiler));
    if !sysroot.is_dir() {
        return Ok(None);
    }
    let path = sysroot.join(IDENTITY);
    let identity = std::fs::read_to_string(&path)
        .with_context(|| format!("`{}` is damaged: remove that folder", sysroot.display()))?;
    Ok(Some(GuestToolchain {
        identity: format!("{}-{identity}", compiler.key()),
        described: format!(
            "{TARGET} built from Debian's sources of Rust {}, in `{}`",
            compiler.release,
            sysroot.display()
        ),
        rustflags: vec![format!("--sysroot={}", sysroot.display())],
        environment: Vec::new(),
    }))
}

pub(super) fn make(compiler: &Rustc, cache: &Cache) -> Result<GuestToolchain> {
    cache.make(&entry_name(compiler), |workshop| {
        let package = download(compiler, workshop)?;
        let sources = format!("usr/src/rustc-{}/library", compiler.release);
        say("unpacking it");
        unpack(&package, &format!("./{sources}"), workshop)?;
        say("building the standard library (about a minute, once)");
        let libraries = build(compiler, &workshop.join(sources), &workshop.join("target"))?;
        assemble(&libraries, &workshop.join("sysroot"))
    })?;
    present(compiler, cache)?.context("the toolchain that was just made is gone")
}

fn entry_name(compiler: &Rustc) -> String {
    format!("{}-{TARGET}", compiler.key())
}

/// The first suite of the first site that has the release.
fn download(compiler: &Rustc, workshop: &Path) -> Result<PathBuf> {
    let mut reasons = Vec::new();
    for site in sites()? {
        for name in SUITES {
            let suite = Suite {
                site: site.clone(),
                name,
            };
            say(&format!(
                "looking for Rust {} in {name} of {site}",
                compiler.release
            ));
            match download_from(&suite, compiler, &workshop.join("apt")) {
                Ok(package) => return Ok(package),
                Err(error) => reasons.push(format!("{name}: {error:#}")),
            }
        }
    }
    bail!("{}", reasons.join("; "))
}

fn download_from(suite: &Suite, compiler: &Rustc, folder: &Path) -> Result<PathBuf> {
    let apt = Apt::open(folder, suite)?;
    let version = apt.version("rust-src", &compiler.release)?;
    say(&format!("downloading rust-src {version} (45 MB)"));
    apt.download("rust-src", &version)
}

/// Stable cargo and rustc, allowed the standard library's own unstable features for this one command.
fn build(compiler: &Rustc, sources: &Path, target: &Path) -> Result<PathBuf> {
    let vendored = sources.join("vendor");
    // The paths of an official build: what guests carry of them must not depend on whose cache this is.
    let remapped = format!("{}=/rustc/{}/library", sources.display(), compiler.commit);
    let flags = format!(
        "-Zforce-unstable-if-unmarked\u{1f}-Cembed-bitcode=yes\u{1f}--remap-path-prefix={remapped}"
    );
    run(cargo()
        .current_dir(sources)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env_remove("RUSTFLAGS")
        .args([
            "build",
            "--release",
            "--offline",
            "--package",
            "sysroot",
            "--target",
            TARGET,
        ])
        // The library's tests want crates that the package does not carry.
        .arg("-Zavoid-dev-deps")
        .args(["--config", "source.crates-io.replace-with=\"vendored\""])
        .arg("--config")
        .arg(format!(
            "source.vendored.directory={:?}",
            vendored.display().to_string()
        ))
        .arg("--target-dir")
        .arg(target))?;
    Ok(target.join(TARGET).join("release/deps"))
}

fn assemble(libraries: &Path, sysroot: &Path) -> Result<PathBuf> {
    let folder = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::create_dir_all(&folder)?;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(libraries)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "rlib")
        })
        .collect();
    paths.sort();
    let mut digest = Sha256::new();
    for path in &paths {
        let bytes = std::fs::read(path)?;
        digest.update(&bytes);
        std::fs::write(
            folder.join(path.file_name().expect("a library has a name")),
            bytes,
        )?;
    }
    let identity: String = digest
        .finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    std::fs::write(sysroot.join(IDENTITY), identity)?;
    Ok(sysroot.to_path_buf())
}

fn say(what: &str) {
    eprintln!("guest toolchain: {what}");
}
