//! One instance's lent areas, and the call: facts in, number out, verdict read. Whatever the guest wrote is checked before
//! it is believed; facts are never read back.

use tollgate_core::{MAX_CANDIDATES, PolicyKind};
use wasmtime::{Instance, Memory, Store, TypedFunc};

use super::record::{BudgetRecord, KillSwitchRecord, Layout, RetryCeilingRecord, RoutingRecord, VerdictRecord};
use super::{export, imports};
use crate::bindings::{budget, kill_switch, retry_ceiling, routing, types};
use crate::rows;
use crate::state::State;

const PLUGIN: &str = "tollgate:policy/plugin@0.1.0";

/// What one instance of a lending module exports.
pub(crate) struct LentExports {
    memory: Memory,
    /// By kind; filled once it is configured.
    areas: [Option<Area>; PolicyKind::ALL.len()],
    instance: Instance,
}

/// What is lent for one kind.
struct Area {
    place: usize,
    rows: usize,
    evaluate: TypedFunc<(), u64>,
}

/// The parts of a verdict that a number has.
struct Answer {
    case: u8,
    with: u32,
}

impl LentExports {
    pub(crate) fn new(store: &mut Store<State>, instance: Instance) -> wasmtime::Result<Self> {
        let memory = instance
            .get_memory(&mut *store, "memory")
            .ok_or_else(|| wasmtime::Error::msg("its module exports no memory"))?;
        Ok(Self { memory, areas: [const { None }; PolicyKind::ALL.len()], instance })
    }

    /// Hands over the configuration as the component's `configure` would, then has the areas of these kinds lent.
    pub(crate) fn configure(
        &mut self,
        store: &mut Store<State>,
        json: &str,
        most_bytes: usize,
        kinds: &[PolicyKind],
    ) -> wasmtime::Result<Result<(), String>> {
        let size = u32::try_from(json.len())?;
        let allocate: TypedFunc<(u32, u32, u32, u32), u32> =
            self.instance.get_typed_func(&mut *store, "cabi_realloc")?;
        let configure: TypedFunc<(u32, u32), u32> =
            self.instance.get_typed_func(&mut *store, &format!("{PLUGIN}#configure"))?;
        let place = if size == 0 { 1 } else { allocate.call(&mut *store, (0, 0, 1, size))? };
        self.memory.write(&mut *store, place as usize, json.as_bytes())?;
        let result = configure.call(&mut *store, (place, size))?;
        let refusal = self.refusal(store, result, most_bytes)?;
        let after = self.instance.get_typed_func::<u32, ()>(&mut *store, &format!("cabi_post_{PLUGIN}#configure"));
        if let Ok(after) = after {
            after.call(&mut *store, result)?;
        }
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        for kind in kinds {
            self.areas[*kind as usize] = Some(self.lend(store, *kind)?);
        }
        Ok(Ok(()))
    }

    /// `result<_, string>` in memory: the case, then the string's place and length.
    fn refusal(&self, store: &mut Store<State>, result: u32, most_bytes: usize) -> wasmtime::Result<Option<String>> {
        let memory = self.memory.data(&*store);
        let words = imports::read(memory, result, 12, 12)?;
        let word =
            |at: usize| words.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
        match words.first() {
            Some(0) => Ok(None),
            Some(1) => {
                let text = imports::read(memory, word(4), word(8), most_bytes)?;
                Ok(Some(std::str::from_utf8(text).map_err(wasmtime::Error::new)?.to_owned()))
            }
            _ => Err(wasmtime::Error::msg("`configure` returns no case of its result")),
        }
    }

    fn lend(&self, store: &mut Store<State>, kind: PolicyKind) -> wasmtime::Result<Area> {
        let layout = Layout::of(kind);
        let number = self.function::<u64>(store, kind, "layout")?.call(&mut *store, ())?;
        if number != layout.number {
            return Err(wasmtime::Error::msg(format!("its layout as {kind} is another than this host's")));
        }
        let place = self.function::<u32>(store, kind, "area")?.call(&mut *store, ())? as usize;
        let evaluate = self.function::<u64>(store, kind, "evaluate")?;
        let memory = self.memory.data(&*store);
        let outside = || wasmtime::Error::msg(format!("as {kind} it lends what lies outside of its memory"));
        let area = memory.get(place..).and_then(|rest| rest.get(..layout.facts + VerdictRecord::SIZE));
        let area = area.ok_or_else(outside)?;
        let rows = match layout.rows {
            None => 0,
            Some((at, row)) => {
                let rows =
                    area.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
                let all = memory.get(rows..).and_then(|rest| rest.get(..row * MAX_CANDIDATES));
                all.map(|_| rows).ok_or_else(outside)?
            }
        };
        Ok(Area { place, rows, evaluate })
    }

    fn function<R: wasmtime::WasmResults>(
        &self,
        store: &mut Store<State>,
        kind: PolicyKind,
        part: &str,
    ) -> wasmtime::Result<TypedFunc<(), R>> {
        self.instance.get_typed_func(store, &export(kind, part))
    }

    pub(crate) fn kill_switch(
        &self,
        store: &mut Store<State>,
        facts: &kill_switch::Facts,
    ) -> wasmtime::Result<kill_switch::Verdict> {
        let area = self.area(PolicyKind::KillSwitch)?;
        KillSwitchRecord::from(facts).write(place(self.memory.data_mut(&mut *store), area.place)?);
        let answer = area.ask(store)?;
        Ok(match answer.case {
            0 => kill_switch::Verdict::Proceed,
            1 => kill_switch::Verdict::Stop(self.left(store, area, KillSwitchRecord::SIZE)?.reason()?),
            2 => kill_switch::Verdict::Trip(self.left(store, area, KillSwitchRecord::SIZE)?.trip()?),
            _ => return Err(answer.no_verdict()),
        })
    }

    pub(crate) fn retry_ceiling(
        &self,
        store: &mut Store<State>,
        facts: &retry_ceiling::Facts,
    ) -> wasmtime::Result<retry_ceiling::Verdict> {
        let area = self.area(PolicyKind::RetryCeiling)?;
        RetryCeilingRecord::from(facts).write(place(self.memory.data_mut(&mut *store), area.place)?);
        let answer = area.ask(store)?;
        let left = |store: &Store<State>| self.left(store, area, RetryCeilingRecord::SIZE);
        Ok(match answer.case {
            0 => retry_ceiling::Verdict::Proceed,
            1 => retry_ceiling::Verdict::RaiseFloor(match answer.with {
                0 => types::Tier::Low,
                1 => types::Tier::Middle,
                2 => types::Tier::Premium,
                _ => return Err(answer.no_verdict()),
            }),
            2 => retry_ceiling::Verdict::BackOff(answer.with),
            3 => retry_ceiling::Verdict::HoldForHuman(left(store)?.reason()?),
            4 => retry_ceiling::Verdict::Refuse(left(store)?.reason()?),
            _ => return Err(answer.no_verdict()),
        })
    }

    /// `facts` names no candidates: they come as rows.
    pub(crate) fn routing(
        &self,
        store: &mut Store<State>,
        facts: &routing::Facts,
        candidates: impl Iterator<Item = types::Candidate>,
    ) -> wasmtime::Result<routing::Verdict> {
        let area = self.area(PolicyKind::Routing)?;
        let memory = self.memory.data_mut(&mut *store);
        let mut count = 0_u32;
        let rows = memory.get_mut(area.rows..).unwrap_or_default().as_chunks_mut::<{ rows::Candidate::SIZE }>().0;
        for (candidate, row) in candidates.zip(rows.iter_mut().take(MAX_CANDIDATES)) {
            candidate.write(row);
            count += 1;
        }
        RoutingRecord::new(facts, area.rows_place(), count).write(place(memory, area.place)?);
        let answer = area.ask(store)?;
        Ok(match answer.case {
            0 => routing::Verdict::UseCandidate(answer.with),
            1 => routing::Verdict::NoOpinion,
            2 => routing::Verdict::Refuse(self.left(store, area, RoutingRecord::SIZE)?.reason()?),
            _ => return Err(answer.no_verdict()),
        })
    }

    /// `facts` names no scopes: they come as rows.
    pub(crate) fn budget(
        &self,
        store: &mut Store<State>,
        facts: &budget::Facts,
        scopes: impl Iterator<Item = types::ScopeState>,
    ) -> wasmtime::Result<budget::Verdict> {
        let area = self.area(PolicyKind::Budget)?;
        let memory = self.memory.data_mut(&mut *store);
        let mut count = 0_u32;
        let rows = memory.get_mut(area.rows..).unwrap_or_default().as_chunks_mut::<{ rows::ScopeState::SIZE }>().0;
        for (scope, row) in scopes.zip(rows.iter_mut().take(MAX_CANDIDATES)) {
            scope.write(row);
            count += 1;
        }
        BudgetRecord::new(facts, area.rows_place(), count).write(place(memory, area.place)?);
        let answer = area.ask(store)?;
        let left = |store: &Store<State>| self.left(store, area, BudgetRecord::SIZE);
        Ok(match answer.case {
            0 => budget::Verdict::Proceed,
            1 => budget::Verdict::Slow(answer.with),
            2 => budget::Verdict::CapOutput(answer.with),
            3 => budget::Verdict::HoldForApproval(left(store)?.reason()?),
            4 => budget::Verdict::Refuse(left(store)?.reason()?),
            _ => return Err(answer.no_verdict()),
        })
    }

    fn area(&self, kind: PolicyKind) -> wasmtime::Result<&Area> {
        self.areas[kind as usize]
            .as_ref()
            .ok_or_else(|| wasmtime::Error::msg("asked as a kind that it does not lend for"))
    }

    /// What the guest left beside its verdict's number.
    fn left(&self, store: &Store<State>, area: &Area, facts: usize) -> wasmtime::Result<VerdictRecord> {
        let verdict = self.memory.data(store).get(area.place + facts..).and_then(|rest| rest.first_chunk());
        verdict.map(VerdictRecord::read).ok_or_else(|| wasmtime::Error::msg("its lent area is gone"))
    }
}

/// Memory never shrinks, so an area that was inside stays inside.
#[inline]
fn place<const SIZE: usize>(memory: &mut [u8], place: usize) -> wasmtime::Result<&mut [u8; SIZE]> {
    memory
        .get_mut(place..)
        .and_then(|rest| rest.first_chunk_mut())
        .ok_or_else(|| wasmtime::Error::msg("its lent area is gone"))
}

impl Area {
    #[inline]
    fn ask(&self, store: &mut Store<State>) -> wasmtime::Result<Answer> {
        let number = self.evaluate.call(store, ())?;
        let [case, rest @ .., _, _, _, _] = number.to_le_bytes();
        let with = u32::try_from(number >> 32).unwrap_or(u32::MAX);
        if rest == [0; 3] {
            Ok(Answer { case, with })
        } else {
            Err(wasmtime::Error::msg("its verdict is no number of one"))
        }
    }

    fn rows_place(&self) -> u32 {
        u32::try_from(self.rows).unwrap_or(u32::MAX)
    }
}

impl Answer {
    fn no_verdict(&self) -> wasmtime::Error {
        wasmtime::Error::msg(format!("case {} with {} is no verdict", self.case, self.with))
    }
}

impl VerdictRecord {
    fn reason(&self) -> wasmtime::Result<types::Reason> {
        let unit = match self.unit {
            0 => types::Unit::None,
            1 => types::Unit::Count,
            2 => types::Unit::Nanodollars,
            3 => types::Unit::Milliseconds,
            4 => types::Unit::Tokens,
            5 => types::Unit::Permille,
            other => return Err(no_case("unit", other.into())),
        };
        Ok(types::Reason { code: self.code, unit, actual: self.actual, limit: self.limit })
    }

    fn trip(&self) -> wasmtime::Result<kill_switch::Trip> {
        let selector = match self.selector {
            0 => types::Selector::Everything,
            1 => types::Selector::Scope(scope_kind(self.selected)?),
            2 => types::Selector::Model(self.selected),
            3 => types::Selector::TaskType(self.selected),
            other => return Err(no_case("selector", other.into())),
        };
        let mode = match self.mode {
            0 => types::SwitchMode::Drain,
            1 => types::SwitchMode::Cut,
            other => return Err(no_case("switch-mode", other.into())),
        };
        Ok(kill_switch::Trip { selector, mode, time_to_live_ms: self.time_to_live_ms, reason: self.reason()? })
    }
}

fn scope_kind(number: u32) -> wasmtime::Result<types::ScopeKind> {
    use types::ScopeKind::{Key, Organisation, Project, Run, Team, User, WorkItem};
    let kinds = [Organisation, Team, Project, WorkItem, Run, User, Key];
    usize::try_from(number)
        .ok()
        .and_then(|place| kinds.get(place))
        .copied()
        .ok_or_else(|| no_case("scope-kind", number))
}

fn no_case(of: &str, number: u32) -> wasmtime::Error {
    wasmtime::Error::msg(format!("{number} is no case of `{of}`"))
}
