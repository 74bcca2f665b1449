//! The lane of every language: an evaluation through the component's own exports.
//!
//! Type checks and verdicts are those that wasmtime derives. Facts are not: derived, each field is a look at its type, and each
//! field of a list one at the guest's memory. Here a record is laid out in its flat parameters at once, and a list is
//! written through one slice. That leans on an interface which wasmtime hides from its documentation, so its version is pinned.

use std::mem::MaybeUninit;

use tollgate_core::{BudgetVerdict, KillSwitchVerdict, MAX_ACCOUNTS, PolicyKind, RetryCeilingVerdict, Ruling, Verdict};
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext};
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, ComponentType, Func, Instance, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime::{Store, ValRaw};

use crate::bindings::{budget, kill_switch, plugin, retry_ceiling, routing, types};
use crate::convert::{self, Moment};
use crate::rows;
use crate::state::State;

/// Where each kind's function is in a component that exports it.
pub(crate) struct Indices([Option<ComponentExportIndex>; PolicyKind::ALL.len()]);

/// The exports of one instance.
pub(crate) struct Exports {
    pub(crate) plugin: plugin::Guest,
    /// By kind; their types are checked.
    evaluate: [Option<Func>; PolicyKind::ALL.len()],
}

impl Indices {
    pub(crate) fn of(
        pre: &InstancePre<State>,
        kinds: impl Iterator<Item = PolicyKind>,
        version: &str,
    ) -> wasmtime::Result<Self> {
        let component = pre.component();
        let mut indices = [None; PolicyKind::ALL.len()];
        for kind in kinds {
            let interface = format!("tollgate:policy/{kind}@{version}");
            let index = component.get_export_index(None, &interface);
            let index = index.and_then(|interface| component.get_export_index(Some(&interface), "evaluate"));
            indices[kind as usize] =
                Some(index.ok_or_else(|| wasmtime::Error::msg(format!("`{interface}` has no `evaluate`")))?);
        }
        Ok(Self(indices))
    }

    /// The kinds that are exported, in the order of the chain.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = PolicyKind> {
        PolicyKind::ALL.iter().copied().filter(|kind| self.0[*kind as usize].is_some())
    }
}

impl Exports {
    pub(crate) fn load(
        store: &mut Store<State>,
        instance: &Instance,
        plugin: plugin::Guest,
        indices: &Indices,
    ) -> wasmtime::Result<Self> {
        let mut evaluate = [None; PolicyKind::ALL.len()];
        for kind in indices.kinds() {
            let Some(index) = &indices.0[kind as usize] else { continue };
            evaluate[kind as usize] = Some(match kind {
                PolicyKind::KillSwitch => checked::<KillSwitch>(store, instance, index)?,
                PolicyKind::RetryCeiling => checked::<RetryCeiling>(store, instance, index)?,
                PolicyKind::Routing => checked::<Routing<'_>>(store, instance, index)?,
                PolicyKind::Budget => checked::<Budget<'_>>(store, instance, index)?,
            });
        }
        Ok(Self { plugin, evaluate })
    }

    /// One evaluation as one kind; the verdict is written where it stays.
    pub(crate) fn evaluate(
        &self,
        store: &mut Store<State>,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        moment: Moment,
        verdict: &mut Verdict,
    ) -> wasmtime::Result<()> {
        let function = self.evaluate[kind as usize]
            .ok_or_else(|| wasmtime::Error::msg("asked as a kind that it does not export"))?;
        // The kind's own types are those that `load` checked this function for.
        match kind {
            PolicyKind::KillSwitch => {
                let facts = KillSwitch(convert::kill_switch_facts(ruling, moment));
                *verdict = match call(store, function, facts)? {
                    kill_switch::Verdict::Proceed => Verdict::KillSwitch(KillSwitchVerdict::Proceed),
                    more => Verdict::KillSwitch(convert::kill_switch_verdict(more)),
                };
            }
            PolicyKind::RetryCeiling => {
                let facts = RetryCeiling(convert::retry_ceiling_facts(ruling.dispatch()));
                *verdict = match call(store, function, facts)? {
                    retry_ceiling::Verdict::Proceed => Verdict::RetryCeiling(RetryCeilingVerdict::Proceed),
                    more => Verdict::RetryCeiling(convert::retry_ceiling_verdict(more)),
                };
            }
            PolicyKind::Routing => {
                let facts = Routing(convert::routing_facts(ruling), ruling);
                *verdict = match call(store, function, facts)? {
                    routing::Verdict::UseCandidate(place) => Verdict::Routing(convert::use_candidate(place, ruling)),
                    more => Verdict::Routing(convert::routing_verdict(&more, ruling)),
                };
            }
            PolicyKind::Budget => {
                let facts = Budget(convert::budget_facts(ruling), ruling);
                *verdict = match call(store, function, facts)? {
                    budget::Verdict::Proceed => Verdict::Budget(BudgetVerdict::Proceed),
                    more => Verdict::Budget(convert::budget_verdict(more)),
                };
            }
        }
        Ok(())
    }
}

/// The function, if it takes these facts and returns their verdict.
fn checked<F: Facts>(
    store: &mut Store<State>,
    instance: &Instance,
    index: &ComponentExportIndex,
) -> wasmtime::Result<Func>
where
    (F,): ComponentNamedList + Lower,
    (F::Verdict,): ComponentNamedList + Lift,
{
    Ok(*instance.get_typed_func::<(F,), (F::Verdict,)>(store, index)?.func())
}

/// Calls the function of a kind that [`checked`] let pass for its facts.
#[inline]
fn call<F: Facts>(store: &mut Store<State>, function: Func, facts: F) -> wasmtime::Result<F::Verdict>
where
    (F,): ComponentNamedList + Lower,
    (F::Verdict,): ComponentNamedList + Lift,
{
    // SAFETY: `load` checked the kind's function for these facts and their verdict.
    #[expect(unsafe_code, reason = "its types are checked once and not for each call")]
    let function = unsafe { TypedFunc::<(F,), (F::Verdict,)>::new_unchecked(function) };
    function.call(store, (facts,)).map(|(verdict,)| verdict)
}

/// The facts of a kind, and what it says on them.
trait Facts {
    type Verdict;
}

impl Facts for KillSwitch {
    type Verdict = kill_switch::Verdict;
}

impl Facts for RetryCeiling {
    type Verdict = retry_ceiling::Verdict;
}

impl Facts for Routing<'_> {
    type Verdict = routing::Verdict;
}

impl Facts for Budget<'_> {
    type Verdict = budget::Verdict;
}

/// `kill-switch.facts`
struct KillSwitch(kill_switch::Facts);
/// `retry-ceiling.facts`
struct RetryCeiling(retry_ceiling::Facts);
/// `routing.facts`, with the candidates of the ruling.
struct Routing<'a>(routing::Facts, &'a Ruling<'a>);
/// `budget.facts`, with the accounts of the ruling.
struct Budget<'a>(budget::Facts, &'a Ruling<'a>);

/// Facts that go in so many flat parameters, laid out by `flat`.
macro_rules! flat {
    ($facts:ty as $record:ty; $count:literal) => {
        const _: () = assert!(size_of::<<$record as ComponentType>::Lower>() == $count * size_of::<ValRaw>());

        // SAFETY: type check, size and alignment are the derived record's, and its flat form is as long.
        #[expect(unsafe_code, reason = "a component type is unsafe to implement; see the SAFETY line")]
        unsafe impl ComponentType for $facts {
            type Lower = [ValRaw; $count];
            const ABI: CanonicalAbiInfo = <$record as ComponentType>::ABI;

            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
                <$record as ComponentType>::typecheck(ty, types)
            }
        }

        // SAFETY: `flat` gives every parameter, in the order of the record, each a value of its type.
        #[expect(unsafe_code, reason = "lowering is unsafe to implement; see the SAFETY line")]
        unsafe impl Lower for $facts {
            #[inline]
            fn linear_lower_to_flat<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                _: InterfaceType,
                flat: &mut MaybeUninit<Self::Lower>,
            ) -> wasmtime::Result<()> {
                flat.write(self.flat(cx)?);
                Ok(())
            }

            fn linear_lower_to_memory<T>(
                &self,
                _: &mut LowerContext<'_, T>,
                _: InterfaceType,
                _: usize,
            ) -> wasmtime::Result<()> {
                Err(wasmtime::Error::msg("facts go in flat parameters"))
            }
        }
    };
}

flat!(KillSwitch as kill_switch::Facts; 15);
flat!(RetryCeiling as retry_ceiling::Facts; 16);
flat!(Routing<'_> as routing::Facts; 16);
flat!(Budget<'_> as budget::Facts; 12);

/// The flat parameters of a record that begins with the dispatch.
macro_rules! parameters {
    ($facts:expr; $($value:expr),+ $(,)?) => {{
        let types::Dispatch { now, waited_ms, task_type, stage, priority, approved } = $facts.dispatch;
        [
            ValRaw::u64(now),
            ValRaw::u32(waited_ms),
            ValRaw::u32(task_type),
            ValRaw::u32(stage),
            ValRaw::u32(priority as u32),
            ValRaw::u32(approved.into()),
            $($value),+
        ]
    }};
}

impl KillSwitch {
    #[inline]
    fn flat<T>(&self, _: &mut LowerContext<'_, T>) -> wasmtime::Result<[ValRaw; 15]> {
        let facts = &self.0;
        Ok(parameters![facts;
            ValRaw::u32(facts.moment as u32),
            ValRaw::u32(facts.covered as u32),
            ValRaw::u32(facts.covered_reason),
            ValRaw::u64(facts.run_cost),
            ValRaw::u64(facts.run_spend_per_minute),
            ValRaw::u64(facts.scope_spend_per_minute),
            ValRaw::u32(facts.fastest_scope as u32),
            ValRaw::u64(facts.task_type_p95),
            ValRaw::u32(facts.finished_runs),
        ])
    }
}

impl RetryCeiling {
    #[inline]
    fn flat<T>(&self, _: &mut LowerContext<'_, T>) -> wasmtime::Result<[ValRaw; 16]> {
        let facts = &self.0;
        Ok(parameters![facts;
            ValRaw::u32(facts.attempts),
            ValRaw::u32(facts.streak),
            ValRaw::u64(facts.streak_elapsed_ms),
            ValRaw::u64(facts.since_failure_ms),
            ValRaw::u32(facts.fast_failures),
            ValRaw::u32(facts.rejections),
            ValRaw::u32(facts.failed_tier as u32),
            ValRaw::u32(facts.repetition as u32),
            ValRaw::u32(facts.repetitions),
            ValRaw::u64(facts.input_tokens),
        ])
    }
}

impl Routing<'_> {
    #[inline]
    fn flat<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<[ValRaw; 16]> {
        let Self(facts, ruling) = self;
        let count = ruling.usable_count();
        let candidates = list(cx, count, convert::candidates(ruling), rows::candidate::ALIGN, rows::candidate::write)?;
        Ok(parameters![facts;
            ValRaw::u32(facts.floor as u32),
            ValRaw::u32(facts.requested_tier as u32),
            ValRaw::u32(facts.requested_model),
            ValRaw::u32(facts.sticky.is_some().into()),
            ValRaw::u32(facts.sticky.unwrap_or(0)),
            ValRaw::u64(facts.affordable),
            ValRaw::u32(facts.rejections),
            ValRaw::u64(facts.input_tokens),
            ValRaw::u32(candidates),
            ValRaw::u32(count),
        ])
    }
}

impl Budget<'_> {
    #[inline]
    fn flat<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<[ValRaw; 12]> {
        let Self(facts, ruling) = self;
        // A dispatch with more is refused before anyone is asked.
        let count = u32::try_from(ruling.dispatch().accounts.len().min(MAX_ACCOUNTS))?;
        let scopes = list(cx, count, convert::scopes(ruling), rows::scope_state::ALIGN, rows::scope_state::write)?;
        Ok(parameters![facts;
            ValRaw::u32(facts.model),
            ValRaw::u32(facts.tier as u32),
            ValRaw::u64(facts.estimated_cost),
            ValRaw::u64(facts.output_tokens),
            ValRaw::u32(scopes),
            ValRaw::u32(count),
        ])
    }
}

/// So many records in memory that the guest allocates; where they are.
#[inline]
fn list<T, Record, const SIZE: usize>(
    cx: &mut LowerContext<'_, T>,
    count: u32,
    records: impl Iterator<Item = Record>,
    align: u32,
    write: impl Fn(&Record, &mut [u8; SIZE]),
) -> wasmtime::Result<u32> {
    let bytes = count as usize * SIZE;
    let place = cx.realloc(0, 0, align, bytes)?;
    let room = cx.as_slice_mut().get_mut(place..).and_then(|rest| rest.get_mut(..bytes)).unwrap_or_default();
    if rows::fill(room.as_chunks_mut().0, records, write) != count {
        return Err(wasmtime::Error::msg("a list has fewer rows than were announced"));
    }
    Ok(u32::try_from(place)?)
}
