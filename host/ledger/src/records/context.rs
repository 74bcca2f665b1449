//! What the one who asked for a decision knows beside the dispatch: names that are references or unknown there, the
//! trace it belongs to, and where each group of facts came from.

use serde::{Deserialize, Serialize};
use tollgate_core::ScopeKind;

/// What is recorded with a dispatch and plays no part in its decision. Everything in it is optional.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Names that a dispatch does not carry.
    pub names: Names<'a>,
    /// The W3C trace it belongs to.
    pub trace_id: Option<[u8; 16]>,
    /// The span in it.
    pub span_id: Option<[u8; 8]>,
    /// Where the facts came from.
    pub origins: Origins,
}

/// Names as the caller wrote them. A name that the host knows is recorded without being repeated here; one of more than
/// [`super::MAX_NAME_BYTES`] is left out.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of `Dispatch`")]
pub struct Names<'a> {
    pub task: Option<&'a str>,
    pub task_type: Option<&'a str>,
    pub stage: Option<&'a str>,
    pub requested_model: Option<&'a str>,
    pub scopes: ScopeNames<'a>,
}

/// Names of scopes, at most one of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeNames<'a>([Option<&'a str>; ScopeKind::ALL.len()]);

impl<'a> ScopeNames<'a> {
    /// Names a scope. The name of a key is never taken: it could be the key.
    pub fn set(&mut self, kind: ScopeKind, name: &'a str) {
        if kind != ScopeKind::Key
            && let Some(place) = self.0.get_mut(kind as usize)
        {
            *place = Some(name);
        }
    }
}

impl<'a> Names<'a> {
    /// In a fixed order: task, task type, stage, requested model, then the scopes.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Option<&'a str>> {
        [self.task, self.task_type, self.stage, self.requested_model].into_iter().chain(self.scopes.0)
    }
}

/// Where a fact came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// The caller said so.
    Given,
    /// A line of a trace.
    Trace,
    /// The models, backends and budgets of the configuration.
    Configuration,
    /// The price table and the tokens that are expected.
    PriceTable,
    /// This machine's clock.
    Clock,
    /// What the host has counted.
    History,
}

impl Origin {
    /// The word of the records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Given => "given",
            Self::Trace => "trace",
            Self::Configuration => "configuration",
            Self::PriceTable => "price-table",
            Self::Clock => "clock",
            Self::History => "history",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

/// Where each group of facts came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origins {
    /// `now_ms`.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub now: Origin,
    /// Who and what: scopes, task, task type, stage, priority.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub identity: Origin,
    /// What is asked for: tokens, tier, model.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub request: Origin,
    /// Whether a human approved it.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub approved: Origin,
    /// `spending`.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub spending: Origin,
    /// `attempts`.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub attempts: Origin,
    /// Which candidate is sticky and warm.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub route: Origin,
    /// The candidates, without their prices.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub candidates: Origin,
    /// What each candidate is expected to cost.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub estimates: Origin,
    /// What the accounts' budgets allow: owner, limit, ceiling, window.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub budgets: Origin,
    /// What was spent and is reserved of them.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub accounts: Origin,
    /// `tags`.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub tags: Origin,
    /// `counters`.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub counters: Origin,
}
