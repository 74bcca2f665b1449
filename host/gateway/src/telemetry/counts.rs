//! What is counted, as plain atomic numbers: counting takes no lock and allocates nothing. Every set of numbers is bounded,
//! whatever callers send and however often policies change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tollgate_core::{
    BudgetVerdict, Decision, KillSwitchVerdict, PolicyKind, RetryCeilingVerdict, RoutingVerdict, Symbol, Usage, Verdict,
};
use tollgate_runtime::Host;

/// Policies with their versions, models, backends: of each so many have numbers of their own, and what comes later shares
/// one set that is called `other`. Configurations have a handful.
const MOST: usize = 256;
const OTHER: &str = "other";

/// Every verdict a policy can give, by the kind that gives it.
pub(crate) const VERDICTS: [(PolicyKind, &str); 20] = [
    (PolicyKind::KillSwitch, "proceed"),
    (PolicyKind::KillSwitch, "stop"),
    (PolicyKind::KillSwitch, "trip"),
    (PolicyKind::KillSwitch, "failed"),
    (PolicyKind::RetryCeiling, "proceed"),
    (PolicyKind::RetryCeiling, "raise-floor"),
    (PolicyKind::RetryCeiling, "back-off"),
    (PolicyKind::RetryCeiling, "hold-for-human"),
    (PolicyKind::RetryCeiling, "refuse"),
    (PolicyKind::RetryCeiling, "failed"),
    (PolicyKind::Routing, "use-candidate"),
    (PolicyKind::Routing, "no-opinion"),
    (PolicyKind::Routing, "refuse"),
    (PolicyKind::Routing, "failed"),
    (PolicyKind::Budget, "proceed"),
    (PolicyKind::Budget, "slow"),
    (PolicyKind::Budget, "cap-output"),
    (PolicyKind::Budget, "hold-for-approval"),
    (PolicyKind::Budget, "refuse"),
    (PolicyKind::Budget, "failed"),
];

/// A verdict's place in [`VERDICTS`].
const fn place(kind: PolicyKind, verdict: &Verdict) -> usize {
    match verdict {
        Verdict::KillSwitch(KillSwitchVerdict::Proceed) => 0,
        Verdict::KillSwitch(KillSwitchVerdict::Stop(_)) => 1,
        Verdict::KillSwitch(KillSwitchVerdict::Trip(_)) => 2,
        Verdict::RetryCeiling(RetryCeilingVerdict::Proceed) => 4,
        Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(_)) => 5,
        Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { .. }) => 6,
        Verdict::RetryCeiling(RetryCeilingVerdict::HoldForHuman(_)) => 7,
        Verdict::RetryCeiling(RetryCeilingVerdict::Refuse(_)) => 8,
        Verdict::Routing(RoutingVerdict::UseCandidate(_)) => 10,
        Verdict::Routing(RoutingVerdict::NoOpinion) => 11,
        Verdict::Routing(RoutingVerdict::Refuse(_)) => 12,
        Verdict::Budget(BudgetVerdict::Proceed) => 14,
        Verdict::Budget(BudgetVerdict::Slow { .. }) => 15,
        Verdict::Budget(BudgetVerdict::CapOutput { .. }) => 16,
        Verdict::Budget(BudgetVerdict::HoldForApproval(_)) => 17,
        Verdict::Budget(BudgetVerdict::Refuse(_)) => 18,
        Verdict::Failed(..) => match kind {
            PolicyKind::KillSwitch => 3,
            PolicyKind::RetryCeiling => 9,
            PolicyKind::Routing => 13,
            PolicyKind::Budget => 19,
        },
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is under way: up when it begins, down when what it gives is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Arc<AtomicU64>);

impl UnderWay {
    pub(crate) fn begin(&self) -> One {
        self.0.fetch_add(1, Ordering::Relaxed);
        One(Arc::clone(&self.0))
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that is under way.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub(crate) struct One(Arc<AtomicU64>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one version of one policy said.
#[derive(Debug, Default)]
pub(crate) struct OfPolicy {
    pub(crate) policy: String,
    pub(crate) version: String,
    pub(crate) verdicts: [Count; VERDICTS.len()],
    /// Those that changed nothing.
    pub(crate) shadow: [Count; VERDICTS.len()],
}

/// The classes of tokens, as spans call them without their prefix.
pub(crate) const TOKENS: [&str; 5] =
    ["uncached_input", "cache_read_input", "cache_write_input", "output", "reasoning_output"];

/// What one model used and cost.
#[derive(Debug, Default)]
pub(crate) struct OfModel {
    pub(crate) model: String,
    /// In the order of [`TOKENS`].
    pub(crate) tokens: [Count; TOKENS.len()],
    /// In nanodollars.
    pub(crate) spent: Count,
    /// In nanodollars, likewise.
    pub(crate) spent_estimated: Count,
}

impl OfModel {
    pub(crate) fn used(&self, usage: &Usage) {
        let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
        let counts = [usage.uncached_input, usage.cache_read, written, usage.output, usage.reasoning];
        for (count, tokens) in self.tokens.iter().zip(counts) {
            count.add(tokens);
        }
    }
}

/// How a dispatch to a backend can fail.
pub(crate) const FAILURES: [&str; 3] = ["unavailable", "timed-out", "refused"];

/// What was sent to one backend.
#[derive(Debug, Default)]
pub(crate) struct OfBackend {
    pub(crate) backend: String,
    pub(crate) dispatches: Count,
    /// In the order of [`FAILURES`].
    pub(crate) failures: [Count; FAILURES.len()],
}

/// Policies, models and backends that are counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Those that decide now, where they are found without a lock.
    current: ArcSwap<Current>,
    /// All there ever were.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) policies: Vec<Arc<OfPolicy>>,
    pub(crate) models: Vec<Arc<OfModel>>,
    pub(crate) backends: Vec<Arc<OfBackend>>,
}

/// Generations whose policies are found without a lock: decisions end on the one they began on.
const GENERATIONS: usize = 4;

#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    generations: Vec<(u64, Vec<Arc<OfPolicy>>)>,
    models: HashMap<Symbol, Arc<OfModel>>,
    backends: HashMap<Symbol, Arc<OfBackend>>,
}

impl Counted {
    /// Counts what each policy said.
    pub(crate) fn decided(&self, host: &Host, decision: &Decision) {
        let current = self.current.load();
        if let Some(policies) = current.policies(decision.generation) {
            return count(policies, decision);
        }
        drop(current);
        self.meet(host, decision.generation);
        if let Some(policies) = self.current.load().policies(decision.generation) {
            count(policies, decision);
        }
    }

    /// The numbers of a model.
    pub(crate) fn model(&self, host: &Host, model: Symbol) -> Arc<OfModel> {
        match self.current.load().models.get(&model) {
            Some(counts) => Arc::clone(counts),
            None => self.known().model(&host.symbols().display(model)),
        }
    }

    /// The numbers of a backend.
    pub(crate) fn backend(&self, host: &Host, backend: Symbol) -> Arc<OfBackend> {
        match self.current.load().backends.get(&backend) {
            Some(counts) => Arc::clone(counts),
            None => self.known().backend(&host.symbols().display(backend)),
        }
    }

    /// Everything that was ever counted.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes place for the policies, models and backends of a generation.
    #[cold]
    pub(crate) fn meet(&self, host: &Host, generation: u64) {
        let mut known = self.known();
        let mut next = Current::clone(&self.current.load());
        if next.policies(generation).is_some() {
            return;
        }
        let policies = host.policies_of(generation).unwrap_or_default();
        let policies = policies.iter().map(|about| known.policy(&about.policy, &about.version)).collect();
        if next.generations.len() >= GENERATIONS {
            next.generations.remove(0);
        }
        next.generations.push((generation, policies));
        let catalogue = host.catalogue();
        for backend in catalogue.backends() {
            next.backends.insert(backend.name, known.backend(&host.symbols().display(backend.name)));
            for model in &backend.models {
                next.models.insert(*model, known.model(&host.symbols().display(*model)));
            }
        }
        self.current.store(Arc::new(next));
    }
}

fn count(policies: &[Arc<OfPolicy>], decision: &Decision) {
    for entry in &decision.trail {
        let Some(policy) = policies.get(usize::from(entry.policy.0)) else { continue };
        let verdicts = if entry.shadow { &policy.shadow } else { &policy.verdicts };
        verdicts[place(entry.kind, &entry.verdict)].add(1);
    }
}

impl Current {
    fn policies(&self, generation: u64) -> Option<&[Arc<OfPolicy>]> {
        self.generations.iter().rev().find(|(id, _)| *id == generation).map(|(_, policies)| &**policies)
    }
}

impl Known {
    fn policy(&mut self, policy: &str, version: &str) -> Arc<OfPolicy> {
        let is = |known: &OfPolicy, policy: &str, version: &str| known.policy == policy && known.version == version;
        let make = |policy: &str, version: &str| OfPolicy {
            policy: policy.to_owned(),
            version: version.to_owned(),
            ..OfPolicy::default()
        };
        let full = self.policies.len() >= MOST && !self.policies.iter().any(|known| is(known, policy, version));
        let (policy, version) = if full { (OTHER, OTHER) } else { (policy, version) };
        found_or_made(&mut self.policies, |known| is(known, policy, version), || make(policy, version))
    }

    fn model(&mut self, model: &str) -> Arc<OfModel> {
        let full = self.models.len() >= MOST && !self.models.iter().any(|known| known.model == model);
        let model = if full { OTHER } else { model };
        let make = || OfModel { model: model.to_owned(), ..OfModel::default() };
        found_or_made(&mut self.models, |known| known.model == model, make)
    }

    fn backend(&mut self, backend: &str) -> Arc<OfBackend> {
        let full = self.backends.len() >= MOST && !self.backends.iter().any(|known| known.backend == backend);
        let backend = if full { OTHER } else { backend };
        let make = || OfBackend { backend: backend.to_owned(), ..OfBackend::default() };
        found_or_made(&mut self.backends, |known| known.backend == backend, make)
    }
}

fn found_or_made<T>(known: &mut Vec<Arc<T>>, is: impl Fn(&T) -> bool, make: impl Fn() -> T) -> Arc<T> {
    if let Some(found) = known.iter().find(|one| is(one)) {
        return Arc::clone(found);
    }
    let made = Arc::new(make());
    known.push(Arc::clone(&made));
    made
}

#[cfg(test)]
mod tests {
    use tollgate_core::{EvaluationFailure, OnError, Reason, ScopeKind, SwitchMode, Tier, Trip, TripSelector};

    use super::*;

    #[test]
    fn every_verdict_has_the_place_of_its_word() {
        let reason = Reason::default();
        let trip =
            Trip { selector: TripSelector::Scope(ScopeKind::Run), mode: SwitchMode::Cut, time_to_live_ms: 1, reason };
        let verdicts = [
            Verdict::KillSwitch(KillSwitchVerdict::Proceed),
            Verdict::KillSwitch(KillSwitchVerdict::Stop(reason)),
            Verdict::KillSwitch(KillSwitchVerdict::Trip(trip)),
            Verdict::RetryCeiling(RetryCeilingVerdict::Proceed),
            Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Low)),
            Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds: 1 }),
            Verdict::RetryCeiling(RetryCeilingVerdict::HoldForHuman(reason)),
            Verdict::RetryCeiling(RetryCeilingVerdict::Refuse(reason)),
            Verdict::Routing(RoutingVerdict::UseCandidate(0)),
            Verdict::Routing(RoutingVerdict::NoOpinion),
            Verdict::Routing(RoutingVerdict::Refuse(reason)),
            Verdict::Budget(BudgetVerdict::Proceed),
            Verdict::Budget(BudgetVerdict::Slow { milliseconds: 1 }),
            Verdict::Budget(BudgetVerdict::CapOutput { tokens: 1 }),
            Verdict::Budget(BudgetVerdict::HoldForApproval(reason)),
            Verdict::Budget(BudgetVerdict::Refuse(reason)),
        ];
        let failed = Verdict::Failed(EvaluationFailure::Trapped, OnError::Refuse);
        let failures = PolicyKind::ALL.iter().map(|kind| (*kind, failed));
        let all = verdicts.into_iter().filter_map(|verdict| Some((verdict.kind()?, verdict))).chain(failures);
        let mut places: Vec<usize> = all
            .map(|(kind, verdict)| {
                let place = place(kind, &verdict);
                assert_eq!(VERDICTS[place], (kind, verdict.word()));
                place
            })
            .collect();
        places.sort_unstable();
        assert_eq!(places, (0..VERDICTS.len()).collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_after_the_bound_shares_one_set() {
        let mut known = Known::default();
        for version in 0..2 * MOST {
            known.policy("budget", &version.to_string()).verdicts[0].add(1);
            known.model(&version.to_string());
            known.backend(&version.to_string());
        }
        assert_eq!([known.policies.len(), known.models.len(), known.backends.len()], [MOST + 1; 3]);
        let other = known.policies.last().expect("one");
        assert_eq!((other.version.as_str(), other.verdicts[0].read()), (OTHER, MOST as u64));
        assert_eq!(known.policy("budget", "0").verdicts[0].read(), 1);
    }

    #[test]
    fn what_ends_is_no_longer_under_way() {
        let under_way = UnderWay::default();
        let (first, second) = (under_way.begin(), under_way.begin());
        assert_eq!(under_way.read(), 2);
        drop(first);
        assert_eq!(under_way.read(), 1);
        drop(second);
        assert_eq!(under_way.read(), 0);
    }
}
