//! What most commands start from: a configuration, prices, and a host with its policies.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use tollgate_core::Configuration;
use tollgate_ledger::prices::PriceTable;
use tollgate_runtime::{Host, HostBuilder};

use crate::output;

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
                let configuration = Configuration::parse(&text).with_context(|| format!("`{}`", file.display()))?;
                if let Some(warning) = nothing_to_offer(&configuration) {
                    output::warn(&format!("`{}` {warning}", file.display()));
                }
                Ok(configuration)
            }
            None => Ok(Configuration::parse(DEFAULT_CONFIGURATION)?),
        }
    }

    /// A builder that looks for plugins and keeps compiled ones where these arguments say.
    pub(crate) fn host_builder(&self) -> anyhow::Result<HostBuilder> {
        let mut builder = Host::builder();
        if let Some(folder) = self.config.as_deref().and_then(Path::parent) {
            builder = builder.base(folder);
        }
        if let Some(folder) = &self.plugins {
            // Other folders are searched as well: without this a wrong name would go unnoticed, with other plugins.
            if !folder.is_dir() {
                bail!("`--plugins {}` is no folder: name one that holds plugins, or leave it out", folder.display());
            }
            builder = builder.plugin_folder(folder);
        }
        Ok(match cache_folder() {
            Some(folder) => builder.compile_cache(folder),
            None => builder,
        })
    }
}

/// Why a dispatch that brings no candidates of its own can only be refused.
fn nothing_to_offer(configuration: &Configuration) -> Option<&'static str> {
    if configuration.models.is_empty() {
        Some("has no [[model]]: a dispatch that brings no candidates is refused")
    } else if configuration.backends.iter().all(|backend| backend.models.is_empty()) {
        Some("has no [[backend]] that serves a model: a dispatch that brings no candidates is refused")
    } else {
        None
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
