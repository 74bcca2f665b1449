//! What finished runs of each task type cost: the 95th percentile of the last thousand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bounded::{Bounded, MAX_CHANGED};
use crate::{Nanodollars, Reference, Symbol};

/// How many finished runs of a task type are remembered.
const REMEMBERED: usize = 1_000;
/// How many task types are told apart; symbols are bounded, so this is what bounds the memory.
const TASK_TYPES: usize = 1_000;

#[derive(Debug)]
pub(super) struct FinishedRuns {
    pub(super) running: Bounded<Reference, Running>,
    by_task_type: Mutex<HashMap<Symbol, Costs>>,
    /// Finished runs that storage does not have; nothing where nobody stores them.
    untold: Mutex<Option<VecDeque<Finished>>>,
    /// What is read: the percentile, and how many runs it rests on.
    percentiles: papaya::HashMap<Symbol, (Nanodollars, u32)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) task_type: Symbol,
    pub(super) cost: Nanodollars,
}

/// A run that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) task_type: Symbol,
    /// Of all that ever ended of its type.
    pub(super) number: u64,
    pub(super) cost: Nanodollars,
    pub(super) at_ms: u64,
}

impl Finished {
    /// Which of the remembered ones it takes the place of.
    pub(super) fn place(&self) -> u64 {
        self.number.checked_rem(REMEMBERED as u64).unwrap_or(0)
    }
}

/// The same costs in the order in which they came and in order of size.
#[derive(Debug, Default)]
struct Costs {
    in_order: VecDeque<Nanodollars>,
    sorted: Vec<Nanodollars>,
    /// How many have ended.
    count: u64,
}

impl Costs {
    fn add(&mut self, cost: Nanodollars) {
        if self.in_order.len() >= REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
            && let Ok(place) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(place);
        }
        self.count = self.count.saturating_add(1);
        self.in_order.push_back(cost);
        let place = self.sorted.partition_point(|other| *other < cost);
        self.sorted.insert(place, cost);
    }

    /// Nearest rank: the smallest cost that at least 95 % of the runs do not exceed.
    fn p95(&self) -> Nanodollars {
        let rank = self.sorted.len().saturating_mul(95).div_ceil(100);
        rank.checked_sub(1).and_then(|index| self.sorted.get(index)).copied().unwrap_or_default()
    }
}

impl FinishedRuns {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            running: Bounded::new(capacity),
            by_task_type: Mutex::default(),
            untold: Mutex::default(),
            percentiles: papaya::HashMap::new(),
        }
    }

    pub(super) fn note_changes(&self) {
        self.running.note_changes();
        self.untold().get_or_insert_default();
    }

    /// At most so many of the finished runs that storage does not have, the first to end first.
    pub(super) fn take_finished(&self, most: usize) -> Vec<Finished> {
        self.untold().as_mut().map_or_else(Vec::new, |untold| untold.drain(..most.min(untold.len())).collect())
    }

    /// Takes in what runs cost that ended before, by type and number.
    pub(super) fn restore(&self, finished: BTreeMap<(Symbol, u64), Nanodollars>) {
        let mut by_task_type = self.by_task_type.lock().unwrap_or_else(PoisonError::into_inner);
        for ((task_type, number), cost) in finished {
            if by_task_type.len() < TASK_TYPES || by_task_type.contains_key(&task_type) {
                let costs = by_task_type.entry(task_type).or_default();
                costs.add(cost);
                costs.count = number.saturating_add(1);
            }
        }
        for (task_type, costs) in by_task_type.iter() {
            self.show(*task_type, costs);
        }
    }

    fn show(&self, task_type: Symbol, costs: &Costs) {
        let runs = u32::try_from(costs.sorted.len()).unwrap_or(u32::MAX);
        self.percentiles.pin().insert(task_type, (costs.p95(), runs));
    }

    fn untold(&self) -> MutexGuard<'_, Option<VecDeque<Finished>>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run is of the task type of its latest dispatch.
    pub(super) fn works_on(&self, run: Reference, task_type: Symbol, now_ms: u64) {
        self.running.change(run, now_ms, Running::default(), |running| running.task_type = task_type);
    }

    pub(super) fn spend(&self, run: Reference, now_ms: u64, spend: Nanodollars, refund: Nanodollars) {
        self.running.change(run, now_ms, Running::default(), |running| {
            running.cost = running.cost.saturating_add(spend).saturating_sub(refund);
        });
    }

    pub(super) fn finish(&self, run: Reference) {
        let Some((touched_ms, Running { task_type, cost })) = self.running.remove(&run) else {
            return;
        };
        // What no configuration names is no type: its runs have nothing in common.
        if task_type == Symbol::UNKNOWN {
            return;
        }
        let mut by_task_type = self.by_task_type.lock().unwrap_or_else(PoisonError::into_inner);
        if by_task_type.len() < TASK_TYPES || by_task_type.contains_key(&task_type) {
            let costs = by_task_type.entry(task_type).or_default();
            let number = costs.count;
            costs.add(cost);
            self.show(task_type, costs);
            if let Some(untold) = self.untold().as_mut()
                && untold.len() < MAX_CHANGED
            {
                untold.push_back(Finished { task_type, number, cost, at_ms: touched_ms });
            }
        }
    }

    /// The percentile and how many runs it rests on.
    pub(super) fn p95(&self, task_type: Symbol) -> (Nanodollars, u32) {
        self.percentiles.pin().get(&task_type).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_that_of_the_last_thousand() {
        let runs = FinishedRuns::new(10);
        let coding = Symbol::from_u32(1);
        for cost in 1..=1_100_u64 {
            let run = Reference::of(&cost.to_string());
            runs.works_on(run, coding, cost);
            runs.spend(run, cost, Nanodollars::new(cost + 5), Nanodollars::ZERO);
            runs.spend(run, cost, Nanodollars::new(1), Nanodollars::new(6));
            runs.finish(run);
            runs.finish(run);
        }
        // 101 … 1,100 remain; the 950th of them is 1,050.
        assert_eq!(runs.p95(coding), (Nanodollars::new(1_050), 1_000));
        let nameless = Reference::of("nameless");
        runs.spend(nameless, 1, Nanodollars::new(1), Nanodollars::ZERO);
        runs.finish(nameless);
        assert_eq!(runs.p95(Symbol::UNKNOWN), (Nanodollars::ZERO, 0), "what has no type has no percentile");
    }
}
