//! One thread's instances of a generation's policies, and the asking of one of them.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use quanta::Clock;
use tollgate_core::config::{Isolation, PolicyMode};
use tollgate_core::{EvaluationFailure, PolicyIndex, PolicyKind, Ruling, SwitchBoard, TrailEntry, Verdict};

use crate::convert::Moment;
use crate::instance::Instance;
use crate::policy::Policy;
use crate::samples::Samples;

/// An instance of each policy, made when it is first needed and again when it was poisoned or has retired.
pub(crate) struct Chain {
    instances: Vec<Option<Instance>>,
    /// Evaluations of each policy that its watch was not yet told of.
    uncounted: Vec<u32>,
    /// Instances of the last good versions, made once one of them has to stand in.
    spare: Option<Box<Chain>>,
    /// The engaged switches as they were last seen, and where to see whether they still are: a look at one pointer, where a
    /// guard would write to memory twice.
    switches: Option<Cache<Arc<ArcSwap<SwitchBoard>>, Arc<SwitchBoard>>>,
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
            switches: None,
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

    /// The switches that are engaged now. The same host's each time.
    #[inline]
    pub(crate) fn switches(&mut self, engaged: &Arc<ArcSwap<SwitchBoard>>) -> &Arc<SwitchBoard> {
        self.switches.get_or_insert_with(|| Cache::new(Arc::clone(engaged))).load()
    }

    /// The chain of the last good versions.
    pub(crate) fn spare(&mut self) -> &mut Self {
        let policies = self.instances.len();
        self.spare.get_or_insert_with(|| Box::new(Self::new(policies)))
    }

    /// Asks the policy of an entry as its kind. Whatever it does, the entry is filled.
    #[inline]
    pub(crate) fn ask(
        &mut self,
        policy: &Policy,
        ruling: &Ruling<'_>,
        moment: Moment,
        laps: &mut Laps<'_>,
        entry: &mut TrailEntry,
    ) {
        let said = match policy.isolation {
            Isolation::Pooled => self.ask_pooled(policy, ruling, moment, entry),
            Isolation::Fresh => match policy.instantiate() {
                Ok(mut instance) => instance.evaluate(entry.kind, ruling, moment, &mut entry.verdict, &mut entry.fuel),
                Err(_) => Err(EvaluationFailure::NoInstance),
            },
        };
        entry.nanoseconds = laps.lap();
        entry.shadow = policy.mode == PolicyMode::Shadow;
        if let Err(failure) = said {
            entry.verdict = Verdict::Failed(failure, policy.on_error);
        }
    }

    #[inline]
    fn ask_pooled(
        &mut self,
        policy: &Policy,
        ruling: &Ruling<'_>,
        moment: Moment,
        entry: &mut TrailEntry,
    ) -> Result<(), EvaluationFailure> {
        let place = self.instances.get_mut(usize::from(entry.policy.0)).ok_or(EvaluationFailure::NoInstance)?;
        let usable = match place {
            Some(instance) if instance.is_usable() => instance,
            _ => renew(place, policy)?,
        };
        let said = usable.evaluate(entry.kind, ruling, moment, &mut entry.verdict, &mut entry.fuel);
        if said.is_err() {
            *place = None;
        }
        said
    }
}

/// Drops what was poisoned or has retired before another takes its room.
#[cold]
fn renew<'a>(place: &'a mut Option<Instance>, policy: &Policy) -> Result<&'a mut Instance, EvaluationFailure> {
    *place = None;
    *place = policy.instantiate().ok();
    place.as_mut().ok_or(EvaluationFailure::NoInstance)
}

/// One evaluation as one kind, and its fuel.
pub(crate) fn evaluate(
    instance: &mut Instance,
    kind: PolicyKind,
    ruling: &Ruling<'_>,
    moment: Moment,
) -> (Result<Verdict, EvaluationFailure>, u64) {
    let mut entry = TrailEntry::unsaid(PolicyIndex(0), kind);
    let said = instance.evaluate(kind, ruling, moment, &mut entry.verdict, &mut entry.fuel);
    (said.map(|()| entry.verdict), entry.fuel)
}
