//! What is remembered, in the form in which storage keeps it: with names in the place of symbols, which are numbers of one process.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counter::Count;
use super::finished::{Finished, Running};
use super::spend::Rate;
use super::task::TaskHistory;
use super::{CounterBy, CounterEvent, CounterRule, History, Route};
use crate::{Nanodollars, Reference, ScopeKind, Symbol, Symbols};

/// Of what kind something remembered is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Memory {
    /// The failed attempts of a task.
    Task,
    /// Where a run, task and stage was routed.
    Route,
    /// What a scope spends.
    Rate,
    /// What a run that goes on has cost.
    Run,
    /// What a run that ended has cost.
    Finished,
    /// A declared counter, of one task or scope.
    Count,
}

impl Memory {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Task, Self::Route, Self::Rate, Self::Run, Self::Finished, Self::Count];

    /// The word in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Route => "route",
            Self::Rate => "rate",
            Self::Run => "run",
            Self::Finished => "finished",
            Self::Count => "count",
        }
    }
}

/// One thing that is remembered, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Of what kind.
    pub memory: Memory,
    /// Which of its kind.
    pub key: String,
    /// When it was touched, in milliseconds since the Unix epoch; to the minute.
    pub touched_ms: u64,
    /// What is known, as a JSON object; nothing where it was forgotten.
    pub state: Option<String>,
}

/// A thing that is remembered, with all that tells it from others of its kind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Known {
    Task {
        task: Reference,
        history: TaskHistory,
    },
    Route {
        run: Option<Reference>,
        task: Reference,
        stage: Option<Arc<str>>,
        model: Arc<str>,
        backend: Arc<str>,
    },
    Rate {
        scope: ScopeKind,
        reference: Reference,
        rate: Rate,
    },
    Run {
        run: Reference,
        task_type: Option<Arc<str>>,
        cost: Nanodollars,
    },
    Finished {
        task_type: Arc<str>,
        number: u64,
        cost: Nanodollars,
    },
    Count {
        name: Arc<str>,
        event: CounterEvent,
        by: CounterBy,
        window_seconds: u32,
        reference: Reference,
        count: Count,
    },
}

impl History {
    /// From now on what changes is noted, to be stored: see [`History::take_changes`].
    pub fn note_changes(&self) {
        self.tasks.note_changes();
        self.routes.note_changes();
        self.rates.scopes.note_changes();
        self.finished.note_changes();
        self.counters.counts.note_changes();
    }

    /// Takes the changes of tasks that were noted, at most so many.
    pub fn take_task_changes(&self, most: usize) -> Vec<Remembered> {
        let row = |(task, known): (Reference, Option<(u64, TaskHistory)>)| {
            // A task that nothing is held against is like one that is not known.
            let known = known.filter(|(_, history)| *history != TaskHistory::default());
            remembered(Memory::Task, reference(task), known, |history| Some(Known::Task { task, history }))
        };
        self.tasks.take_changed(most).into_iter().map(row).collect()
    }

    /// Takes the changes that were noted, at most about so many: none where there are no more.
    pub fn take_changes(&self, most: usize, symbols: &Symbols) -> Vec<Remembered> {
        let mut rows = self.take_task_changes(most);
        let left = |rows: &Vec<Remembered>| most.saturating_sub(rows.len());
        let name = |symbol: Symbol| symbols.resolve(symbol);
        rows.extend(self.routes.take_changed(left(&rows)).into_iter().map(|((run, task, stage), known)| {
            let stage_name = name(stage);
            let run_key = run.map_or_else(|| "-".to_owned(), reference);
            let key = format!("{run_key}/{}/{}", reference(task), stage_name.as_deref().unwrap_or_default());
            remembered(Memory::Route, key, known, |Route { model, backend }| {
                Some(Known::Route { run, task, stage: stage_name, model: name(model)?, backend: name(backend)? })
            })
        }));
        rows.extend(self.rates.scopes.take_changed(left(&rows)).into_iter().map(|((scope, of), known)| {
            let key = format!("{scope}/{}", reference(of));
            remembered(Memory::Rate, key, known, |rate| Some(Known::Rate { scope, reference: of, rate }))
        }));
        rows.extend(self.finished.running.take_changed(left(&rows)).into_iter().map(|(run, known)| {
            remembered(Memory::Run, reference(run), known, |Running { task_type, cost }| {
                Some(Known::Run { run, task_type: name(task_type), cost })
            })
        }));
        rows.extend(self.finished.take_finished(left(&rows)).into_iter().filter_map(|finished| {
            let task_type = name(finished.task_type)?;
            let key = format!("{:03}/{task_type}", finished.place());
            let Finished { number, cost, at_ms, .. } = finished;
            Some(remembered(Memory::Finished, key, Some((at_ms, ())), |()| {
                Some(Known::Finished { task_type, number, cost })
            }))
        }));
        rows.extend(self.counters.counts.take_changed(left(&rows)).into_iter().filter_map(|((rule, of), known)| {
            let CounterRule { name: symbol, event, by, window_seconds } = rule;
            let name = name(symbol)?;
            let key = format!("{}/{by:?}/{event:?}/{window_seconds}/{name}", reference(of));
            Some(remembered(Memory::Count, key, known, |count| {
                Some(Known::Count { name, event, by, window_seconds, reference: of, count })
            }))
        }));
        rows
    }

    /// Takes in what storage has, where nothing newer is known. What is named by what no configuration mentions any more stays
    /// where it is, and so does what this build cannot read; how much that was.
    pub fn restore(&self, rows: impl IntoIterator<Item = Remembered>, symbols: &Symbols) -> usize {
        let (mut left_out, mut finished) = (0_usize, BTreeMap::new());
        for row in rows {
            let known = row.state.as_deref().and_then(|state| serde_json::from_str::<Known>(state).ok());
            let taken = known.and_then(|known| self.take_in(known, row.touched_ms, symbols, &mut finished));
            left_out = left_out.saturating_add(usize::from(taken.is_none()));
        }
        self.finished.restore(finished);
        left_out
    }

    fn take_in(
        &self,
        known: Known,
        touched_ms: u64,
        symbols: &Symbols,
        finished: &mut BTreeMap<(Symbol, u64), Nanodollars>,
    ) -> Option<()> {
        let symbol = |name: &str| Some(symbols.lookup(name)).filter(|symbol| *symbol != Symbol::UNKNOWN);
        let perhaps = |name: &Option<Arc<str>>| name.as_deref().map_or(Some(Symbol::UNKNOWN), symbol);
        match known {
            Known::Task { task, history } => self.tasks.restore(task, touched_ms, history),
            Known::Route { run, task, stage, model, backend } => {
                let route = Route { model: symbol(&model)?, backend: symbol(&backend)? };
                self.routes.restore((run, task, perhaps(&stage)?), touched_ms, route);
            }
            Known::Rate { scope, reference, rate } => self.rates.scopes.restore((scope, reference), touched_ms, rate),
            Known::Run { run, task_type, cost } => {
                let task_type = perhaps(&task_type).unwrap_or_default();
                self.finished.running.restore(run, touched_ms, Running { task_type, cost });
            }
            Known::Finished { task_type, number, cost } => {
                finished.insert((symbol(&task_type)?, number), cost);
            }
            Known::Count { name, event, by, window_seconds, reference, count } => {
                let rule = CounterRule { name: symbol(&name)?, event, by, window_seconds };
                self.counters.counts.restore((rule, reference), touched_ms, count);
            }
        }
        Some(())
    }
}

fn reference(reference: Reference) -> String {
    format!("{:016x}", reference.as_u64())
}

/// A row of what is known; of what was forgotten, or cannot be named, that it is gone.
fn remembered<V>(
    memory: Memory,
    key: String,
    known: Option<(u64, V)>,
    form: impl FnOnce(V) -> Option<Known>,
) -> Remembered {
    let touched_ms = known.as_ref().map_or(0, |(touched_ms, _)| *touched_ms);
    let state = known.and_then(|(_, value)| form(value)).and_then(|known| serde_json::to_string(&known).ok());
    Remembered { memory, key, touched_ms, state }
}
