//! One instance's lent areas, and the call: facts in, number out, verdict read. Whatever the guest wrote is checked before
//! it is believed; facts are never read back.

use tollgate_core::{
    BudgetVerdict, KillSwitchVerdict, MAX_CANDIDATES, PolicyKind, Reason, RetryCeilingVerdict, RoutingVerdict, Ruling,
    ScopeKind, SwitchMode, Symbol, Tier, Trip, TripSelector, Unit, Verdict,
};
use wasmtime::{Instance, Memory, Store, TypedFunc};

use super::record::{BudgetRecord, KillSwitchRecord, Layout, RetryCeilingRecord, RoutingRecord, VerdictRecord};
use super::{export, imports};
use crate::convert::{self, Moment};
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

    /// One evaluation as one kind; the verdict is written where it stays.
    #[inline]
    pub(crate) fn evaluate(
        &self,
        store: &mut Store<State>,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        moment: Moment,
        verdict: &mut Verdict,
    ) -> wasmtime::Result<()> {
        let area = self.area(kind)?;
        area.write(self.memory.data_mut(&mut *store), kind, ruling, moment)?;
        let answer = area.ask(store)?;
        *verdict = match (kind, answer.case) {
            (PolicyKind::KillSwitch, 0) => Verdict::KillSwitch(KillSwitchVerdict::Proceed),
            (PolicyKind::RetryCeiling, 0) => Verdict::RetryCeiling(RetryCeilingVerdict::Proceed),
            (PolicyKind::Routing, 0) => Verdict::Routing(convert::use_candidate(answer.with, ruling)),
            (PolicyKind::Budget, 0) => Verdict::Budget(BudgetVerdict::Proceed),
            _ => return self.hear(store, kind, &answer, verdict),
        };
        Ok(())
    }

    /// A verdict that is more than to proceed.
    #[cold]
    fn hear(
        &self,
        store: &Store<State>,
        kind: PolicyKind,
        answer: &Answer,
        verdict: &mut Verdict,
    ) -> wasmtime::Result<()> {
        let left = || self.left(store, kind);
        *verdict = match (kind, answer.case) {
            (PolicyKind::KillSwitch, 1) => Verdict::KillSwitch(KillSwitchVerdict::Stop(left()?.reason()?)),
            (PolicyKind::KillSwitch, 2) => Verdict::KillSwitch(KillSwitchVerdict::Trip(left()?.trip()?)),
            (PolicyKind::RetryCeiling, 1) => {
                Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(match answer.with {
                    0 => Tier::Low,
                    1 => Tier::Middle,
                    2 => Tier::Premium,
                    _ => return Err(answer.no_verdict()),
                }))
            }
            (PolicyKind::RetryCeiling, 2) => {
                Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds: answer.with })
            }
            (PolicyKind::RetryCeiling, 3) => {
                Verdict::RetryCeiling(RetryCeilingVerdict::HoldForHuman(left()?.reason()?))
            }
            (PolicyKind::RetryCeiling, 4) => Verdict::RetryCeiling(RetryCeilingVerdict::Refuse(left()?.reason()?)),
            (PolicyKind::Routing, 1) => Verdict::Routing(RoutingVerdict::NoOpinion),
            (PolicyKind::Routing, 2) => Verdict::Routing(RoutingVerdict::Refuse(left()?.reason()?)),
            (PolicyKind::Budget, 1) => Verdict::Budget(BudgetVerdict::Slow { milliseconds: answer.with }),
            (PolicyKind::Budget, 2) => Verdict::Budget(BudgetVerdict::CapOutput { tokens: answer.with }),
            (PolicyKind::Budget, 3) => Verdict::Budget(BudgetVerdict::HoldForApproval(left()?.reason()?)),
            (PolicyKind::Budget, 4) => Verdict::Budget(BudgetVerdict::Refuse(left()?.reason()?)),
            _ => return Err(answer.no_verdict()),
        };
        Ok(())
    }

    fn area(&self, kind: PolicyKind) -> wasmtime::Result<&Area> {
        self.areas[kind as usize]
            .as_ref()
            .ok_or_else(|| wasmtime::Error::msg("asked as a kind that it does not lend for"))
    }

    /// What the guest left beside its verdict's number.
    fn left(&self, store: &Store<State>, kind: PolicyKind) -> wasmtime::Result<VerdictRecord> {
        let at = self.area(kind)?.place + Layout::of(kind).facts;
        let verdict = self.memory.data(store).get(at..).and_then(|rest| rest.first_chunk());
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
    /// Lays the facts of a kind out in the guest's memory.
    #[inline]
    fn write(&self, memory: &mut [u8], kind: PolicyKind, ruling: &Ruling<'_>, moment: Moment) -> wasmtime::Result<()> {
        match kind {
            PolicyKind::KillSwitch => {
                let facts = convert::kill_switch_facts(ruling, moment);
                KillSwitchRecord::from(&facts).write(place(memory, self.place)?);
            }
            PolicyKind::RetryCeiling => {
                let facts = convert::retry_ceiling_facts(ruling.dispatch());
                RetryCeilingRecord::from(&facts).write(place(memory, self.place)?);
            }
            PolicyKind::Routing => {
                let count = rows::fill(self.rows(memory), convert::candidates(ruling), rows::candidate::write);
                let facts = convert::routing_facts(ruling);
                RoutingRecord::new(&facts, self.rows_place(), count).write(place(memory, self.place)?);
            }
            PolicyKind::Budget => {
                let count = rows::fill(self.rows(memory), convert::scopes(ruling), rows::scope_state::write);
                let facts = convert::budget_facts(ruling);
                BudgetRecord::new(&facts, self.rows_place(), count).write(place(memory, self.place)?);
            }
        }
        Ok(())
    }

    /// Memory for rows of that size.
    #[inline]
    fn rows<'m, const SIZE: usize>(&self, memory: &'m mut [u8]) -> &'m mut [[u8; SIZE]] {
        let rows = memory.get_mut(self.rows..).unwrap_or_default().as_chunks_mut().0;
        let most = rows.len().min(MAX_CANDIDATES);
        &mut rows[..most]
    }

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
    fn reason(&self) -> wasmtime::Result<Reason> {
        let unit = match self.unit {
            0 => Unit::None,
            1 => Unit::Count,
            2 => Unit::Nanodollars,
            3 => Unit::Milliseconds,
            4 => Unit::Tokens,
            5 => Unit::Permille,
            other => return Err(no_case("unit", other.into())),
        };
        Ok(Reason { code: Symbol::from_u32(self.code), unit, actual: self.actual, limit: self.limit })
    }

    fn trip(&self) -> wasmtime::Result<Trip> {
        let selector = match self.selector {
            0 => TripSelector::Everything,
            1 => TripSelector::Scope(scope_kind(self.selected)?),
            2 => TripSelector::Model(Symbol::from_u32(self.selected)),
            3 => TripSelector::TaskType(Symbol::from_u32(self.selected)),
            other => return Err(no_case("selector", other.into())),
        };
        let mode = match self.mode {
            0 => SwitchMode::Drain,
            1 => SwitchMode::Cut,
            other => return Err(no_case("switch-mode", other.into())),
        };
        Ok(Trip { selector, mode, time_to_live_ms: self.time_to_live_ms, reason: self.reason()? })
    }
}

/// In the order of the contract.
fn scope_kind(number: u32) -> wasmtime::Result<ScopeKind> {
    use ScopeKind::{Key, Organisation, Project, Run, Team, User, WorkItem};
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
