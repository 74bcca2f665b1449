//! A policy: a plugin plus its configuration, loaded with every check that can be made before it serves.
//!
//! read ─► digest ─► imports, exports, version ─► compile ─► instantiate ─► `describe` ─► schema ─► `configure` ─► probe

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::config::{Isolation, PolicyConfiguration, PolicyMode};
use tollgate_core::{Catalogue, CounterRule, OnError, PolicyKind, Symbol, Symbols};

use crate::bindings::plugin;
use crate::cache::Compiled;
use crate::component::{Component, ComponentError, MAX_FILE_BYTES};
use crate::convert;
use crate::digest::{ComponentDigest, DigestError};
use crate::instance::{Instance, InstanceError, one_line};
use crate::lent::{Lane, WhyCanonical};
use crate::loader::Loader;
use crate::probe::{self, ProbeError, ProbeFigures};
use crate::quarantine::Watch;
use crate::schema;
use crate::state::{Declared, Naming};

/// The most counters that a plugin may have kept for it.
const MAX_COUNTERS: usize = 8;
/// The longest sentence that tells what a plugin does.
const MAX_SUMMARY_BYTES: usize = 1_024;
/// The most tags that a plugin may read.
const MAX_TAGS: usize = 64;

/// A loaded policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) on_error: OnError,
    pub(crate) mode: PolicyMode,
    pub(crate) isolation: Isolation,
    pub(crate) counters: Vec<CounterRule>,
    /// Its evaluations and failures, and whether it is left alone.
    pub(crate) watch: Watch,
    component: Component,
    configuration: String,
    declared: Declared,
    about: About,
    /// What it was loaded for: it serves a later generation as well that wants the same.
    configured: PolicyConfiguration,
    catalogue: Arc<Catalogue>,
}

/// What is known about a loaded policy, for status and `policy check`.
#[derive(Clone, Debug)]
pub struct About {
    /// As the configuration calls it.
    pub policy: String,
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// Its digest.
    pub digest: ComponentDigest,
    /// The digest of its configuration as JSON.
    pub configuration: ComponentDigest,
    /// What it means when it cannot be evaluated.
    pub on_error: OnError,
    /// Whether its verdicts count.
    pub mode: PolicyMode,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// What it does.
    pub summary: String,
    /// The kinds it serves as.
    pub kinds: Vec<PolicyKind>,
    /// The track of the contract it was built for.
    pub track: &'static str,
    /// The JSON Schema of its configuration.
    pub schema: serde_json::Value,
    /// The request fields it reads.
    pub tags: Vec<String>,
    /// The counters it has kept.
    pub counters: Vec<String>,
    /// Whether it was compiled now or found in the cache.
    pub compiled: Compiled,
    /// How it is called.
    pub lane: Lane,
    /// How long reading, checking and compiling took.
    pub load_time: Duration,
    /// What the probe measured.
    pub probe: ProbeFigures,
}

/// Why a policy was not loaded. It says what to change.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No such plugin where plugins are looked for.
    #[error(
        "no plugin `{name}`: looked for {looked}; build the plugins with `cargo xtask build`, or give `component` the path of a file"
    )]
    NotFound {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        looked: String,
    },
    /// No plugin is that large.
    #[error("it has {bytes} bytes, and a plugin has at most {MAX_FILE_BYTES}")]
    TooLarge {
        /// How large.
        bytes: u64,
    },
    /// The pinned digest is not written as one.
    #[error("`digest`: {0}")]
    Digest(#[from] DigestError),
    /// Another file than the one that was pinned.
    #[error("its digest is {actual}, and the configuration pins {pinned}: pin the new one if the change is meant")]
    OtherFile {
        /// Of the file.
        actual: ComponentDigest,
        /// In the configuration.
        pinned: ComponentDigest,
    },
    /// It is not a plugin for this host.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// It could not be started or configured.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// What it says about itself does not hold.
    #[error("`describe` returns {0}")]
    Description(String),
    /// The configuration does not pass the plugin's schema.
    #[error("its configuration does not pass its schema: {0}")]
    Configuration(String),
    /// It failed while it was tried.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl Policy {
    /// One of `known` that is the same plugin with the same configuration, and so was checked already; or a new one,
    /// after every check.
    pub(crate) fn load(
        loader: &Loader,
        configured: &PolicyConfiguration,
        known: &[Arc<Self>],
    ) -> Result<Arc<Self>, LoadError> {
        let started = loader.clock().now();
        let file = loader.find(configured.component())?;
        let bytes = read(&file)?;
        check_digest(configured.digest.as_deref(), &bytes)?;
        let digest = ComponentDigest::of(&bytes);
        if let Some(same) = known.iter().find(|known| known.is_same(digest, configured, &loader.catalogue)) {
            return Ok(Arc::clone(same));
        }
        let component = loader.compile(&bytes, configured.lane)?;
        let load_time = started.elapsed();

        let mut instance = Instance::start(&component, Naming::New)?;
        let description = instance.describe()?;
        check_description(&description)?;
        let schema = serde_json::from_str(&description.configuration_schema)
            .map_err(|error| LoadError::Description(format!("a configuration schema that is not JSON: {error}")))?;
        let configuration =
            serde_json::to_value(&configured.config).map_err(|error| LoadError::Configuration(error.to_string()))?;
        schema::check_size(&schema).map_err(LoadError::Description)?;
        check_schema(&schema, &configuration)?;
        let symbols = loader.symbols();
        let tags = intern(symbols, description.tags.iter())?;
        let counters = counter_rules(symbols, &description)?;
        let declared = Declared { tags, counters: counters.iter().map(|rule| rule.name).collect() };
        let configuration = configuration.to_string();
        instance.configure(&component, &configuration, declared.clone())?;

        let kinds: Vec<_> = component.kinds().collect();
        let lane = service_lane(&component, &configuration, &declared);
        let fresh = |lane: &Lane| {
            let mut instance = start_configured(&component, lane, &configuration, &declared)?;
            instance.be_patient(&component);
            Ok(instance)
        };
        let probe = probe::run(&lane, &kinds, fresh, loader)?;
        let about = About {
            policy: configured.name.clone(),
            bytes: bytes.len(),
            digest: component.digest(),
            configuration: ComponentDigest::of(configuration.as_bytes()),
            on_error: configured.on_error,
            mode: configured.mode,
            kinds,
            track: crate::component::TRACK,
            schema,
            compiled: component.compiled(),
            lane,
            file,
            load_time,
            probe,
            plugin: description.name,
            version: description.version,
            summary: description.summary,
            tags: description.tags,
            counters: description.counters.into_iter().map(|counter| counter.name).collect(),
        };
        Ok(Arc::new(Self {
            name: configured.name.as_str().into(),
            on_error: configured.on_error,
            mode: configured.mode,
            isolation: configured.isolation,
            counters,
            component,
            configuration,
            declared,
            about,
            watch: Watch::default(),
            configured: PolicyConfiguration { candidate: None, ..configured.clone() },
            catalogue: Arc::clone(&loader.catalogue),
        }))
    }

    /// A candidate beside it does not make a policy another one.
    fn is_same(&self, digest: ComponentDigest, configured: &PolicyConfiguration, catalogue: &Arc<Catalogue>) -> bool {
        let alone = || PolicyConfiguration { candidate: None, ..configured.clone() };
        self.about.digest == digest && self.catalogue == *catalogue && self.configured == alone()
    }

    /// A new configured instance.
    pub(crate) fn instantiate(&self) -> Result<Instance, InstanceError> {
        start_configured(&self.component, &self.about.lane, &self.configuration, &self.declared)
    }

    /// The same, with the patience of what runs off the hot path.
    pub(crate) fn instantiate_patiently(&self) -> Result<Instance, InstanceError> {
        let mut instance = self.instantiate()?;
        instance.be_patient(&self.component);
        Ok(instance)
    }

    pub(crate) const fn about(&self) -> &About {
        &self.about
    }
}

fn start_configured(
    component: &Component,
    lane: &Lane,
    configuration: &str,
    declared: &Declared,
) -> Result<Instance, InstanceError> {
    let mut instance = match (lane, component.lent()) {
        (Lane::Lent, Ok(lent)) => Instance::start_lent(component, lent, Naming::Known)?,
        _ => Instance::start(component, Naming::Known)?,
    };
    instance.configure(component, configuration, declared.clone())?;
    Ok(instance)
}

/// The lane that the policy is called on: the lent one where it can be configured there as it was on the other.
fn service_lane(component: &Component, configuration: &str, declared: &Declared) -> Lane {
    match component.lent() {
        Err(why) => Lane::Canonical(why.clone()),
        Ok(_) => match start_configured(component, &Lane::Lent, configuration, declared) {
            Ok(_) => Lane::Lent,
            Err(error) => Lane::Canonical(WhyCanonical::Unfit(error.to_string())),
        },
    }
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, LoadError> {
    let error = |source| LoadError::Read { file: file.to_owned(), source };
    let opened = fs::File::open(file).map_err(error)?;
    let bytes = opened.metadata().map_err(error)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { bytes });
    }
    // What is no ordinary file says nothing about its length.
    let mut content = Vec::new();
    let read = opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(error)?;
    match u64::try_from(read) {
        Ok(read) if read <= MAX_FILE_BYTES => Ok(content),
        _ => Err(LoadError::TooLarge { bytes: MAX_FILE_BYTES + 1 }),
    }
}

fn check_digest(pinned: Option<&str>, bytes: &[u8]) -> Result<(), LoadError> {
    let Some(pinned) = pinned else { return Ok(()) };
    let pinned: ComponentDigest = pinned.parse()?;
    let actual = ComponentDigest::of(bytes);
    if actual == pinned { Ok(()) } else { Err(LoadError::OtherFile { actual, pinned }) }
}

fn check_description(description: &plugin::Description) -> Result<(), LoadError> {
    let refuse = |what: String| Err(LoadError::Description(what));
    for (what, text) in
        [("name", &description.name), ("version", &description.version), ("summary", &description.summary)]
    {
        if text.contains(char::is_control) {
            return refuse(format!("a {what} with control characters: `{}`; it is one line", one_line(text)));
        }
    }
    if description.name.is_empty() || description.name.len() > Symbols::MAX_NAME_BYTES {
        return refuse(format!("a name of {} bytes: use 1 to {}", description.name.len(), Symbols::MAX_NAME_BYTES));
    }
    if description.version.is_empty() || description.version.len() > Symbols::MAX_NAME_BYTES {
        return refuse("no version, or one that is far too long".to_owned());
    }
    if description.summary.len() > MAX_SUMMARY_BYTES {
        return refuse(format!("a summary of {} bytes: at most {MAX_SUMMARY_BYTES}", description.summary.len()));
    }
    if description.tags.len() > MAX_TAGS {
        return refuse(format!("{} tags: at most {MAX_TAGS} are read", description.tags.len()));
    }
    if description.counters.len() > MAX_COUNTERS {
        return refuse(format!("{} counters: at most {MAX_COUNTERS} are kept", description.counters.len()));
    }
    for (place, counter) in description.counters.iter().enumerate() {
        if description.counters.iter().take(place).any(|earlier| earlier.name == counter.name) {
            return refuse(format!("two counters called `{}`: give one of them another name", one_line(&counter.name)));
        }
    }
    Ok(())
}

fn check_schema(schema: &serde_json::Value, configuration: &serde_json::Value) -> Result<(), LoadError> {
    // Linear-time patterns: a schema comes from the plugin, which is not trusted.
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(schema)
        .map_err(|error| LoadError::Description(format!("a configuration schema that is not JSON Schema: {error}")))?;
    let problems: Vec<_> = validator
        .iter_errors(configuration)
        .take(5)
        .map(|error| {
            let place = error.instance_path().to_string();
            format!("config{}: {error}", place.replace('/', "."))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(LoadError::Configuration(problems.join("; "))) }
}

fn intern<'a>(symbols: &Symbols, names: impl Iterator<Item = &'a String>) -> Result<Arc<[Symbol]>, LoadError> {
    names.map(|name| intern_one(symbols, name)).collect()
}

fn intern_one(symbols: &Symbols, name: &str) -> Result<Symbol, LoadError> {
    symbols.intern(name).map_err(|error| LoadError::Description(error.to_string()))
}

fn counter_rules(symbols: &Symbols, description: &plugin::Description) -> Result<Vec<CounterRule>, LoadError> {
    let rule = |counter: &plugin::Counter| {
        Ok(CounterRule {
            name: intern_one(symbols, &counter.name)?,
            event: convert::event_from_guest(counter.event),
            by: convert::counter_by_from_guest(counter.by),
            window_seconds: counter.window_seconds,
        })
    };
    description.counters.iter().map(rule).collect()
}
