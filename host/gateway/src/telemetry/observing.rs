//! Where logs and spans go, for the whole process: lines for people or for programs, and a collector where one is named.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Metadata;
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::export;

/// The target of the spans that are exported.
pub(super) const SPANS: &str = "tollgate::dispatch";

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Where lines of the log go.
#[derive(Clone, Debug, Default)]
pub enum LogOut {
    /// To standard error.
    #[default]
    StandardError,
    /// Into memory.
    Memory(Arc<Mutex<Vec<u8>>>),
}

/// What is to be told, and where.
#[derive(Clone, Debug, Default)]
pub struct ObservingSettings {
    /// Which lines are written, as in `info`, `debug` or `tollgate=debug,warn`.
    pub filter: String,
    /// How.
    pub format: LogFormat,
    /// Where.
    pub out: LogOut,
    /// A collector's address, as in `http://127.0.0.1:4318`; where nothing is said, what `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` say, else spans go nowhere.
    pub otlp_endpoint: Option<String>,
}

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The filter is none.
    #[error("`{filter}` does not say which lines to log: {why}; write `info`, `debug` or `tollgate=debug,warn`")]
    Filter {
        /// What it says.
        filter: String,
        /// Why not.
        why: String,
    },
    /// There is no way to that address.
    #[error("spans cannot be sent to `{endpoint}`: {why}")]
    Endpoint {
        /// What it says.
        endpoint: String,
        /// Why not.
        why: String,
    },
    /// Somebody else has set it before.
    #[error("this process already has somewhere to log to")]
    Twice,
}

/// A process that tells. What waits is sent when this is dropped, which may take some seconds.
#[derive(Debug)]
#[must_use = "spans that wait are sent when this is dropped"]
pub struct Observing(Option<SdkTracerProvider>);

impl Observing {
    /// Begins to tell, once in a process.
    ///
    /// # Errors
    /// When the filter or the address is none, or somebody has begun before.
    pub fn begin(settings: &ObservingSettings) -> Result<Self, ObserveError> {
        let filter = EnvFilter::try_new(directives(&settings.filter))
            .map_err(|error| ObserveError::Filter { filter: settings.filter.clone(), why: error.to_string() })?;
        let endpoint = export::endpoint(settings.otlp_endpoint.as_deref(), |name| std::env::var(name).ok());
        let provider = endpoint.map(|endpoint| export::provider(&endpoint)).transpose()?;
        let spans = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("tollgate"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_level(false)
                .with_filter(FilterFn::new(|metadata: &Metadata<'_>| metadata.is_span() && metadata.target() == SPANS))
        });
        let subscriber = Registry::default().with(spans).with(lines(settings, filter));
        tracing::subscriber::set_global_default(subscriber).map_err(|_| ObserveError::Twice)?;
        Ok(Self(provider))
    }

    /// Sends what waits. It may take some seconds, so not for a thread that answers.
    pub fn flush(&self) {
        if let Some(provider) = &self.0 {
            // A collector that is not there is no reason to fail.
            let _ = provider.force_flush();
        }
    }

    /// Whether spans are exported.
    #[must_use]
    pub const fn exports(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            let _ = provider.shutdown();
        }
    }
}

/// A level alone is meant for what Tollgate says, not for every connection of the libraries beneath it.
fn directives(filter: &str) -> String {
    let is_level = filter.trim().parse::<tracing::Level>().is_ok();
    if is_level { format!("warn,tollgate={}", filter.trim()) } else { filter.to_owned() }
}

type Lines<S> = Box<dyn Layer<S> + Send + Sync>;

fn lines<S>(settings: &ObservingSettings, filter: EnvFilter) -> Lines<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let out = settings.out.clone();
    let layer = fmt::layer().with_writer(move || out.clone());
    match settings.format {
        LogFormat::Text => layer.with_ansi(false).with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

impl Write for LogOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::StandardError => io::stderr().write(bytes),
            Self::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_alone_is_for_our_own_lines() {
        assert_eq!(directives("debug"), "warn,tollgate=debug");
        assert_eq!(directives(" INFO "), "warn,tollgate=INFO");
        for as_it_is in ["off", "tollgate=debug,warn", "hyper=trace"] {
            assert_eq!(directives(as_it_is), as_it_is);
        }
    }

    #[test]
    fn a_filter_that_is_none_says_what_to_write() {
        let settings = ObservingSettings { filter: "tollgate=loud".to_owned(), ..ObservingSettings::default() };
        let error = Observing::begin(&settings).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("`tollgate=loud`") && error.contains("write `info`"), "{error}");
    }
}
