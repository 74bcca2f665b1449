//! A dispatch as it is recorded, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_core::{
    Account, Attempts, Candidate, Covered, Dispatch, Health, Hosting, Nanodollars, Priority, Reference, ScopeKind,
    ScopePath, Spending, Symbol, Symbols, Tier,
};

use super::covered::CoveredRecord;
use super::{Name, is_default, name, symbol};
use crate::records::context::Origins;
use crate::records::slot::Slot;

/// A dispatch with its names as text. Fields that have their neutral value are not written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Dispatch`")]
pub struct DispatchRecord {
    pub now_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub waited_ms: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Thing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Arc<str>>,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default, skip_serializing_if = "is_default")]
    pub approved: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub scopes: BTreeMap<ScopeKind, Thing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Thing>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub spending: Spending,
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Attempts,
    #[serde(default, skip_serializing_if = "is_default")]
    pub input_tokens: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub output_tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_tier: Option<Tier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub candidates: Vec<CandidateRecord>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub accounts: Vec<AccountRecord>,
    /// Name and value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tags: Vec<(Name, Name)>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub counters: Vec<(Name, u64)>,
    /// What the switches covered of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub covered: CoveredRecord,
    /// A list was longer than is recorded: it cannot be decided again as it was.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cut: bool,
    /// Where each group of facts came from.
    #[serde(default)]
    pub from: Origins,
}

/// Something without bound: what policies see of it, and what its caller calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// As the caller named it; never for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// What policies see.
    #[serde(with = "super::reference")]
    pub reference: Reference,
}

impl Thing {
    /// Whether it is the one of that name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name) || self.reference == Reference::of(name)
    }

    fn new(reference: Reference, name: Option<&str>) -> Self {
        Self { name: name.map(Arc::from), reference }
    }
}

/// A model on a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Candidate`")]
pub struct CandidateRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Arc<str>>,
    pub tier: Tier,
    pub health: Health,
    pub hosting: Hosting,
    #[serde(default, skip_serializing_if = "is_default")]
    pub warm: bool,
    /// Nothing for no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_slots: Option<u32>,
    pub estimated_cost: Nanodollars,
}

/// A budget's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Account`")]
pub struct AccountRecord {
    pub kind: ScopeKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    pub spent: Nanodollars,
    pub reserved: Nanodollars,
    pub limit: Nanodollars,
    pub hard: Nanodollars,
    /// Nothing for a window that does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_end_ms: Option<u64>,
}

impl DispatchRecord {
    pub(super) fn of(slot: &Slot, covered: &Covered, symbols: &Symbols) -> Self {
        let dispatch = &slot.dispatch;
        let mut names = slot.names.iter();
        let mut next = || names.next().flatten();
        let (task, task_type, stage, requested_model) = (next(), next(), next(), next());
        let scopes = ScopeKind::ALL.into_iter().filter_map(|kind| {
            let name = next();
            Some((kind, Thing::new(dispatch.scopes.of(kind)?, name)))
        });
        let named = |symbol: Symbol| symbols.resolve(symbol);
        Self {
            now_ms: dispatch.now_ms,
            waited_ms: dispatch.waited_ms,
            scopes: scopes.collect(),
            task: dispatch.task.map(|reference| Thing::new(reference, task)),
            task_type: name(dispatch.task_type, symbols, task_type),
            stage: name(dispatch.stage, symbols, stage),
            priority: dispatch.priority,
            approved: dispatch.approved,
            sample: dispatch.sample.map(|reference| Thing::new(reference, None)),
            spending: dispatch.spending,
            attempts: dispatch.attempts,
            input_tokens: dispatch.input_tokens,
            output_tokens: dispatch.output_tokens,
            requested_tier: dispatch.requested_tier,
            requested_model: name(dispatch.requested_model, symbols, requested_model),
            sticky: dispatch.sticky,
            candidates: dispatch.candidates.iter().map(|candidate| CandidateRecord::of(candidate, symbols)).collect(),
            accounts: dispatch.accounts.iter().map(|account| AccountRecord::of(account, symbols)).collect(),
            tags: dispatch.tags.iter().map(|(name, value)| (named(*name), named(*value))).collect(),
            counters: dispatch.counters.iter().map(|(name, count)| (named(*name), *count)).collect(),
            covered: CoveredRecord::of(covered, symbols),
            cut: slot.cut,
            from: slot.origins,
        }
    }

    /// The dispatch as a host with these names sees it, and what the switches covered of it. In a host with the names of the
    /// one that recorded it, it is the same dispatch.
    #[must_use]
    pub fn to_dispatch(&self, symbols: &Symbols) -> (Dispatch, Covered) {
        let look_up = |name: &Option<Arc<str>>| symbol(name.as_ref(), symbols);
        let mut scopes = ScopePath::default();
        for (kind, scope) in &self.scopes {
            scopes.set(*kind, scope.reference);
        }
        let dispatch = Dispatch {
            now_ms: self.now_ms,
            waited_ms: self.waited_ms,
            task_type: look_up(&self.task_type),
            stage: look_up(&self.stage),
            priority: self.priority,
            approved: self.approved,
            scopes,
            task: self.task.as_ref().map(|task| task.reference),
            sample: self.sample.as_ref().map(|sample| sample.reference),
            spending: self.spending,
            attempts: self.attempts,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            requested_tier: self.requested_tier,
            requested_model: look_up(&self.requested_model),
            sticky: self.sticky,
            candidates: self.candidates.iter().map(|candidate| candidate.to_candidate(symbols)).collect(),
            accounts: self.accounts.iter().map(|account| account.to_account(symbols)).collect(),
            tags: self.tags.iter().map(|(name, value)| (look_up(name), look_up(value))).collect(),
            counters: self.counters.iter().map(|(name, count)| (look_up(name), *count)).collect(),
        };
        (dispatch, self.covered.to_covered(symbols))
    }
}

impl CandidateRecord {
    fn of(candidate: &Candidate, symbols: &Symbols) -> Self {
        Self {
            model: symbols.resolve(candidate.model),
            backend: symbols.resolve(candidate.backend),
            tier: candidate.tier,
            health: candidate.health,
            hosting: candidate.hosting,
            warm: candidate.warm,
            free_slots: (candidate.free_slots != u32::MAX).then_some(candidate.free_slots),
            estimated_cost: candidate.estimated_cost,
        }
    }

    fn to_candidate(&self, symbols: &Symbols) -> Candidate {
        Candidate {
            model: symbol(self.model.as_ref(), symbols),
            backend: symbol(self.backend.as_ref(), symbols),
            tier: self.tier,
            health: self.health,
            hosting: self.hosting,
            warm: self.warm,
            free_slots: self.free_slots.unwrap_or(u32::MAX),
            estimated_cost: self.estimated_cost,
        }
    }
}

impl AccountRecord {
    fn of(account: &Account, symbols: &Symbols) -> Self {
        Self {
            kind: account.kind,
            owner: symbols.resolve(account.owner),
            spent: account.spent,
            reserved: account.reserved,
            limit: account.limit,
            hard: account.hard,
            window_end_ms: (account.window_end_ms != u64::MAX).then_some(account.window_end_ms),
        }
    }

    fn to_account(&self, symbols: &Symbols) -> Account {
        Account {
            kind: self.kind,
            owner: symbol(self.owner.as_ref(), symbols),
            spent: self.spent,
            reserved: self.reserved,
            limit: self.limit,
            hard: self.hard,
            window_end_ms: self.window_end_ms.unwrap_or(u64::MAX),
        }
    }
}
