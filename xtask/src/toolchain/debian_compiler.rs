//! Another compiler for guests only: the one Debian's security suite keeps recent for its browsers, unpacked into the
//! cache with its linker and libraries, and the standard library built from the sources of the same version.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::{Apt, own_sources, unpack};
use super::cache::Cache;
use super::{GuestToolchain, Rustc, say, standard_library};

const ENTRY: &str = "debian-compiler";

/// On every machine that has a C compiler, and not to be mixed with another version of themselves.
const FROM_THE_SYSTEM: [&str; 3] = ["libc6", "libgcc-s1", "libstdc++6"];

pub(super) fn present(cache: &Cache) -> Result<Option<GuestToolchain>> {
    let sysroot = cache.entry(ENTRY);
    if !sysroot.is_dir() {
        return Ok(None);
    }
    Ok(Some(GuestToolchain {
        identity: format!("{ENTRY}-{}", standard_library::identity(&sysroot)?),
        described: format!("a compiler of Debian's for guests only, in `{}`", sysroot.display()),
        rustflags: Vec::new(),
        environment: environment(&sysroot)?,
    }))
}

pub(super) fn make(compiler: &Rustc, cache: &Cache) -> Result<GuestToolchain> {
    cache.make(ENTRY, |workshop| {
        let apt = Apt::open(&workshop.join("apt"), &own_sources()?)?;
        let version = apt.versions("rustc-web")?.remove(0);
        let release = newer_or_same(&version, compiler)?;
        say(&format!("downloading Debian's Rust {version} and its LLVM (about 160 MB)"));
        for package in packages(&apt, &version, release)? {
            unpack(&apt.download(&package)?, ".", &workshop.join("root"))?;
        }
        let archive = apt.download(&format!("rust-web-src={version}"))?;
        let sources = format!("usr/src/rustc-{release}/library");
        unpack(&archive, &format!("./{sources}"), workshop)?;
        let sysroot = workshop.join("root/usr");
        let environment = environment(&sysroot)?;
        standard_library::build(&workshop.join(sources), &workshop.join("target"), &sysroot, &environment)?;
        Ok(sysroot)
    })?;
    present(cache)?.context("the toolchain that was just made is gone")
}

/// The release a package version is of, if guests that build with `compiler` can be expected to build with it.
fn newer_or_same<'v>(version: &'v str, compiler: &Rustc) -> Result<&'v str> {
    let release = version.split(['+', '-', '~']).next().unwrap_or(version);
    if numbers(release) < numbers(&compiler.release) {
        bail!("Debian's newest is Rust {release}, and guests need {}", compiler.release);
    }
    Ok(release)
}

fn numbers(release: &str) -> Vec<u32> {
    release.split('.').map_while(|number| number.parse().ok()).collect()
}

/// Compiler, its host libraries, the linker of the LLVM it was built with, and what that needs.
fn packages(apt: &Apt, version: &str, release: &str) -> Result<Vec<String>> {
    let minor = release.rsplit_once('.').map_or(release, |(minor, _)| minor);
    let libraries = format!("libstd-rust-web-{minor}");
    let llvm = apt
        .closure(&libraries)?
        .iter()
        .find_map(|name| name.strip_prefix("libllvm").map(str::to_owned))
        .with_context(|| format!("`{libraries}` names no LLVM"))?;
    let mut packages: Vec<String> = ["rustc-web", "libstd-rust-web-dev", libraries.as_str()]
        .iter()
        .map(|name| format!("{name}={version}"))
        .collect();
    packages.extend(
        apt.closure(&format!("lld-{llvm}"))?
            .into_iter()
            .filter(|name| !FROM_THE_SYSTEM.contains(&name.as_str()) && !name.starts_with("gcc-")),
    );
    Ok(packages)
}

fn environment(sysroot: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let libraries = subfolder(&sysroot.join("lib"), |name| name.ends_with("-linux-gnu"))?;
    let llvm = subfolder(&sysroot.join("lib"), |name| name.starts_with("llvm-"))?;
    Ok(vec![
        ("RUSTC", sysroot.join("bin/rustc").into_os_string()),
        ("LD_LIBRARY_PATH", libraries.into_os_string()),
        ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", llvm.join("bin/wasm-ld").into_os_string()),
    ])
}

fn subfolder(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    std::fs::read_dir(folder)
        .with_context(|| format!("`{}` is damaged", folder.display()))?
        .flatten()
        .find(|entry| wanted(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .with_context(|| format!("`{}` is damaged", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::{Rustc, newer_or_same};

    #[test]
    fn older_compiler_is_refused() {
        let compiler = Rustc { release: "1.95.0".to_owned(), commit: String::new() };
        let release = |version| newer_or_same(version, &compiler).ok();
        assert_eq!(release("1.96.0+dfsg1-1~deb12u2"), Some("1.96.0"));
        assert_eq!(release("1.100.0-1"), Some("1.100.0"));
        assert_eq!(release("1.85.0+dfsg3-1~deb12u3"), None);
    }
}
