//! Asking one policy of a generation, or whoever stands in for it: the last good version where there is one, and what
//! `on_error` says where there is none.

use quanta::Clock;
use tollgate_core::config::PolicyMode;
use tollgate_core::{
    Decision, Dispatch, EvaluationFailure, OnError, PolicyIndex, PolicyKind, Ruling, TrailEntry, Verdict,
};

use crate::chain::{Chain, Laps};
use crate::convert::Moment;
use crate::event::{Event, Listener, tell};
use crate::generation::Generation;
use crate::policy::Policy;

/// Asks every policy, kind after kind, until nothing can change the outcome.
#[inline]
pub(crate) fn walk<'d>(
    generation: &Generation,
    ruling: &mut Ruling<'d>,
    mut ask: impl FnMut(PolicyIndex, PolicyKind, &Ruling<'d>) -> TrailEntry,
) {
    for (kind, policies) in generation.order() {
        if ruling.is_settled() {
            return;
        }
        for index in policies {
            let entry = ask(*index, *kind, ruling);
            ruling.hear(entry, generation.policy(*index).on_error);
        }
        if *kind == PolicyKind::Routing {
            ruling.settle_route();
        }
    }
}

/// A decision that nobody acts on: nothing is counted, nothing stands in, nobody is told.
pub(crate) fn decide_quietly(generation: &Generation, mut ruling: Ruling<'_>, clock: &Clock) -> Decision {
    let started = clock.raw();
    let mut chain = generation.take_chain();
    let mut laps = Laps::start(clock);
    walk(generation, &mut ruling, |index, kind, ruling| {
        chain.ask(generation.policy(index), index, kind, ruling, Moment::Dispatch, &mut laps)
    });
    generation.put_chain(chain);
    let mut decision = ruling.conclude(generation.id);
    decision.nanoseconds = laps.since(started);
    decision
}

/// What every evaluation of one decision shares.
pub(crate) struct Asking<'a> {
    pub(crate) generation: &'a Generation,
    pub(crate) listener: Option<&'a Listener>,
}

impl Asking<'_> {
    /// Asks one policy as one kind. Whatever it does, an entry comes back, judged as the ruling will judge it.
    #[inline]
    pub(crate) fn ask(
        &self,
        chain: &mut Chain,
        index: PolicyIndex,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        laps: &mut Laps<'_>,
    ) -> TrailEntry {
        let policy = self.generation.policy(index);
        if !policy.watch.serves() && !self.returns(policy, ruling.dispatch()) {
            return self.stand_in(chain, index, kind, ruling, laps, EvaluationFailure::Quarantined);
        }
        if let Some(evaluations) = chain.count(index) {
            policy.watch.evaluated(evaluations);
        }
        let entry = chain.ask(policy, index, kind, ruling, Moment::Dispatch, laps);
        let entry = ruling.judge(entry, policy.on_error);
        match entry.verdict {
            Verdict::Failed(failure, _) => self.after_failure(chain, entry, failure, ruling, laps),
            _ => entry,
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
        entry: TrailEntry,
        failure: EvaluationFailure,
        ruling: &Ruling<'_>,
        laps: &mut Laps<'_>,
    ) -> TrailEntry {
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
            return entry;
        }
        let stand_in = self.stand_in(chain, entry.policy, entry.kind, ruling, laps, failure);
        let nanoseconds = stand_in.nanoseconds.saturating_add(entry.nanoseconds);
        TrailEntry { nanoseconds, fuel: stand_in.fuel.saturating_add(entry.fuel), ..stand_in }
    }

    /// The last good version's verdict; a failure of this kind where there is none, or it fails as well.
    #[cold]
    fn stand_in(
        &self,
        chain: &mut Chain,
        index: PolicyIndex,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        laps: &mut Laps<'_>,
        failure: EvaluationFailure,
    ) -> TrailEntry {
        let policy = self.generation.policy(index);
        let shadow = policy.mode == PolicyMode::Shadow;
        let verdict = Verdict::Failed(failure, policy.on_error);
        let failed = TrailEntry { policy: index, kind, verdict, shadow, last_good: false, fuel: 0, nanoseconds: 0 };
        let Some(last_good) = self.generation.last_good(index) else { return failed };
        if !last_good.watch.serves() && !self.returns(last_good, ruling.dispatch()) {
            return failed;
        }
        last_good.watch.evaluated(1);
        let entry = chain.spare().ask(last_good, index, kind, ruling, Moment::Dispatch, laps);
        let entry = ruling.judge(entry, policy.on_error);
        if let Verdict::Failed(failure, _) = entry.verdict {
            let rules = &self.generation.configuration().quarantine;
            if failure != EvaluationFailure::NoInstance
                && let Some(quarantine) = last_good.watch.failed(rules, ruling.dispatch())
            {
                tell(self.listener, || Event::PolicyQuarantined { policy: last_good.name.clone(), quarantine });
            }
            return failed;
        }
        // The mode is that of the configuration that runs, not of the one the version was good under.
        TrailEntry { shadow, last_good: true, ..entry }
    }
}
