//! What most commands start from: a configuration, prices, and a host with its policies.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tollgate_core::Configuration;
use tollgate_ledger::prices::PriceTable;
use tollgate_runtime::{Host, HostBuilder};

/// The configuration used where none is given.
pub(crate) const DEFAULT_CONFIGURATION: &str = include_str!("../tollgate.toml");

/// Where the rules come from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SetupArguments {
    /// The configuration; without one, the shipped policies with their defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A folder with plugins, searched before `$TOLLGATE_PLUGINS` and the `plugins` folder beside this program.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
}

impl SetupArguments {
    /// Reads the configuration.
    pub(crate) fn configuration(&self) -> anyhow::Result<Configuration> {
        match &self.config {
            Some(file) => {
                let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
                Configuration::parse(&text).with_context(|| format!("`{}`", file.display()))
            }
            None => Ok(Configuration::parse(DEFAULT_CONFIGURATION)?),
        }
    }

    /// A builder that looks for plugins and keeps compiled ones where these arguments say.
    pub(crate) fn host_builder(&self) -> HostBuilder {
        let mut builder = Host::builder();
        if let Some(folder) = self.config.as_deref().and_then(Path::parent) {
            builder = builder.base(folder);
        }
        if let Some(folder) = &self.plugins {
            builder = builder.plugin_folder(folder);
        }
        match cache_folder() {
            Some(folder) => builder.compile_cache(folder),
            None => builder,
        }
    }
}

/// `$XDG_CACHE_HOME/tollgate/compiled`, or `~/.cache/tollgate/compiled`.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("tollgate").join("compiled"))
}

/// The built-in prices, under those of a file.
pub(crate) fn prices(file: Option<&Path>) -> anyhow::Result<PriceTable> {
    let table = PriceTable::builtin();
    let Some(file) = file else { return Ok(table) };
    let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(table.with_layer(&file.display().to_string(), &text)?)
}
