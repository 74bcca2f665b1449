//! Switches as operators write and read them, and as they survive a restart.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tollgate_core::{
    InternError, Reason, Reference, ScopeKind, Selector, Switch, SwitchBoard, SwitchMode, Symbols, Unit,
};
use tollgate_runtime::Host;

/// A switch in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchDocument {
    /// `everything`, `model=…`, `task-type=…`, or a kind of scope and its name, as in `team=red`.
    pub covers: String,
    /// Whether open streams are cut as well.
    pub mode: SwitchMode,
    /// Why it is engaged.
    pub reason: String,
    /// Who or what engaged it.
    pub author: String,
    /// When it was engaged, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub engaged_ms: u64,
    /// When it ends by itself, likewise; nothing for one that has to be lifted.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// What was looked at, and what it was and may be; nothing for an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// The numbers of a policy's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What the numbers count.
    pub unit: Unit,
    /// What it was.
    pub actual: u64,
    /// What it may be.
    pub limit: u64,
}

/// What cannot be covered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectorError {
    #[error(
        "`{0}` is nothing that a switch covers: write `everything`, `model=name`, `task-type=name` or a scope such as `team=red`"
    )]
    Form(String),
    #[error("no configuration names the {what} `{name}`, so a switch on it would cover nothing")]
    Unknown { what: &'static str, name: String },
    #[error("the reason: {0}")]
    Reason(#[from] InternError),
}

/// What scopes are called: switches know them by their reference alone.
#[derive(Debug, Default)]
pub(crate) struct Labels(Mutex<HashMap<(ScopeKind, Reference), String>>);

/// Names that are remembered; there can be no more switches than that.
const MAX_LABELS: usize = tollgate_core::MAX_SWITCHES;

impl Labels {
    fn remember(&self, kind: ScopeKind, name: &str) {
        let mut labels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if labels.len() >= MAX_LABELS {
            labels.clear();
        }
        labels.insert((kind, Reference::of(name)), name.to_owned());
    }

    /// The scope in words; one that no operator named is shown by its reference.
    fn of(&self, kind: ScopeKind, reference: Reference) -> String {
        let labels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        labels
            .get(&(kind, reference))
            .map_or_else(|| format!("{kind}=#{:016x}", reference.as_u64()), |name| format!("{kind}={name}"))
    }
}

/// What `covers` says.
pub(crate) fn selector(host: &Host, labels: &Labels, covers: &str) -> Result<Selector, SelectorError> {
    let known = |what, name: &str| match host.symbol(name) {
        tollgate_core::Symbol::UNKNOWN => Err(SelectorError::Unknown { what, name: name.to_owned() }),
        symbol => Ok(symbol),
    };
    let form = || SelectorError::Form(covers.to_owned());
    Ok(match covers.split_once('=') {
        None if covers == "everything" => Selector::Everything,
        None | Some((_, "")) => return Err(form()),
        Some(("model", name)) => Selector::Model(known("model", name)?),
        Some(("task-type", name)) => Selector::TaskType(known("task type", name)?),
        Some((kind, name)) => {
            let kind: ScopeKind = kind.parse().map_err(|_| form())?;
            match name.strip_prefix('#').and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
                // As it is shown where only a policy has named it.
                Some(reference) => Selector::Scope(kind, serde_json::from_value(reference.into()).map_err(|_| form())?),
                None => {
                    labels.remember(kind, name);
                    Selector::Scope(kind, Reference::of(name))
                }
            }
        }
    })
}

/// A switch as an operator wrote it.
pub(crate) fn read(host: &Host, labels: &Labels, document: &SwitchDocument) -> Result<Switch, SelectorError> {
    let code = host.symbols().intern(&document.reason)?;
    let reason = document
        .evidence
        .map_or_else(|| Reason::named(code), |Evidence { unit, actual, limit }| Reason { code, unit, actual, limit });
    Ok(Switch {
        selector: selector(host, labels, &document.covers)?,
        mode: document.mode,
        reason,
        author: document.author.as_str().into(),
        engaged_ms: document.engaged_ms,
        expires_ms: document.expires_ms,
    })
}

/// A switch in words.
pub(crate) fn write(symbols: &Symbols, labels: &Labels, switch: &Switch) -> SwitchDocument {
    let Reason { code, unit, actual, limit } = switch.reason;
    SwitchDocument {
        covers: match switch.selector {
            Selector::Everything => "everything".to_owned(),
            Selector::Scope(kind, reference) => labels.of(kind, reference),
            Selector::Model(model) => format!("model={}", symbols.display(model)),
            Selector::TaskType(task_type) => format!("task-type={}", symbols.display(task_type)),
        },
        mode: switch.mode,
        reason: symbols.display(code).to_string(),
        author: switch.author.to_string(),
        engaged_ms: switch.engaged_ms,
        expires_ms: switch.expires_ms,
        evidence: (unit != Unit::None).then_some(Evidence { unit, actual, limit }),
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("switches.json")
}

/// Writes the engaged switches down; the old file stays until the new one is whole and on the disk.
pub(crate) fn save(
    data: &Path,
    board: &SwitchBoard,
    symbols: &Symbols,
    labels: &Labels,
    now_ms: u64,
) -> io::Result<()> {
    let engaged = board.switches().iter().filter(|switch| switch.is_engaged(now_ms));
    let documents: Vec<SwitchDocument> = engaged.map(|switch| write(symbols, labels, switch)).collect();
    let fresh = data.join("switches.json.new");
    let mut text = serde_json::to_vec_pretty(&documents)?;
    text.push(b'\n');
    let mut out = fs::File::create(&fresh)?;
    io::Write::write_all(&mut out, &text)?;
    out.sync_all()?;
    fs::rename(fresh, file(data))
}

/// Why the switches of an earlier process are not engaged again. Then nothing may be let through: they stood for something.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the switches in `{}`: {why}; mend it, or remove it to begin without any", file.display())]
pub struct RestoreError {
    file: PathBuf,
    why: String,
}

/// Engages what was engaged when the last process ended.
pub(crate) fn restore(data: &Path, host: &Host, labels: &Labels, now_ms: u64) -> Result<(), RestoreError> {
    let file = file(data);
    let failed = |why: String| RestoreError { file: file.clone(), why };
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let documents: Vec<SwitchDocument> = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    for document in documents {
        let switch = match read(host, labels, &document) {
            Ok(switch) => switch,
            // A model or a task type that the configuration no longer has goes nowhere anyway.
            Err(SelectorError::Unknown { .. }) => continue,
            Err(error) => return Err(failed(error.to_string())),
        };
        if switch.is_engaged(now_ms) {
            host.engage(switch).map_err(|error| failed(error.to_string()))?;
        }
    }
    Ok(())
}
