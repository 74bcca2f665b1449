//! What the switches covered of a dispatch, as it is recorded, and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_core::{Covered, Reference, ScopeKind, Selector, Switch, SwitchMode, Symbols};

use super::result::ReasonRecord;
use super::{is_default, symbol};

/// What the switches covered of a dispatch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredRecord {
    /// How many times the switches had changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub epoch: u64,
    /// The strictest switch over the dispatch itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<SwitchRecord>,
    /// The candidates whose model a switch covers, by their places.
    #[serde(default, skip_serializing_if = "is_default")]
    pub candidates: Vec<u32>,
    /// Why the last of those switches was engaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates_reason: Option<ReasonRecord>,
}

/// An engaged switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRecord {
    /// What it covers.
    pub covers: SelectorRecord,
    /// How it treats what runs.
    pub mode: SwitchMode,
    /// Why it was engaged.
    pub reason: ReasonRecord,
    /// Who engaged it.
    pub author: Arc<str>,
    /// When, in milliseconds since the Unix epoch.
    pub engaged_ms: u64,
    /// When it ends by itself, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// What a switch covers; nothing for a name that no configuration mentions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the cases are those of `Selector`")]
pub enum SelectorRecord {
    Everything,
    Scope {
        kind: ScopeKind,
        #[serde(with = "super::reference")]
        reference: Reference,
    },
    Model(Option<Arc<str>>),
    TaskType(Option<Arc<str>>),
}

impl CoveredRecord {
    pub(super) fn of(covered: &Covered, symbols: &Symbols) -> Self {
        Self {
            epoch: covered.epoch,
            by: covered.by.as_ref().map(|switch| SwitchRecord::of(switch, symbols)),
            candidates: (0..u64::BITS).filter(|index| covered.covers_candidate(*index)).collect(),
            candidates_reason: covered.candidates_reason.map(|reason| ReasonRecord::of(&reason, symbols)),
        }
    }

    pub(super) fn to_covered(&self, symbols: &Symbols) -> Covered {
        let bit = |index: &u32| 1_u64.checked_shl(*index).unwrap_or(0);
        Covered {
            epoch: self.epoch,
            by: self.by.as_ref().map(|switch| Box::new(switch.to_switch(symbols))),
            candidates: self.candidates.iter().fold(0, |bits, index| bits | bit(index)),
            candidates_reason: self.candidates_reason.as_ref().map(|reason| reason.to_reason(symbols)),
        }
    }
}

impl SwitchRecord {
    fn of(switch: &Switch, symbols: &Symbols) -> Self {
        Self {
            covers: match switch.selector {
                Selector::Everything => SelectorRecord::Everything,
                Selector::Scope(kind, reference) => SelectorRecord::Scope { kind, reference },
                Selector::Model(model) => SelectorRecord::Model(symbols.resolve(model)),
                Selector::TaskType(task_type) => SelectorRecord::TaskType(symbols.resolve(task_type)),
            },
            mode: switch.mode,
            reason: ReasonRecord::of(&switch.reason, symbols),
            author: Arc::clone(&switch.author),
            engaged_ms: switch.engaged_ms,
            expires_ms: switch.expires_ms,
        }
    }

    fn to_switch(&self, symbols: &Symbols) -> Switch {
        Switch {
            selector: match &self.covers {
                SelectorRecord::Everything => Selector::Everything,
                SelectorRecord::Scope { kind, reference } => Selector::Scope(*kind, *reference),
                SelectorRecord::Model(model) => Selector::Model(symbol(model.as_ref(), symbols)),
                SelectorRecord::TaskType(task_type) => Selector::TaskType(symbol(task_type.as_ref(), symbols)),
            },
            mode: self.mode,
            reason: self.reason.to_reason(symbols),
            author: Arc::clone(&self.author),
            engaged_ms: self.engaged_ms,
            expires_ms: self.expires_ms,
        }
    }
}
