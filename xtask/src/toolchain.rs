//! The guest toolchain: finds or makes a Rust that builds for wasm32, says which it took, and caches what it made.
//! Never changes the system: packages are fetched with apt state of our own and unpacked into the cache.

mod apt;
mod cache;
mod debian_compiler;
mod debian_sources;
mod rustup;
mod standard_library;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::cache::Cache;
use crate::process::{cargo, output, rustc};
use crate::workspace::Project;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Takes one way only, for trying it out: the name of a [`Way`].
const CHOICE_VARIABLE: &str = "TOLLGATE_GUEST_TOOLCHAIN";

/// The stack of a guest: the linker's default of 1 MiB would be most of a policy's memory.
const STACK_BYTES: u32 = 65_536;

/// How to call cargo so that it builds guests.
pub(crate) struct GuestToolchain {
    identity: String,
    described: String,
    rustflags: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
}

/// In the order in which they are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The target is in the toolchain already.
    Installed,
    /// `rustup target add`.
    Rustup,
    /// Debian's package of the sources of the very same release, built here.
    DebianSources,
    /// A newer compiler of Debian's, for guests only.
    DebianCompiler,
}

impl Way {
    const ALL: [Self; 4] = [Self::Installed, Self::Rustup, Self::DebianSources, Self::DebianCompiler];

    fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Rustup => "rustup",
            Self::DebianSources => "debian-sources",
            Self::DebianCompiler => "debian-compiler",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// What is there already: no network, and no time to speak of.
    fn present(self, rustc: &Rustc, cache: &Cache) -> Result<Option<GuestToolchain>> {
        match self {
            Self::Installed | Self::Rustup => rustup::installed(rustc),
            Self::DebianSources => debian_sources::present(rustc, cache),
            Self::DebianCompiler => debian_compiler::present(cache),
        }
    }

    fn make(self, rustc: &Rustc, cache: &Cache) -> Result<GuestToolchain> {
        match self {
            Self::Installed => bail!("`{TARGET}` is not in the toolchain"),
            Self::Rustup => rustup::add_target(rustc),
            Self::DebianSources => debian_sources::make(rustc, cache),
            Self::DebianCompiler => debian_compiler::make(rustc, cache),
        }
    }
}

impl GuestToolchain {
    /// The first way that works; what was taken, and why what stands before it was not, goes to standard error.
    pub(crate) fn obtain(project: &Project) -> Result<Self> {
        let rustc = Rustc::query()?;
        let cache = Cache::open(project)?;
        let ways = chosen_ways()?;
        let found = match Self::find(&ways, &rustc, &cache)? {
            Some(found) => found,
            None => Self::make(&ways, &rustc, &cache)?,
        };
        say(&found.described);
        Ok(found)
    }

    fn find(ways: &[Way], rustc: &Rustc, cache: &Cache) -> Result<Option<Self>> {
        for way in ways {
            if let Some(found) = way.present(rustc, cache)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn make(ways: &[Way], rustc: &Rustc, cache: &Cache) -> Result<Self> {
        for way in ways {
            match way.make(rustc, cache) {
                Ok(made) => return Ok(made),
                Err(error) => say(&format!("not by `{}`: {error:#}", way.name())),
            }
        }
        bail!(
            "nothing here builds for {TARGET}: run `rustup target add {TARGET}`, or on Debian install \
             `apt`, `dpkg` and `debian-archive-keyring` and let this task reach the package site"
        )
    }

    /// A cargo that builds guests: the caller adds the task, `--target` and `--target-dir`.
    pub(crate) fn cargo(&self, project: &Project) -> Command {
        let mut flags = self.rustflags.clone();
        flags.push(format!("-Clink-args=-z stack-size={STACK_BYTES}"));
        flags.extend(remapped_paths(project));
        let mut command = cargo();
        command
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Changes whenever artefacts built with another toolchain must not be reused.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }
}

fn say(what: &str) {
    eprintln!("guest toolchain: {what}");
}

/// Panic messages carry source paths: without this a component would differ from checkout to checkout. What the
/// compiler tells its user keeps the paths that are.
fn remapped_paths(project: &Project) -> Vec<String> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let remap = |folder: &Path, name: &str| format!("--remap-path-prefix={}={name}", folder.display());
    std::iter::once(remap(&project.root, "tollgate"))
        .chain(cargo_home.map(|home| remap(&home, "cargo")))
        .chain(["--remap-path-scope=object".to_owned()])
        .collect()
}

fn chosen_ways() -> Result<Vec<Way>> {
    let Ok(name) = std::env::var(CHOICE_VARIABLE) else {
        return Ok(Way::ALL.to_vec());
    };
    let known = Way::ALL.map(Way::name).join("`, `");
    let way = Way::from_name(&name).with_context(|| format!("{CHOICE_VARIABLE} is `{name}`; it can be `{known}`"))?;
    Ok(vec![way])
}

/// The compiler that guests have to agree with.
struct Rustc {
    release: String,
    commit: String,
}

impl Rustc {
    fn query() -> Result<Self> {
        let text = output(rustc().arg("-vV"))?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
                .with_context(|| format!("`rustc -vV` does not say its `{name}`"))
        };
        Ok(Self { release: field("release")?, commit: field("commit-hash")? })
    }

    /// Names everything made for this very compiler.
    fn key(&self) -> String {
        let commit: String = self.commit.chars().take(9).collect();
        format!("{}-{commit}", self.release)
    }
}
