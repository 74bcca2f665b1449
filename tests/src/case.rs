//! A case of the whole chain: a folder with a configuration, a dispatch, and what becomes of it.
//!
//! | file | |
//! |---|---|
//! | `tollgate.toml` | the configuration; the shipped policies are found by name |
//! | `dispatch.json` | a [`DispatchDocument`] |
//! | `switches.json` | the switches that are engaged, where there are any |
//! | `expect.json` | an [`Expectation`] |

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tollgate_core::{
    Decision, Dispatch, DispatchDocument, DocumentError, Outcome, Reason, Reference, Refusal, ScopeKind, Selector,
    Source, Switch, SwitchMode, Tier,
};
use tollgate_runtime::{Host, HostError};

use crate::built::{compile_cache, plugins_folder};

/// A folder of `cases/`, read.
#[derive(Debug)]
pub struct Case {
    folder: PathBuf,
    document: DispatchDocument,
    switches: Vec<SwitchDocument>,
    expected: Expectation,
}

/// What becomes of the dispatch. Only `outcome` has to be said; what is not said is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    /// Why the case is there, in one sentence.
    because: String,
    /// `proceed`, `slow`, `hold` or `refuse`.
    outcome: String,
    /// The model that takes it, where it may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The backend, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_cap: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Tier>,
    /// The policy that settled it, or `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The reason as people read it (`run-cost: 14.20 USD of 10.00 USD`), or the host's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<u32>,
    /// `policy: verdict` in the order of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    trail: Option<Vec<String>>,
    /// What switches are engaged afterwards, by their authors.
    #[serde(skip_serializing_if = "Option::is_none")]
    engaged: Option<Vec<String>>,
}

/// An engaged switch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchDocument {
    covers: CoversDocument,
    mode: SwitchMode,
    reason: String,
    author: String,
    expires_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum CoversDocument {
    Everything,
    Scope { kind: ScopeKind, name: String },
    Model(String),
    TaskType(String),
}

/// Why a folder is not a case, or what went another way than it says.
#[derive(Debug)]
pub enum CaseError {
    /// A file that is missing or cannot be read.
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that does not belong to a case.
    Stray(PathBuf),
    /// A file that is not what it should be.
    Form {
        /// Which.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is no host.
    Host(HostError),
    /// The document is no dispatch.
    Dispatch(DocumentError),
    /// It was decided otherwise.
    Decided {
        /// What the case says.
        expected: String,
        /// What became of it.
        actual: String,
    },
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => write!(f, "cannot read `{}`: {source}", file.display()),
            Self::Stray(file) => write!(f, "`{}` belongs to no case", file.display()),
            Self::Form { file, source } => write!(f, "`{}`: {source}", file.display()),
            Self::Host(error) => error.fmt(f),
            Self::Dispatch(error) => error.fmt(f),
            Self::Decided { expected, actual } => write!(f, "expected {expected}\nit became {actual}"),
        }
    }
}

impl std::error::Error for CaseError {}

impl Case {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing, is not what it should be, or is none of a case's.
    pub fn read(folder: &Path) -> Result<Self, CaseError> {
        refuse_strays(folder)?;
        let switches = folder.join("switches.json");
        Ok(Self {
            document: json(&folder.join("dispatch.json"))?,
            switches: if switches.exists() { json(&switches)? } else { Vec::new() },
            expected: json(&folder.join("expect.json"))?,
            folder: folder.to_owned(),
        })
    }

    /// Decides its dispatch, and compares.
    ///
    /// # Errors
    /// When there is no host, or the decision is another than the case says.
    pub fn run(&self) -> Result<(), CaseError> {
        let host = Host::builder()
            .plugin_folder(plugins_folder())
            .compile_cache(compile_cache())
            .open(self.folder.join("tollgate.toml"))
            .map_err(CaseError::Host)?;
        for switch in &self.switches {
            host.engage(switch.to_switch(&host, self.document.now_ms)).expect("a case engages few switches");
        }
        let dispatch = self.document.to_dispatch(&host.catalogue(), host.symbols()).map_err(CaseError::Dispatch)?;
        let decision = host.decide(&dispatch);
        let became = Expectation::of(&decision, &dispatch, &host).only_what(&self.expected);
        if became == self.expected {
            return Ok(());
        }
        let shown = |expectation: &Expectation| serde_json::to_string_pretty(expectation).unwrap_or_default();
        Err(CaseError::Decided { expected: shown(&self.expected), actual: shown(&became) })
    }
}

fn refuse_strays(folder: &Path) -> Result<(), CaseError> {
    let read = |source| CaseError::Read { file: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let file = entry.map_err(read)?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !["tollgate.toml", "dispatch.json", "switches.json", "expect.json"].contains(&name) {
            return Err(CaseError::Stray(file));
        }
    }
    Ok(())
}

fn json<T: DeserializeOwned>(file: &Path) -> Result<T, CaseError> {
    let text = fs::read_to_string(file).map_err(|source| CaseError::Read { file: file.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| CaseError::Form { file: file.to_owned(), source })
}

impl SwitchDocument {
    fn to_switch(&self, host: &Host, now_ms: u64) -> Switch {
        Switch {
            selector: match &self.covers {
                CoversDocument::Everything => Selector::Everything,
                CoversDocument::Scope { kind, name } => Selector::Scope(*kind, Reference::of(name)),
                CoversDocument::Model(name) => Selector::Model(host.symbol(name)),
                CoversDocument::TaskType(name) => Selector::TaskType(host.symbol(name)),
            },
            mode: self.mode,
            reason: Reason::named(host.symbols().intern(&self.reason).expect("a short name")),
            author: self.author.as_str().into(),
            engaged_ms: now_ms,
            expires_ms: self.expires_ms,
        }
    }
}

impl Expectation {
    /// What became of a dispatch, in full.
    fn of(decision: &Decision, dispatch: &Dispatch, host: &Host) -> Self {
        let permit = decision.outcome.permit();
        let candidate = permit
            .and_then(|permit| usize::try_from(permit.candidate()).ok())
            .and_then(|index| dispatch.candidates.get(index));
        let name = |symbol| host.symbols().display(symbol).to_string();
        let (by, reason, milliseconds) = match &decision.outcome {
            Outcome::Proceed(_) => (None, None, None),
            Outcome::Slow { milliseconds, by } => (Some(by), None, Some(*milliseconds)),
            Outcome::Hold { by, reason } => (Some(by), Some(reason.display(host.symbols())), None),
            Outcome::Refuse { by, cause } => (Some(by), Some(why(cause, host)), None),
        };
        let trail = decision.trail.iter().map(|entry| {
            let shadow = if entry.shadow { " (shadow)" } else { "" };
            format!("{}: {}{shadow}", host.policy_name(entry.policy), entry.verdict.word())
        });
        Self {
            because: String::new(),
            outcome: decision.outcome.word().to_owned(),
            model: candidate.map(|candidate| name(candidate.model)),
            backend: candidate.map(|candidate| name(candidate.backend)),
            output_cap: permit.and_then(tollgate_core::Permit::output_cap),
            floor: Some(decision.floor),
            by: by.map(|by| match by {
                Source::Host => "host".to_owned(),
                Source::Policy(index, _) => host.policy_name(*index).to_string(),
            }),
            reason,
            milliseconds,
            trail: Some(trail.collect()),
            engaged: Some(host.switches().switches().iter().map(|switch| switch.author.to_string()).collect()),
        }
    }

    /// Without what `said` does not say.
    fn only_what(mut self, said: &Self) -> Self {
        said.because.clone_into(&mut self.because);
        self.model.take_if(|_| said.model.is_none());
        self.backend.take_if(|_| said.backend.is_none());
        self.output_cap.take_if(|_| said.output_cap.is_none());
        self.floor.take_if(|_| said.floor.is_none());
        self.by.take_if(|_| said.by.is_none());
        self.reason.take_if(|_| said.reason.is_none());
        self.milliseconds.take_if(|_| said.milliseconds.is_none());
        self.trail.take_if(|_| said.trail.is_none());
        self.engaged.take_if(|_| said.engaged.is_none());
        self
    }
}

fn why(cause: &Refusal, host: &Host) -> String {
    match cause {
        Refusal::Policy(reason) | Refusal::ModelsSwitchedOff(reason) => reason.display(host.symbols()),
        Refusal::PolicyFailed(failure) => format!("{}: {}", cause.as_str(), failure.as_str()),
        Refusal::NoCandidate | Refusal::NoCandidateAtFloor | Refusal::TooManyFacts => cause.as_str().to_owned(),
    }
}
