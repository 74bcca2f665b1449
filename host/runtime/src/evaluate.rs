//! Asking one policy of a generation, or whoever stands in for it: the last good version where there is one, and what
//! `on_error` says where there is none.

use quanta::Clock;
use tollgate_core::config::PolicyMode;
use tollgate_core::{Decision, Dispatch, EvaluationFailure, OnError, PolicyKind, Ruling, Trail, TrailEntry, Verdict};

use crate::chain::{Chain, Laps};
use crate::convert::Moment;
use crate::event::{Event, Listener, tell};
use crate::generation::Generation;
use crate::policy::Policy;

/// Asks every policy, kind after kind, until nothing can change the outcome. Each entry is written where it stays.
#[inline]
pub(crate) fn walk<'d>(
    generation: &Generation,
    ruling: &mut Ruling<'d>,
    trail: &mut Trail,
    mut ask: impl FnMut(&Ruling<'d>, &mut TrailEntry),
) {
    for (kind, policies) in generation.order() {
        if ruling.is_settled() {
            return;
        }
        for index in policies {
            trail.push(TrailEntry::unsaid(*index, *kind));
            if let Some(entry) = trail.last_mut() {
                ask(ruling, entry);
                ruling.hear(entry, generation.policy(*index).on_error);
            }
        }
        if *kind == PolicyKind::Routing {
            ruling.settle_route();
        }
    }
}

/// A decision that nobody acts on: nothing is counted, nothing stands in, nobody is told.
pub(crate) fn decide_quietly(generation: &Generation, mut ruling: Ruling<'_>, clock: &Clock) -> Decision {
    let started = clock.raw();
    let mut decision = Decision::pending();
    let mut chain = generation.take_chain();
    let mut laps = Laps::start(clock);
    walk(generation, &mut ruling, &mut decision.trail, |ruling, entry| {
        chain.ask(generation.policy(entry.policy), ruling, Moment::Dispatch, &mut laps, entry);
    });
    generation.put_chain(chain);
    ruling.conclude_in(generation.id, &mut decision);
    decision.nanoseconds = laps.since(started);
    decision
}

/// What every evaluation of one decision shares.
pub(crate) struct Asking<'a> {
    pub(crate) generation: &'a Generation,
    pub(crate) listener: Option<&'a Listener>,
    /// What kill switches are told about when they are asked.
    pub(crate) moment: Moment,
}

impl Asking<'_> {
    /// Asks the policy of an entry as its kind. Whatever it does, the entry is filled, and judged as the ruling will judge it.
    #[inline]
    pub(crate) fn ask(&self, chain: &mut Chain, ruling: &Ruling<'_>, laps: &mut Laps<'_>, entry: &mut TrailEntry) {
        let policy = self.generation.policy(entry.policy);
        if !policy.watch.serves() && !self.returns(policy, ruling.dispatch()) {
            self.stand_in(chain, ruling, laps, EvaluationFailure::Quarantined, entry);
            return;
        }
        if let Some(evaluations) = chain.count(entry.policy) {
            policy.watch.evaluated(evaluations);
        }
        chain.ask(policy, ruling, self.moment, laps, entry);
        ruling.judge(entry, policy.on_error);
        if let Verdict::Failed(failure, _) = entry.verdict {
            self.after_failure(chain, failure, ruling, laps, entry);
        }
    }

    #[cold]
    fn returns(&self, policy: &Policy, dispatch: &Dispatch) -> bool {
        let returned = policy.watch.returns(dispatch.now_ms);
        if returned {
            tell(self.listener, || Event::PolicyReturned { policy: policy.name.clone(), at_ms: dispatch.now_ms });
        }
        returned || policy.watch.serves()
    }

    /// Counts and tells; where the configuration says so, the last good version is asked about the same dispatch.
    #[cold]
    fn after_failure(
        &self,
        chain: &mut Chain,
        failure: EvaluationFailure,
        ruling: &Ruling<'_>,
        laps: &mut Laps<'_>,
        entry: &mut TrailEntry,
    ) {
        let policy = self.generation.policy(entry.policy);
        policy.watch.evaluated(chain.counted(entry.policy));
        tell(self.listener, || Event::PolicyFailed { policy: policy.name.clone(), kind: entry.kind, failure });
        // Without room for an instance nothing was evaluated: that is the host's trouble, not the policy's.
        if failure != EvaluationFailure::NoInstance
            && let Some(quarantine) =
                policy.watch.failed(&self.generation.configuration().quarantine, ruling.dispatch())
        {
            tell(self.listener, || Event::PolicyQuarantined { policy: policy.name.clone(), quarantine });
        }
        if policy.on_error != OnError::LastGood {
            return;
        }
        let (nanoseconds, fuel) = (entry.nanoseconds, entry.fuel);
        self.stand_in(chain, ruling, laps, failure, entry);
        entry.nanoseconds = entry.nanoseconds.saturating_add(nanoseconds);
        entry.fuel = entry.fuel.saturating_add(fuel);
    }

    /// The last good version's verdict; a failure of this kind where there is none, or it fails as well.
    #[cold]
    fn stand_in(
        &self,
        chain: &mut Chain,
        ruling: &Ruling<'_>,
        laps: &mut Laps<'_>,
        failure: EvaluationFailure,
        entry: &mut TrailEntry,
    ) {
        let policy = self.generation.policy(entry.policy);
        let shadow = policy.mode == PolicyMode::Shadow;
        let verdict = Verdict::Failed(failure, policy.on_error);
        let failed = TrailEntry { verdict, shadow, ..TrailEntry::unsaid(entry.policy, entry.kind) };
        *entry = failed;
        let Some(last_good) = self.generation.last_good(entry.policy) else { return };
        if !last_good.watch.serves() && !self.returns(last_good, ruling.dispatch()) {
            return;
        }
        last_good.watch.evaluated(1);
        chain.spare().ask(last_good, ruling, self.moment, laps, entry);
        ruling.judge(entry, policy.on_error);
        if let Verdict::Failed(failure, _) = entry.verdict {
            let rules = &self.generation.configuration().quarantine;
            if failure != EvaluationFailure::NoInstance
                && let Some(quarantine) = last_good.watch.failed(rules, ruling.dispatch())
            {
                tell(self.listener, || Event::PolicyQuarantined { policy: last_good.name.clone(), quarantine });
            }
            *entry = failed;
            return;
        }
        // The mode is that of the configuration that runs, not of the one the version was good under.
        entry.shadow = shadow;
        entry.last_good = true;
    }
}
