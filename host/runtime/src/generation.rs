//! One immutable set of loaded policies, in the order in which they are asked.

use tollgate_core::{Configuration, CounterRule, PolicyIndex, PolicyKind};

use crate::chain::Chain;
use crate::loader::Loader;
use crate::policy::{About, LoadError, Policy};
use crate::pool::Pool;

/// The most policies of one generation; each costs every decision its crossing.
const MAX_POLICIES: usize = 64;

pub(crate) struct Generation {
    pub(crate) id: u64,
    policies: Vec<Policy>,
    /// By kind in the fixed order, then in the order of the configuration.
    order: Vec<(PolicyKind, Vec<PolicyIndex>)>,
    pool: Pool,
}

/// Why there is no generation: the first policy that was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// A policy was not loaded.
    #[error("policy `{policy}`: {source}")]
    Policy {
        /// Which.
        policy: String,
        /// Why.
        source: Box<LoadError>,
    },
    /// One name, two meanings.
    #[error(
        "two policies declare the counter `{counter}` and mean different things by it: rename one of them in its plugin"
    )]
    CounterConflict {
        /// What both call it.
        counter: String,
    },
    /// Too many policies.
    #[error("{count} policies are configured, and a chain has at most {MAX_POLICIES}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Policies may share a counter, and then mean the same by it.
fn check_counters(policies: &[Policy], loader: &Loader) -> Result<(), GenerationError> {
    let mut known: Vec<CounterRule> = Vec::new();
    for rule in policies.iter().flat_map(|policy| &policy.counters) {
        match known.iter().find(|other| other.name == rule.name) {
            None => known.push(*rule),
            Some(same) if same == rule => {}
            Some(_) => {
                let counter = loader.symbols().display(rule.name).to_string();
                return Err(GenerationError::CounterConflict { counter });
            }
        }
    }
    Ok(())
}

impl Generation {
    pub(crate) fn load(id: u64, configuration: &Configuration, loader: &Loader) -> Result<Self, GenerationError> {
        let count = configuration.policies.len();
        if count > MAX_POLICIES {
            return Err(GenerationError::TooMany { count });
        }
        let mut policies = Vec::with_capacity(count);
        for configured in &configuration.policies {
            let policy = Policy::load(loader, configured).map_err(|source| GenerationError::Policy {
                policy: configured.name.clone(),
                source: Box::new(source),
            })?;
            policies.push(policy);
        }
        check_counters(&policies, loader)?;
        let of_kind = |kind: PolicyKind| {
            let of_kind = (0_u16..).zip(&policies).filter(|(_, policy)| policy.about().kinds.contains(&kind));
            (kind, of_kind.map(|(index, _)| PolicyIndex(index)).collect())
        };
        let order = PolicyKind::ALL.iter().map(|kind| of_kind(*kind)).collect();
        Ok(Self { id, policies, order, pool: Pool::new() })
    }

    /// Who is asked, kind after kind.
    pub(crate) fn order(&self) -> &[(PolicyKind, Vec<PolicyIndex>)] {
        &self.order
    }

    pub(crate) fn policy(&self, index: PolicyIndex) -> &Policy {
        &self.policies[usize::from(index.0)]
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &About> {
        self.policies.iter().map(Policy::about)
    }

    /// The counters that the policies want kept, each once.
    pub(crate) fn counters(&self) -> Vec<CounterRule> {
        let mut counters: Vec<CounterRule> = Vec::new();
        for rule in self.policies.iter().flat_map(|policy| &policy.counters) {
            if !counters.contains(rule) {
                counters.push(*rule);
            }
        }
        counters
    }

    pub(crate) fn take_chain(&self) -> Box<Chain> {
        self.pool.take().unwrap_or_else(|| Box::new(Chain::new(self.policies.len())))
    }

    pub(crate) fn put_chain(&self, chain: Box<Chain>) {
        self.pool.put(chain);
    }
}
