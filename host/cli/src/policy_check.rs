//! `tollgate policy check`: would this plugin be loaded, what is it, what does it cost?

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tollgate_core::config::PolicyConfiguration;
use tollgate_core::{Configuration, form};
use tollgate_runtime::{About, Compiled};

use crate::output;
use crate::setup::SetupArguments;

#[derive(Args)]
pub(crate) struct CheckArguments {
    /// The component to check.
    file: PathBuf,
    /// The plugin's configuration, as a TOML file that holds what stands under `[policy.config]`.
    #[arg(long, value_name = "FILE")]
    policy_config: Option<PathBuf>,
    #[command(flatten)]
    setup: SetupArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Check<'a> {
    file: String,
    plugin: &'a str,
    version: &'a str,
    summary: &'a str,
    worlds: Vec<String>,
    contract: String,
    imports: &'static [&'static str],
    digest: String,
    bytes: usize,
    lane: String,
    compiled: bool,
    load_ms: u128,
    probe_evaluations: u32,
    probe_fuel_max: u64,
    probe_median_ns: u128,
    tags: &'a [String],
    counters: &'a [String],
    schema: &'a serde_json::Value,
}

pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<()> {
    let about = load(arguments).with_context(|| format!("`{}` is refused", arguments.file.display()))?;
    if arguments.json {
        return output::print_json(&check(&about));
    }
    output::print(&render(&about)?)
}

/// Loads the plugin as a host would, beside the models and task types of the configuration.
fn load(arguments: &CheckArguments) -> anyhow::Result<About> {
    let mut configuration = arguments.setup.configuration()?;
    let config = match &arguments.policy_config {
        Some(file) => read_table(file)?,
        None => toml::Table::new(),
    };
    let file = std::path::absolute(&arguments.file)?;
    let component = file.to_str().context("its path is not UTF-8")?.to_owned();
    let stem = arguments.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    configuration.policies = vec![PolicyConfiguration { config, ..PolicyConfiguration::of_file(stem, component) }];
    load_one(arguments, &configuration)
}

fn load_one(arguments: &CheckArguments, configuration: &Configuration) -> anyhow::Result<About> {
    // The name of the policy is the file's, which the caller has just typed: only the cause says something new.
    let host = arguments.setup.host_builder()?.build(configuration).map_err(|error| match error {
        tollgate_runtime::HostError::Generation(tollgate_runtime::GenerationError::Policy { source, .. }) => {
            anyhow::Error::new(*source)
        }
        other => anyhow::Error::new(other),
    })?;
    host.policies().pop().context("no policy was loaded")
}

fn read_table(file: &Path) -> anyhow::Result<toml::Table> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    form::from_toml(&text).with_context(|| format!("`{}`", file.display()))
}

fn worlds(about: &About) -> Vec<String> {
    about.kinds.iter().map(|kind| format!("{kind}-policy")).collect()
}

fn check(about: &About) -> Check<'_> {
    Check {
        file: about.file.display().to_string(),
        plugin: &about.plugin,
        version: &about.version,
        summary: &about.summary,
        worlds: worlds(about),
        contract: format!("tollgate:policy {}", about.track),
        imports: &["tollgate:policy/facts"],
        digest: about.digest.to_string(),
        bytes: about.bytes,
        lane: about.lane.to_string(),
        compiled: about.compiled == Compiled::Now,
        load_ms: about.load_time.as_millis(),
        probe_evaluations: about.probe.evaluations,
        probe_fuel_max: about.probe.fuel_max,
        probe_median_ns: about.probe.median.as_nanos(),
        tags: &about.tags,
        counters: &about.counters,
        schema: &about.schema,
    }
}

fn render(about: &About) -> anyhow::Result<String> {
    let compiled = match about.compiled {
        Compiled::Now => "compiled now",
        Compiled::Cached => "found compiled",
    };
    let list = |names: &[String]| {
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let rows = [
        ("plugin", format!("{} {}", about.plugin, about.version)),
        ("summary", about.summary.clone()),
        ("world", worlds(about).join(", ")),
        ("contract", format!("tollgate:policy {}", about.track)),
        ("imports", "tollgate:policy/facts only".to_owned()),
        ("digest", about.digest.to_string()),
        ("size", format!("{} bytes, {compiled} in {:.1?}", about.bytes, about.load_time)),
        (
            "probe",
            format!(
                "{} evaluations, at most {} fuel, median {:.1?}",
                about.probe.evaluations, about.probe.fuel_max, about.probe.median
            ),
        ),
        ("lane", about.lane.to_string()),
        ("tags", list(&about.tags)),
        ("counters", list(&about.counters)),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        text.push_str(&format!("{name:<10}{value}\n"));
    }
    text.push_str(&format!(
        "schema    {}\n",
        serde_json::to_string_pretty(&about.schema)?.replace('\n', "\n          ")
    ));
    text.push_str("ok: a host would load it\n");
    Ok(text)
}
