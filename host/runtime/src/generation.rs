//! One immutable set of loaded policies, in the order in which they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_core::{Catalogue, Configuration, CounterRule, PolicyIndex, PolicyKind};

use crate::cause::Cause;
use crate::chain::Chain;
use crate::loader::Loader;
use crate::policy::{LoadError, Policy};
use crate::pool::Pool;

/// The most policies of one generation; each costs every decision its crossing.
const MAX_POLICIES: usize = 64;
/// The most instances made before the first decision: a quarter of what the engine has room for.
const WARM_INSTANCES: usize = 250;

pub(crate) struct Generation {
    pub(crate) id: u64,
    /// Who or what caused it.
    pub(crate) cause: Cause,
    /// When it was loaded, in milliseconds since the Unix epoch.
    pub(crate) loaded_ms: u64,
    /// One decision of so many has its purity checked.
    pub(crate) purity_every: u32,
    configuration: Arc<Configuration>,
    catalogue: Arc<Catalogue>,
    policies: Vec<Arc<Policy>>,
    /// Of each policy the version before it, where that was good.
    last_good: Vec<Option<Arc<Policy>>>,
    /// By kind in the fixed order, then in the order of the configuration.
    order: Vec<(PolicyKind, Vec<PolicyIndex>)>,
    pool: Pool,
    /// Chains made: as many as threads decided at once, more or less.
    made: AtomicUsize,
}

/// Which generation is to be loaded, and why.
pub(crate) struct Origin {
    pub(crate) id: u64,
    pub(crate) cause: Cause,
    pub(crate) loaded_ms: u64,
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
fn check_counters(policies: &[Arc<Policy>], loader: &Loader) -> Result<(), GenerationError> {
    let mut known: Vec<CounterRule> = Vec::new();
    for rule in policies.iter().flat_map(|policy| &policy.counters) {
        if conflicts(&known, rule) {
            let counter = loader.symbols().display(rule.name).to_string();
            return Err(GenerationError::CounterConflict { counter });
        }
        known.push(*rule);
    }
    Ok(())
}

fn conflicts(known: &[CounterRule], rule: &CounterRule) -> bool {
    known.iter().any(|other| other.name == rule.name && other != rule)
}

impl Generation {
    /// Loads every policy, or takes over those of `before` that are the same.
    pub(crate) fn load(
        origin: Origin,
        configuration: &Arc<Configuration>,
        loader: &Loader,
        before: Option<&Self>,
    ) -> Result<Self, GenerationError> {
        let count = configuration.policies.len();
        if count > MAX_POLICIES {
            return Err(GenerationError::TooMany { count });
        }
        let known = before.map(Self::versions).unwrap_or_default();
        let mut policies = Vec::with_capacity(count);
        for configured in &configuration.policies {
            let policy = Policy::load(loader, configured, &known).map_err(|source| GenerationError::Policy {
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
        let last_good = policies.iter().map(|policy| before.and_then(|before| before.good_before(policy, &policies)));
        Ok(Self {
            id: origin.id,
            cause: origin.cause,
            loaded_ms: origin.loaded_ms,
            purity_every: configuration.purity.every,
            configuration: Arc::clone(configuration),
            catalogue: Arc::clone(&loader.catalogue),
            last_good: last_good.collect(),
            policies,
            order,
            pool: Pool::new(),
            made: AtomicUsize::new(0),
        })
    }

    /// Its policies, and the versions that stand in for them.
    pub(crate) fn versions(&self) -> Vec<Arc<Policy>> {
        self.policies.iter().chain(self.last_good.iter().flatten()).map(Arc::clone).collect()
    }

    /// What stands in for a policy of the next generation: this generation's version if it is another one and serves, or
    /// what stands in for that. It has to serve as the same kinds, and mean the same by the counters.
    fn good_before(&self, policy: &Arc<Policy>, next: &[Arc<Policy>]) -> Option<Arc<Policy>> {
        let place = self.policies.iter().position(|earlier| earlier.name == policy.name)?;
        let earlier = [self.policies.get(place), self.last_good.get(place)?.as_ref()];
        let wanted: Vec<CounterRule> = next.iter().flat_map(|policy| policy.counters.iter().copied()).collect();
        let stands_in = |earlier: &&Arc<Policy>| {
            !Arc::ptr_eq(earlier, policy)
                && earlier.watch.serves()
                && policy.about().kinds.iter().all(|kind| earlier.about().kinds.contains(kind))
                && !earlier.counters.iter().any(|rule| conflicts(&wanted, rule))
        };
        earlier.into_iter().flatten().find(stands_in).map(Arc::clone)
    }

    pub(crate) fn name_of(&self, index: PolicyIndex) -> Option<Arc<str>> {
        self.policies.get(usize::from(index.0)).map(|policy| Arc::clone(&policy.name))
    }

    pub(crate) fn last_good(&self, index: PolicyIndex) -> Option<&Policy> {
        self.last_good.get(usize::from(index.0))?.as_deref()
    }

    pub(crate) const fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }

    pub(crate) const fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Makes as many chains as `other` has, so that the first decisions after a reload do not have to. An instance that
    /// cannot be made now is made when it is needed; room for decisions under way is left.
    pub(crate) fn warm_like(&self, other: &Self) {
        let room = (WARM_INSTANCES / self.policies.len().max(1)).min(Pool::SLOTS);
        for _ in 0..other.made.load(Ordering::Relaxed).min(room) {
            let mut chain = self.new_chain();
            chain.warm(self.policies());
            self.pool.put(chain);
        }
    }

    /// Frees every instance that no decision uses just now.
    pub(crate) fn rest(&self) {
        while self.pool.take().is_some() {}
    }

    /// Who is asked, kind after kind.
    pub(crate) fn order(&self) -> &[(PolicyKind, Vec<PolicyIndex>)] {
        &self.order
    }

    pub(crate) fn policy(&self, index: PolicyIndex) -> &Policy {
        &self.policies[usize::from(index.0)]
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().map(|policy| &**policy)
    }

    /// The counters that the policies and those that stand in for them want kept, each once.
    pub(crate) fn counters(&self) -> Vec<CounterRule> {
        let mut counters: Vec<CounterRule> = Vec::new();
        for rule in self.versions().iter().flat_map(|policy| &policy.counters) {
            if !counters.contains(rule) {
                counters.push(*rule);
            }
        }
        counters
    }

    pub(crate) fn take_chain(&self) -> Box<Chain> {
        self.pool.take().unwrap_or_else(|| self.new_chain())
    }

    pub(crate) fn new_chain(&self) -> Box<Chain> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Box::new(Chain::new(self.policies.len()))
    }

    pub(crate) fn put_chain(&self, chain: Box<Chain>) {
        self.pool.put(chain);
    }
}
