//! The names a configuration knows, as symbols: models with their tiers, backends, task types, stages.

use std::collections::{HashMap, HashSet};

use crate::config::{Configuration, ModelKind};
use crate::{Candidate, Health, Hosting, InternError, Nanodollars, Symbol, Symbols, Tier};

/// What the configuration knows. Built once for each configuration; candidates are made from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    models: HashMap<Symbol, Tier>,
    model_order: Vec<Symbol>,
    embedding: HashSet<Symbol>,
    backends: Vec<Backend>,
    task_types: Vec<Symbol>,
    stages: Vec<Symbol>,
}

/// A backend and the models it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub name: Symbol,
    /// The models it serves.
    pub models: Vec<Symbol>,
    /// Where it runs.
    pub hosting: Hosting,
    /// How many dispatches it takes at once; `u32::MAX` without a bound.
    pub slots: u32,
}

impl Catalogue {
    /// Interns every name of the configuration.
    ///
    /// # Errors
    /// When the table of names is full or a name is too long.
    pub fn new(configuration: &Configuration, symbols: &Symbols) -> Result<Self, InternError> {
        let intern_all =
            |names: &[String]| names.iter().map(|name| symbols.intern(name)).collect::<Result<Vec<_>, _>>();
        let mut catalogue = Self {
            task_types: intern_all(&configuration.task_types)?,
            stages: intern_all(&configuration.stages)?,
            ..Self::default()
        };
        for model in &configuration.models {
            let symbol = symbols.intern(&model.name)?;
            catalogue.models.insert(symbol, model.tier);
            catalogue.model_order.push(symbol);
            if model.kind == ModelKind::Embedding {
                catalogue.embedding.insert(symbol);
            }
        }
        for backend in &configuration.backends {
            catalogue.backends.push(Backend {
                name: symbols.intern(&backend.name)?,
                models: intern_all(&backend.models)?,
                hosting: backend.hosting,
                slots: backend.slots.unwrap_or(u32::MAX),
            });
        }
        for owner in configuration.budgets.iter().filter_map(|budget| budget.owner.as_ref()) {
            symbols.intern(owner)?;
        }
        Ok(catalogue)
    }

    /// The models in the order of the configuration, with their tiers.
    pub fn models(&self) -> impl Iterator<Item = (Symbol, Tier)> {
        self.model_order.iter().filter_map(|model| Some((*model, self.tier(*model)?)))
    }

    /// A model's tier.
    #[must_use]
    pub fn tier(&self, model: Symbol) -> Option<Tier> {
        self.models.get(&model).copied()
    }

    /// Whether a model is one that embeds, by the configuration.
    #[must_use]
    pub fn embeds(&self, model: Symbol) -> bool {
        self.embedding.contains(&model)
    }

    /// The backends in the order of the configuration.
    #[must_use]
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// The task types the configuration lists.
    #[must_use]
    pub fn task_types(&self) -> &[Symbol] {
        &self.task_types
    }

    /// The stages the configuration lists.
    #[must_use]
    pub fn stages(&self) -> &[Symbol] {
        &self.stages
    }

    /// Every model that writes, on every backend that serves it, healthy, with all slots free, at what `estimate` says it costs there; a
    /// model for which it says nothing is left out.
    pub fn candidates(&self, mut estimate: impl FnMut(Symbol, Hosting) -> Option<Nanodollars>) -> Vec<Candidate> {
        self.all_candidates(|model, hosting| match self.embedding.contains(&model) {
            true => None,
            false => estimate(model, hosting),
        })
    }

    /// The same, with models that embed.
    pub fn all_candidates(&self, mut estimate: impl FnMut(Symbol, Hosting) -> Option<Nanodollars>) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for backend in &self.backends {
            for model in &backend.models {
                if let (Some(tier), Some(estimated_cost)) = (self.tier(*model), estimate(*model, backend.hosting)) {
                    candidates.push(Candidate {
                        model: *model,
                        backend: backend.name,
                        tier,
                        health: Health::Healthy,
                        hosting: backend.hosting,
                        warm: false,
                        free_slots: backend.slots,
                        estimated_cost,
                    });
                }
            }
        }
        candidates
    }
}
