//! The compiler in use with a standard library built from Debian's package of this very release's sources.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::{Apt, Source, own_sources, unpack};
use super::cache::Cache;
use super::{GuestToolchain, Rustc, TARGET, say, standard_library};

/// Suites that carry compilers newer than Debian's stable release.
const SUITES: [&str; 2] = ["trixie-backports", "sid"];

pub(super) fn present(compiler: &Rustc, cache: &Cache) -> Result<Option<GuestToolchain>> {
    let sysroot = cache.entry(&entry_name(compiler));
    if !sysroot.is_dir() {
        return Ok(None);
    }
    let identity = standard_library::identity(&sysroot)?;
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
        let sysroot = workshop.join("sysroot");
        standard_library::build(&workshop.join(sources), &workshop.join("target"), &sysroot, &[])?;
        Ok(sysroot)
    })?;
    present(compiler, cache)?.context("the toolchain that was just made is gone")
}

fn entry_name(compiler: &Rustc) -> String {
    format!("{}-{TARGET}", compiler.key())
}

/// The first suite of the first site that has the release.
fn download(compiler: &Rustc, workshop: &Path) -> Result<PathBuf> {
    let mut sites: Vec<String> =
        own_sources()?.into_iter().filter(|source| !source.is_security()).map(|source| source.site).collect();
    sites.dedup();
    let mut reasons = Vec::new();
    for site in sites {
        for suite in SUITES {
            say(&format!("looking for Rust {} in {suite} of {site}", compiler.release));
            let source = Source { site: site.clone(), suite: suite.to_owned() };
            match download_from(source, compiler, &workshop.join("apt").join(suite)) {
                Ok(package) => return Ok(package),
                Err(error) => reasons.push(format!("{suite}: {error:#}")),
            }
        }
    }
    bail!("{}", reasons.join("; "))
}

fn download_from(source: Source, compiler: &Rustc, folder: &Path) -> Result<PathBuf> {
    let apt = Apt::open(folder, &[source])?;
    let versions = apt.versions("rust-src")?;
    // A suite may hold several, and the one apt would choose need not be ours.
    let version = versions
        .iter()
        .find(|version| is_version_of(version, &compiler.release))
        .with_context(|| format!("`rust-src` is there as {} only", versions.join(", ")))?;
    say(&format!("downloading rust-src {version} (45 MB)"));
    apt.download(&format!("rust-src={version}"))
}

fn is_version_of(version: &str, release: &str) -> bool {
    version.strip_prefix(release).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
}

#[cfg(test)]
mod tests {
    use super::is_version_of;

    #[test]
    fn version_belongs_to_exactly_its_release() {
        assert!(is_version_of("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
        assert!(is_version_of("1.95.0-1", "1.95.0"));
        assert!(!is_version_of("1.95.01-1", "1.95.0"));
        assert!(!is_version_of("1.96.1+dfsg1-2", "1.95.0"));
    }
}
