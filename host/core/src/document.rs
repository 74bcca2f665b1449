//! A dispatch as a JSON document: what `tollgate decide` reads and what test cases are written in. Names are
//! text here; facts that are not given have neutral values, and where each came from can be told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::form;
use crate::{
    Account, Attempts, Candidate, Catalogue, Dispatch, Health, Hosting, Nanodollars, Priority, Reference, Repetition,
    ScopeKind, Spending, Symbol, Symbols, Tier,
};

/// A dispatch with its names as text. Amounts are `"0.25 USD"` or whole nanodollars; times are milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are those of `Dispatch`")]
pub struct DispatchDocument {
    pub now_ms: u64,
    pub waited_ms: u32,
    pub task: Option<String>,
    pub task_type: Option<String>,
    pub stage: Option<String>,
    pub priority: Option<Priority>,
    pub approved: bool,
    pub scopes: BTreeMap<ScopeKind, String>,
    #[serde(deserialize_with = "form::object")]
    pub spending: SpendingDocument,
    #[serde(deserialize_with = "form::object")]
    pub attempts: AttemptsDocument,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub requested_tier: Option<Tier>,
    pub requested_model: Option<String>,
    pub sticky: Option<u32>,
    /// Without any, every model of the configuration is offered on each backend that serves it.
    #[serde(deserialize_with = "form::objects")]
    pub candidates: Vec<CandidateDocument>,
    #[serde(deserialize_with = "form::objects")]
    pub accounts: Vec<AccountDocument>,
    pub tags: BTreeMap<String, String>,
    pub counters: BTreeMap<String, u64>,
}

/// What the run and its scopes have spent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are those of `Spending`")]
pub struct SpendingDocument {
    pub run_cost: Nanodollars,
    pub run_per_minute: Nanodollars,
    pub scope_per_minute: Nanodollars,
    pub fastest_scope: Option<ScopeKind>,
    pub task_type_p95: Nanodollars,
    pub finished_runs: u32,
}

/// What went wrong with the task so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are those of `Attempts`")]
pub struct AttemptsDocument {
    pub failed: u32,
    pub streak: u32,
    pub streak_elapsed_ms: u64,
    pub since_failure_ms: u64,
    pub fast_failures: u32,
    pub rejections: u32,
    pub failed_tier: Option<Tier>,
    pub repetition: Repetition,
    pub repetitions: u32,
}

/// A model on a backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Candidate`")]
pub struct CandidateDocument {
    pub model: String,
    pub backend: String,
    /// The configured tier of the model where nothing is said.
    pub tier: Option<Tier>,
    #[serde(default = "healthy")]
    pub health: Health,
    #[serde(default = "remote")]
    pub hosting: Hosting,
    #[serde(default)]
    pub warm: bool,
    pub free_slots: Option<u32>,
    /// Nothing where nobody knows; the command line then asks its price table.
    pub estimated_cost: Option<Nanodollars>,
}

const fn healthy() -> Health {
    Health::Healthy
}

const fn remote() -> Hosting {
    Hosting::Remote
}

/// A budget's account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Account`")]
pub struct AccountDocument {
    pub kind: ScopeKind,
    pub owner: Option<String>,
    #[serde(default)]
    pub spent: Nanodollars,
    #[serde(default)]
    pub reserved: Nanodollars,
    pub limit: Nanodollars,
    /// The limit where nothing is said.
    pub hard: Option<Nanodollars>,
    pub window_end_ms: Option<u64>,
}

/// Why a document is not a dispatch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A candidate needs a tier.
    #[error("candidate `{model}` has no `tier`, and no [[model]] of the configuration names it: give it one")]
    UnknownTier {
        /// Which model.
        model: String,
    },
    /// What no configuration names has no slots and no health.
    #[error(
        "candidate `{model}` is on the backend `{backend}`, which no [[backend]] of the configuration names: add it, or use {known}"
    )]
    UnknownBackend {
        /// Which model.
        model: String,
        /// On which backend.
        backend: String,
        /// The backends there are, for people.
        known: String,
    },
    /// The sticky candidate has to be one of them.
    #[error("`sticky` is {sticky}, and there are {candidates} candidates: it is an index into them")]
    StickyOutOfRange {
        /// What it says.
        sticky: u32,
        /// How many there are.
        candidates: usize,
    },
}

impl DispatchDocument {
    /// The dispatch it describes.
    ///
    /// # Errors
    /// When a candidate's tier or backend is not known, or `sticky` names none.
    pub fn to_dispatch(&self, catalogue: &Catalogue, symbols: &Symbols) -> Result<Dispatch, DocumentError> {
        let symbol = |name: &Option<String>| name.as_deref().map_or(Symbol::UNKNOWN, |name| symbols.lookup(name));
        let mut dispatch = Dispatch {
            now_ms: self.now_ms,
            waited_ms: self.waited_ms,
            task_type: symbol(&self.task_type),
            stage: symbol(&self.stage),
            priority: self.priority.unwrap_or_default(),
            approved: self.approved,
            spending: self.spending.to_spending(),
            attempts: self.attempts.to_attempts(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            requested_tier: self.requested_tier,
            requested_model: symbol(&self.requested_model),
            sticky: self.sticky,
            ..Dispatch::default()
        };
        for (kind, name) in &self.scopes {
            dispatch.scopes.set(*kind, Reference::of(name));
        }
        let run = dispatch.scopes.of(ScopeKind::Run);
        dispatch.task = self.task.as_deref().map(Reference::of).or(run);
        dispatch.sample = run.or(dispatch.task);
        dispatch.candidates = self.candidates(catalogue, symbols)?;
        dispatch.accounts = self.accounts.iter().map(|account| account.to_account(symbols)).collect();
        dispatch.tags = self.tags.iter().map(|(name, value)| (symbols.lookup(name), symbols.lookup(value))).collect();
        dispatch.counters = self.counters.iter().map(|(name, count)| (symbols.lookup(name), *count)).collect();
        Ok(dispatch)
    }

    fn candidates(&self, catalogue: &Catalogue, symbols: &Symbols) -> Result<Vec<Candidate>, DocumentError> {
        let candidates = if self.candidates.is_empty() {
            catalogue.candidates(|_, _| Some(Nanodollars::ZERO))
        } else {
            self.candidates
                .iter()
                .map(|candidate| candidate.to_candidate(catalogue, symbols))
                .collect::<Result<Vec<_>, _>>()?
        };
        match self.sticky {
            Some(sticky) if usize::try_from(sticky).is_ok_and(|sticky| sticky >= candidates.len()) => {
                Err(DocumentError::StickyOutOfRange { sticky, candidates: candidates.len() })
            }
            _ => Ok(candidates),
        }
    }
}

impl SpendingDocument {
    fn to_spending(&self) -> Spending {
        Spending {
            run_cost: self.run_cost,
            run_per_minute: self.run_per_minute,
            scope_per_minute: self.scope_per_minute,
            fastest_scope: self.fastest_scope.unwrap_or(ScopeKind::Organisation),
            task_type_p95: self.task_type_p95,
            finished_runs: self.finished_runs,
        }
    }
}

impl AttemptsDocument {
    const fn to_attempts(&self) -> Attempts {
        Attempts {
            failed: self.failed,
            streak: self.streak,
            streak_elapsed_ms: self.streak_elapsed_ms,
            since_failure_ms: self.since_failure_ms,
            fast_failures: self.fast_failures,
            rejections: self.rejections,
            failed_tier: self.failed_tier,
            repetition: self.repetition,
            repetitions: self.repetitions,
        }
    }
}

impl CandidateDocument {
    fn to_candidate(&self, catalogue: &Catalogue, symbols: &Symbols) -> Result<Candidate, DocumentError> {
        let model = symbols.lookup(&self.model);
        let tier = self
            .tier
            .or_else(|| catalogue.tier(model))
            .ok_or_else(|| DocumentError::UnknownTier { model: self.model.clone() })?;
        let backend = symbols.lookup(&self.backend);
        if !catalogue.backends().iter().any(|known| known.name == backend) {
            return Err(self.unknown_backend(catalogue, symbols));
        }
        Ok(Candidate {
            model,
            backend,
            tier,
            health: self.health,
            hosting: self.hosting,
            warm: self.warm,
            free_slots: self.free_slots.unwrap_or(u32::MAX),
            estimated_cost: self.estimated_cost.unwrap_or_default(),
        })
    }
}

impl CandidateDocument {
    fn unknown_backend(&self, catalogue: &Catalogue, symbols: &Symbols) -> DocumentError {
        let known: Vec<_> =
            catalogue.backends().iter().map(|backend| format!("`{}`", symbols.display(backend.name))).collect();
        let known = if known.is_empty() { "a configuration that has one".to_owned() } else { known.join(", ") };
        DocumentError::UnknownBackend { model: self.model.clone(), backend: self.backend.clone(), known }
    }
}

impl AccountDocument {
    fn to_account(&self, symbols: &Symbols) -> Account {
        Account {
            kind: self.kind,
            owner: self.owner.as_deref().map_or(Symbol::UNKNOWN, |owner| symbols.lookup(owner)),
            spent: self.spent,
            reserved: self.reserved,
            limit: self.limit,
            hard: self.hard.unwrap_or(self.limit),
            window_end_ms: self.window_end_ms.unwrap_or(u64::MAX),
        }
    }
}
