//! Decision records of live traffic: every decision goes through the ledger's bounded recorder, which never makes one wait.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tollgate_core::config::{PolicyMode, RecordRules};
use tollgate_core::{Decision, Dispatch, Symbols};
use tollgate_ledger::records::{
    Context, DecisionId, Lost, Names, Naming, OpenError, Options, Origin, Origins, PolicyRecord, PolicySet, Recorder,
    Status,
};
use tollgate_runtime::{About, Host};

use crate::call::Call;
use crate::clock;

/// The folder of the records, in the data folder.
pub const RECORDS_FOLDER: &str = "records";

/// The host as a recorder asks it for names.
pub struct NamesOf(pub Arc<Host>);

impl Naming for NamesOf {
    fn symbols(&self) -> &Symbols {
        self.0.symbols()
    }

    fn policies(&self, generation: u64) -> Option<PolicySet> {
        Some(policy_set(generation, &self.0.policies_of(generation)?))
    }
}

/// The policies of a generation as they are recorded.
#[must_use]
pub fn policy_set(generation: u64, policies: &[About]) -> PolicySet {
    let policies = policies.iter().map(|about| PolicyRecord {
        policy: about.policy.as_str().into(),
        plugin: about.plugin.clone(),
        version: about.version.clone(),
        digest: about.digest.to_string(),
        configuration: about.configuration.to_string(),
        on_error: about.on_error,
        shadow: about.mode == PolicyMode::Shadow,
    });
    PolicySet { generation, policies: policies.collect() }
}

/// Where decisions are recorded, as long as they are.
pub(crate) struct Records {
    folder: PathBuf,
    /// Opened when records are wanted for the first time; what is switched off later waits.
    recorder: OnceLock<Recorder>,
    on: AtomicBool,
    told: Mutex<Lost>,
}

/// Where the facts of a call come from.
const ORIGINS: Origins = Origins {
    now: Origin::Clock,
    identity: Origin::Given,
    request: Origin::Given,
    approved: Origin::History,
    spending: Origin::History,
    attempts: Origin::History,
    route: Origin::History,
    candidates: Origin::Configuration,
    estimates: Origin::PriceTable,
    budgets: Origin::Configuration,
    accounts: Origin::History,
    tags: Origin::Given,
    counters: Origin::History,
};

impl Records {
    /// Records that will lie in a data folder; none are written until they are switched on.
    pub(crate) fn in_data(data: &Path) -> Self {
        Self {
            folder: data.join(RECORDS_FOLDER),
            recorder: OnceLock::new(),
            on: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins or ceases to record. Called by one thread at a time.
    pub(crate) fn switch(&self, rules: RecordRules, host: &Arc<Host>) -> Result<(), OpenError> {
        if rules.enabled && self.recorder.get().is_none() {
            let options = Options {
                queue: usize::try_from(rules.queue).unwrap_or(usize::MAX),
                file_bytes: rules.file_bytes,
                files: usize::try_from(rules.files).unwrap_or(usize::MAX),
                ..Options::default()
            };
            let recorder = Recorder::open(&self.folder, clock::now_ms(), options, NamesOf(Arc::clone(host)))?;
            // Nobody else sets it.
            let _ = self.recorder.set(recorder);
        }
        self.on.store(rules.enabled, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a decision down, and says what it is called; nothing where decisions are not recorded.
    pub(crate) fn record(&self, call: &Call, dispatch: &Dispatch, decision: &Decision) -> Option<DecisionId> {
        let recorder = self.recorder.get().filter(|_| self.on.load(Ordering::Relaxed))?;
        let identity = &call.identity;
        let mut names = Names {
            task: Some(&identity.task),
            task_type: identity.task_type.as_deref(),
            stage: identity.stage.as_deref(),
            requested_model: Some(&call.request.model),
            ..Names::default()
        };
        for scope in &identity.scopes {
            names.scopes.set(scope.kind, &scope.name);
        }
        let trace_id = identity.trace.as_deref().and_then(|trace| u128::from_str_radix(trace, 16).ok());
        let context =
            Context { names, trace_id: trace_id.map(u128::to_be_bytes), origins: ORIGINS, ..Context::default() };
        Some(recorder.record(dispatch, decision, &context))
    }

    /// What was written, waits, and is lost; nothing where nothing was ever recorded.
    pub(crate) fn status(&self) -> Option<Status> {
        self.recorder.get().map(Recorder::status)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// How many were lost since it was last asked, in words; nothing where none were.
    pub(crate) fn lost_since(&self) -> Option<String> {
        let lost = self.status()?.lost;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *told, lost);
        let news = lost.all().saturating_sub(before.all());
        (news > 0).then(|| {
            format!(
                "{news} decisions were not recorded: the queue was full for {}, the files could not be written for {}",
                lost.queue_full.saturating_sub(before.queue_full),
                lost.write_failed.saturating_sub(before.write_failed)
            )
        })
    }

    /// Waits until what was decided is in a file.
    pub(crate) fn flush(&self) {
        if let Some(recorder) = self.recorder.get() {
            recorder.flush();
        }
    }
}
