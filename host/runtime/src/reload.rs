//! Changing policies while the host decides: load beside what runs, take over in one step, go back.
//!
//! Everything slow happens on the thread of whoever asks: reading, compiling, configuring, probing, and making the
//! instances that the first decisions need. What fails on the way changes nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use tollgate_core::config::Limits;
use tollgate_core::{Catalogue, Configuration, ConfigurationError, InternError, Symbols};

use crate::candidate::Trial;
use crate::cause::Cause;
use crate::event::Event;
use crate::generation::{Generation, GenerationError, Origin};
use crate::host::Host;
use crate::live::Superseded;
use crate::loader::Loader;
use crate::wall;

/// What loading the next generation needs.
pub(crate) struct Reloads {
    pub(crate) loader: Loader,
    acceptance: Option<Acceptance>,
    /// One load at a time: two would only wait for the same processors, and one of them would be for nothing.
    loading: Mutex<()>,
    last: AtomicU64,
    failed: Mutex<Option<FailedReload>>,
}

/// Whoever holds the host has a word on each configuration before it is loaded.
pub(crate) type Acceptance = Box<dyn Fn(&Configuration) -> Result<(), NotAccepted> + Send + Sync>;

/// Why whoever holds the host does not accept a configuration: an error of its own, which says what to change.
pub type NotAccepted = Box<dyn std::error::Error + Send + Sync>;

/// Why a configuration was not taken. The running generation stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has a mistake.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Its names do not fit the table, which has those of all configurations since the start.
    #[error("the configuration's names: {0}")]
    Names(#[from] InternError),
    /// The engine was made for its limits.
    #[error("`limits.{key}` cannot change while the host runs: set it back to {running}, or restart")]
    Limit {
        /// Which of `[limits]`.
        key: &'static str,
        /// What it is.
        running: String,
    },
    /// Whoever holds the host does not accept it ([`crate::HostBuilder::accept`]).
    #[error(transparent)]
    NotAccepted(NotAccepted),
    /// A policy was not loaded.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// A policy's candidate was not loaded.
    #[error("a candidate: {0}")]
    Candidate(#[source] GenerationError),
    /// Someone went back, or promoted a candidate, while it was loaded: what they wanted is newer.
    #[error(
        "another generation took over while this one was loaded: look at what runs now, and reload again if it is still meant"
    )]
    Superseded,
}

/// Why there was nothing to go back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    /// No generation ran before, or none is kept.
    #[error("no earlier generation is kept; `reload.keep` says how many are")]
    NothingEarlier,
    /// The one of this number is not kept.
    #[error("generation {generation} is not kept: {}", numbers(.kept))]
    NotKept {
        /// Which was asked for.
        generation: u64,
        /// Which are, the latest first.
        kept: Vec<u64>,
    },
}

fn numbers(kept: &[u64]) -> String {
    let kept: Vec<_> = kept.iter().map(u64::to_string).collect();
    if kept.is_empty() { "none is".to_owned() } else { format!("go back to {}", kept.join(", ")) }
}

/// The last configuration that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FailedReload {
    /// Who or what wanted it.
    pub cause: Cause,
    /// Why not, and what to change.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Reloads {
    pub(crate) fn new(loader: Loader, acceptance: Option<Acceptance>) -> Self {
        Self { loader, acceptance, loading: Mutex::default(), last: AtomicU64::default(), failed: Mutex::default() }
    }

    pub(crate) fn origin(&self, cause: Cause) -> Origin {
        let id = self.last.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Origin { id, cause, loaded_ms: wall::now_ms() }
    }

    /// For the names of what is about to be loaded. It has to be kept once that serves.
    pub(crate) fn draft_of_names(&self) -> Arc<Symbols> {
        Arc::new(self.loader.symbols.draft())
    }

    /// Loads a generation beside the running one.
    pub(crate) fn load(
        &self,
        configuration: &Configuration,
        names: &Arc<Symbols>,
        cause: Cause,
        before: &Generation,
    ) -> Result<Generation, ReloadError> {
        check_limits(self.loader.engine.limits(), &configuration.limits)?;
        if let Some(accepts) = &self.acceptance {
            accepts(configuration).map_err(ReloadError::NotAccepted)?;
        }
        let catalogue = Catalogue::new(configuration, names)?;
        let loader = self.loader.with_names(names, catalogue);
        let configuration = Arc::new(configuration.clone());
        Ok(Generation::load(self.origin(cause), &configuration, &loader, Some(before))?)
    }

    pub(crate) fn one_at_a_time(&self) -> impl Drop + '_ {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn last_failure(&self) -> Option<FailedReload> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<FailedReload>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

impl Host {
    /// Loads this configuration on the calling thread, and lets it decide from then on, in one step. Policies,
    /// models, backends, task types, stages, budgets and every rule may change; `[limits]` may not, for which the engine was
    /// made. A policy whose plugin and configuration are the same goes on with its state: it is not loaded again, and one in
    /// quarantine stays there. Where a policy has a `candidate`, the candidates are compared from then on. Returns the number of the new generation.
    ///
    /// The host keeps no budgets and counts nothing itself. To let what is counted go on by the configuration, hand its rules for
    /// attempts and [`Host::counters`] to the history ([`tollgate_core::History::set_attempt_rules`],
    /// [`tollgate_core::History::declare_counters`]) and its budgets to the ledger.
    ///
    /// # Errors
    /// When it cannot be loaded, or another generation took over meanwhile. Then the running generation stays.
    pub fn reload(&self, configuration: &Configuration, cause: Cause) -> Result<u64, ReloadError> {
        self.reloaded(self.load_and_install(configuration, cause.clone()), cause)
    }

    /// The same with the configuration of a file.
    ///
    /// # Errors
    /// Likewise, or when it cannot be read or has a mistake.
    pub fn reload_file(&self, file: impl AsRef<Path>, cause: Cause) -> Result<u64, ReloadError> {
        self.reload_read(read(file.as_ref()), cause)
    }

    pub(crate) fn reload_read(
        &self,
        configuration: Result<Configuration, ReloadError>,
        cause: Cause,
    ) -> Result<u64, ReloadError> {
        let result = configuration.and_then(|configuration| self.load_and_install(&configuration, cause.clone()));
        self.reloaded(result, cause)
    }

    fn load_and_install(&self, configuration: &Configuration, cause: Cause) -> Result<u64, ReloadError> {
        let _one_at_a_time = self.reloads.one_at_a_time();
        let before = self.live.running_in_full();
        let names = self.reloads.draft_of_names();
        let next = Arc::new(self.reloads.load(configuration, &names, cause.clone(), &before)?);
        let id = next.id;
        let trial = configuration.with_candidates().map(|candidates| {
            let candidate = self.reloads.load(&candidates, &names, cause.clone(), &next);
            let candidate = candidate.map_err(|error| match error {
                ReloadError::Generation(source) => ReloadError::Candidate(source),
                other => other,
            });
            Ok::<_, ReloadError>(Arc::new(Trial::new(Arc::new(candidate?))))
        });
        let trial = trial.transpose()?;
        self.live.install(Arc::clone(&next), &before, cause).map_err(|Superseded| ReloadError::Superseded)?;
        names.keep();
        if let Some(trial) = trial {
            self.live.begin_trial(trial, &next).map_err(|Superseded| ReloadError::Superseded)?;
        }
        drop(next);
        drop(before);
        self.live.sweep();
        Ok(id)
    }

    /// Remembers and tells what went wrong; what went well is told by what it changed.
    pub(crate) fn reloaded(&self, result: Result<u64, ReloadError>, cause: Cause) -> Result<u64, ReloadError> {
        match &result {
            Ok(_) => self.reloads.set_failure(None),
            Err(error) => {
                let reason = error.to_string();
                let failed = FailedReload { cause: cause.clone(), reason: reason.clone(), at_ms: wall::now_ms() };
                self.reloads.set_failure(Some(failed));
                self.live.tell(|| Event::ReloadFailed { cause, reason });
            }
        }
        result
    }

    /// Goes back to the generation before the running one, at once: it is still loaded. The running one is given up.
    /// Returns the number of the generation that decides from now on.
    ///
    /// # Errors
    /// When no earlier one is kept.
    pub fn roll_back(&self, by: &str) -> Result<u64, RollbackError> {
        let back = self.live.go_back(None, Cause::Rollback(by.to_owned())).ok_or(RollbackError::NothingEarlier);
        self.live.sweep();
        back
    }

    /// Goes back to one of the earlier generations that are kept; those after it are given up.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn roll_back_to(&self, generation: u64, by: &str) -> Result<u64, RollbackError> {
        let back = self.live.go_back(Some(generation), Cause::Rollback(by.to_owned()));
        self.live.sweep();
        back.ok_or_else(|| {
            let (_, _, earlier) = self.live.generations();
            RollbackError::NotKept { generation, kept: earlier.iter().map(|earlier| earlier.id).collect() }
        })
    }
}

pub(crate) fn read(file: &Path) -> Result<Configuration, ReloadError> {
    let text = fs::read_to_string(file).map_err(|source| ReloadError::Read { file: file.to_owned(), source })?;
    Ok(Configuration::parse(&text)?)
}

fn check_limits(running: &Limits, wanted: &Limits) -> Result<(), ReloadError> {
    let Limits { fuel, configure_fuel, deadline, memory_bytes, table_elements, stack_bytes, result_bytes } = running;
    for (key, same, running) in [
        ("fuel", *fuel == wanted.fuel, fuel.to_string()),
        ("configure_fuel", *configure_fuel == wanted.configure_fuel, configure_fuel.to_string()),
        ("deadline", *deadline == wanted.deadline, format!("\"{deadline}\"")),
        ("memory_bytes", *memory_bytes == wanted.memory_bytes, memory_bytes.to_string()),
        ("table_elements", *table_elements == wanted.table_elements, table_elements.to_string()),
        ("stack_bytes", *stack_bytes == wanted.stack_bytes, stack_bytes.to_string()),
        ("result_bytes", *result_bytes == wanted.result_bytes, result_bytes.to_string()),
    ] {
        if !same {
            return Err(ReloadError::Limit { key, running });
        }
    }
    Ok(())
}
