//! What finished runs of each task type cost: the 95th percentile of the last thousand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::bounded::Bounded;
use crate::{Nanodollars, Reference, Symbol};

/// How many finished runs of a task type are remembered.
const REMEMBERED: usize = 1_000;
/// How many task types are told apart; symbols are bounded, so this is what bounds the memory.
const TASK_TYPES: usize = 1_000;

#[derive(Debug)]
pub(super) struct FinishedRuns {
    running: Bounded<Reference, Running>,
    by_task_type: Mutex<HashMap<Symbol, Costs>>,
    /// What is read: the percentile, and how many runs it rests on.
    percentiles: papaya::HashMap<Symbol, (Nanodollars, u32)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Running {
    task_type: Symbol,
    cost: Nanodollars,
}

/// The same costs in the order in which they came and in order of size.
#[derive(Debug, Default)]
struct Costs {
    in_order: VecDeque<Nanodollars>,
    sorted: Vec<Nanodollars>,
}

impl Costs {
    fn add(&mut self, cost: Nanodollars) {
        if self.in_order.len() >= REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
            && let Ok(place) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(place);
        }
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
        Self { running: Bounded::new(capacity), by_task_type: Mutex::default(), percentiles: papaya::HashMap::new() }
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
        let Some(Running { task_type, cost }) = self.running.remove(&run) else {
            return;
        };
        // What no configuration names is no type: its runs have nothing in common.
        if task_type == Symbol::UNKNOWN {
            return;
        }
        let mut by_task_type = self.by_task_type.lock().unwrap_or_else(PoisonError::into_inner);
        if by_task_type.len() < TASK_TYPES || by_task_type.contains_key(&task_type) {
            let costs = by_task_type.entry(task_type).or_default();
            costs.add(cost);
            let runs = u32::try_from(costs.sorted.len()).unwrap_or(u32::MAX);
            self.percentiles.pin().insert(task_type, (costs.p95(), runs));
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
