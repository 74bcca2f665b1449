//! One thread's instances of a generation's policies, and the asking of one of them.

use quanta::Clock;
use tollgate_core::config::{Isolation, PolicyMode};
use tollgate_core::{EvaluationFailure, PolicyIndex, PolicyKind, Ruling, TrailEntry, Verdict};

use crate::convert::Moment;
use crate::instance::{Evaluated, Instance};
use crate::policy::Policy;
use crate::samples::Samples;

/// An instance of each policy, made when it is first needed and again when it was poisoned or has retired.
pub(crate) struct Chain {
    instances: Vec<Option<Instance>>,
    /// Evaluations of each policy that its watch was not yet told of.
    uncounted: Vec<u32>,
    /// Instances of the last good versions, made once one of them has to stand in.
    spare: Option<Box<Chain>>,
    pub(crate) samples: Samples,
}

/// A clock that is read once where one time ends and the next begins: a reading costs about half a bare core call.
pub(crate) struct Laps<'a> {
    clock: &'a Clock,
    last: u64,
}

impl<'a> Laps<'a> {
    pub(crate) fn start(clock: &'a Clock) -> Self {
        Self { clock, last: clock.raw() }
    }

    /// Nanoseconds from an earlier reading of this clock to the end of the last lap.
    pub(crate) fn since(&self, started: u64) -> u32 {
        u32::try_from(self.clock.delta_as_nanos(started, self.last)).unwrap_or(u32::MAX)
    }

    /// Nanoseconds since the last lap, or since the start.
    fn lap(&mut self) -> u32 {
        let began = std::mem::replace(&mut self.last, self.clock.raw());
        u32::try_from(self.clock.delta_as_nanos(began, self.last)).unwrap_or(u32::MAX)
    }
}

/// A thread tells of its evaluations after so many: one shared counter in each of them would be what threads wait for.
const COUNT_AFTER: u32 = 32;

impl Chain {
    pub(crate) fn new(policies: usize) -> Self {
        Self {
            instances: (0..policies).map(|_| None).collect(),
            uncounted: vec![0; policies],
            spare: None,
            samples: Samples::default(),
        }
    }

    /// Makes every instance now, so that no decision has to. One that cannot be made is tried again when it is needed.
    pub(crate) fn warm<'a>(&mut self, policies: impl Iterator<Item = &'a Policy>) {
        for (place, policy) in self.instances.iter_mut().zip(policies) {
            if policy.isolation == Isolation::Pooled {
                *place = policy.instantiate().ok();
            }
        }
    }

    /// Counts one evaluation. How many are to be told of, once they are enough.
    #[inline]
    pub(crate) fn count(&mut self, index: PolicyIndex) -> Option<u32> {
        let uncounted = self.uncounted.get_mut(usize::from(index.0))?;
        *uncounted = uncounted.wrapping_add(1);
        (*uncounted >= COUNT_AFTER).then(|| std::mem::take(uncounted))
    }

    /// What was not yet told of.
    pub(crate) fn counted(&mut self, index: PolicyIndex) -> u32 {
        self.uncounted.get_mut(usize::from(index.0)).map(std::mem::take).unwrap_or_default()
    }

    /// The chain of the last good versions.
    pub(crate) fn spare(&mut self) -> &mut Self {
        let policies = self.instances.len();
        self.spare.get_or_insert_with(|| Box::new(Self::new(policies)))
    }

    /// Asks one policy as one kind. Whatever it does, an entry comes back.
    pub(crate) fn ask(
        &mut self,
        policy: &Policy,
        index: PolicyIndex,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        moment: Moment,
        laps: &mut Laps<'_>,
    ) -> TrailEntry {
        let (verdict, fuel) = match policy.isolation {
            Isolation::Pooled => self.ask_pooled(policy, index, kind, ruling, moment),
            Isolation::Fresh => match policy.instantiate() {
                Ok(mut instance) => evaluate(&mut instance, kind, ruling, moment),
                Err(_) => (Err(EvaluationFailure::NoInstance), 0),
            },
        };
        let nanoseconds = laps.lap();
        let verdict = verdict.unwrap_or_else(|failure| Verdict::Failed(failure, policy.on_error));
        let shadow = policy.mode == PolicyMode::Shadow;
        TrailEntry { policy: index, kind, verdict, shadow, last_good: false, fuel, nanoseconds }
    }

    fn ask_pooled(
        &mut self,
        policy: &Policy,
        index: PolicyIndex,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        moment: Moment,
    ) -> (Result<Verdict, EvaluationFailure>, u64) {
        let Some(place) = self.instances.get_mut(usize::from(index.0)) else {
            return (Err(EvaluationFailure::NoInstance), 0);
        };
        if place.as_ref().is_none_or(|instance| !instance.is_usable()) {
            *place = None;
            *place = policy.instantiate().ok();
        }
        let Some(instance) = place else {
            return (Err(EvaluationFailure::NoInstance), 0);
        };
        let answer = evaluate(instance, kind, ruling, moment);
        if answer.0.is_err() {
            *place = None;
        }
        answer
    }
}

/// One evaluation, as one kind.
pub(crate) fn evaluate(
    instance: &mut Instance,
    kind: PolicyKind,
    ruling: &Ruling<'_>,
    moment: Moment,
) -> (Result<Verdict, EvaluationFailure>, u64) {
    fn verdict<V>(evaluated: Evaluated<V>, name: fn(V) -> Verdict) -> (Result<Verdict, EvaluationFailure>, u64) {
        (evaluated.result.map(name), evaluated.fuel)
    }
    match kind {
        PolicyKind::KillSwitch => verdict(instance.kill_switch(ruling, moment), Verdict::KillSwitch),
        PolicyKind::RetryCeiling => verdict(instance.retry_ceiling(ruling), Verdict::RetryCeiling),
        PolicyKind::Routing => verdict(instance.routing(ruling), Verdict::Routing),
        PolicyKind::Budget => verdict(instance.budget(ruling), Verdict::Budget),
    }
}
