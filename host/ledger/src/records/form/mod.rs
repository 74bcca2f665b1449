//! What a record holds, as it is written. docs/record-format.md tells the same to people.
//!
//! Names are text, since symbols mean something only in the process that gave them out. References stay references:
//! that is all a policy sees of a run or a user.

mod covered;
mod dispatch;
mod result;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use covered::{CoveredRecord, SelectorRecord, SwitchRecord};
pub use dispatch::{AccountRecord, CandidateRecord, DispatchRecord, Thing};
pub use result::{Metrics, ReasonRecord, ResultRecord, TripRecord, VerdictRecord};

use super::DecisionId;
use super::slot::Slot;
use tollgate_core::{OnError, PolicyKind, Symbols};

/// The version of the form. A reader refuses files of a later one.
pub const VERSION: u32 = 1;

/// A word of the contract: borrowed where it is written, owned where it is read.
pub type Word = Cow<'static, str>;

/// A name; nothing for one that no configuration mentions and nobody gave.
pub type Name = Option<Arc<str>>;

/// One MessagePack value of a file: a map with one key, which says what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The first of every file.
    Header(Header),
    /// The policies of a generation; stands before the first decision by it in every file.
    Policies(PolicySet),
    /// A decision.
    Decision(Box<DecisionRecord>),
    /// Decisions that were made and not written.
    Lost(Lost),
}

/// Who wrote a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// The version of the program.
    pub program: String,
    /// The first half of the decision ids in it.
    pub session: u64,
    /// Which file of the session, from 1.
    pub file: u64,
    /// What the operator says about this recorder.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The policies that decide as one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySet {
    /// Which generation.
    pub generation: u64,
    /// In the order of the configuration, which is what a verdict's policy index counts.
    pub policies: Vec<PolicyRecord>,
}

/// A policy, as far as it takes to find it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// As the configuration calls it.
    pub policy: Arc<str>,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// `sha256:…` of its file.
    pub digest: String,
    /// `sha256:…` of its configuration as JSON.
    pub configuration: String,
    /// What it means when it cannot be evaluated.
    pub on_error: OnError,
    /// It is evaluated and recorded, and changes nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// How many decisions were not written since the last entry of this kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The queue was full.
    pub queue_full: u64,
    /// The file could not be written.
    pub write_failed: u64,
}

impl Lost {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.queue_full.saturating_add(self.write_failed)
    }
}

/// A decision, with everything it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// What it is called.
    pub decision_id: DecisionId,
    /// The W3C trace it belongs to, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// What it saw.
    pub input: DispatchRecord,
    /// What came of it.
    pub result: ResultRecord,
    /// Verdicts of policies in shadow, which changed nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<VerdictRecord>,
    /// What it took.
    pub metrics: Metrics,
}

impl DecisionRecord {
    /// The verdicts that counted and those that did not, kind after kind.
    pub fn verdicts(&self) -> impl Iterator<Item = &VerdictRecord> {
        PolicyKind::ALL.iter().flat_map(|kind| {
            self.result.verdicts.iter().chain(&self.shadow).filter(move |verdict| verdict.kind == *kind)
        })
    }

    /// What is written of a queue's place; nothing of an empty one.
    pub(super) fn of(slot: &Slot, symbols: &Symbols, policies: &PolicySet) -> Option<Self> {
        let decision = slot.decision.as_ref()?;
        let (result, shadow) = ResultRecord::of(decision, &slot.dispatch, symbols, policies);
        Some(Self {
            decision_id: slot.id?,
            trace_id: slot.trace_id.map(|bytes| hexadecimal(&bytes)),
            span_id: slot.span_id.map(|bytes| hexadecimal(&bytes)),
            input: DispatchRecord::of(slot, &decision.covered, symbols),
            result,
            shadow,
            metrics: Metrics { timer_decide_ns: decision.nanoseconds },
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The name behind a symbol, or the caller's own where the host knows none.
fn name(symbol: tollgate_core::Symbol, symbols: &Symbols, given: Option<&str>) -> Option<Arc<str>> {
    symbols.resolve(symbol).or_else(|| {
        // A name that the host knows, beside a symbol that says it does not: the decision saw the symbol.
        given.filter(|name| symbols.lookup(name) == tollgate_core::Symbol::UNKNOWN).map(Arc::from)
    })
}

/// The symbol of a recorded name.
fn symbol(name: Option<&Arc<str>>, symbols: &Symbols) -> tollgate_core::Symbol {
    name.map_or(tollgate_core::Symbol::UNKNOWN, |name| symbols.lookup(name))
}

/// References: numbers in MessagePack, hexadecimal text in JSON, whose readers round numbers of that size.
pub(super) mod reference {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use tollgate_core::Reference;

    pub(in crate::records) fn serialize<S: Serializer>(
        reference: &Reference,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{:016x}", reference.as_u64()))
        } else {
            serializer.serialize_u64(reference.as_u64())
        }
    }

    pub(in crate::records) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            u64::from_str_radix(&text, 16).map(Reference::from_u64).map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Reference::from_u64)
        }
    }
}
