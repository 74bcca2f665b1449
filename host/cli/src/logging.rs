//! Where a long-running command logs to.

use clap::{Args, ValueEnum};
use tollgate_core::Configuration;
use tollgate_gateway::telemetry::{LogFormat, LogOut, Observing, ObservingSettings};

/// Says which lines are logged, where `--log` does not.
const VARIABLE: &str = "TOLLGATE_LOG";
/// What operators have to know, and no line for each call.
const DEFAULT_FILTER: &str = "info";

#[derive(Args)]
pub(crate) struct LogArguments {
    /// Which lines are logged: error, warn, info, debug (two lines for each call), off, or by target as in
    /// `tollgate=debug,warn`. `$TOLLGATE_LOG`, else info, where nothing is said.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// How lines are logged to standard error.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

impl LogArguments {
    /// Begins to log, and to export spans where the configuration or the environment names a collector. To be dropped last, and
    /// not where the process answers: it sends what waits.
    pub(crate) fn begin(&self, configuration: &Configuration) -> anyhow::Result<Observing> {
        let variable = || std::env::var(VARIABLE).ok().filter(|filter| !filter.trim().is_empty());
        let settings = ObservingSettings {
            filter: self.log.clone().or_else(variable).unwrap_or_else(|| DEFAULT_FILTER.to_owned()),
            format: match self.log_format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            },
            out: LogOut::StandardError,
            otlp_endpoint: configuration.telemetry.otlp_endpoint.clone(),
        };
        Ok(Observing::begin(&settings)?)
    }
}
