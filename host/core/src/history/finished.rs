//! What finished runs of each task type cost: the 95th percentile of the last thousand.

use std::collections::{HashMap, VecDeque};

use super::bounded::Bounded;
use crate::{Nanodollars, Reference, Symbol};

/// How many finished runs of a task type are remembered.
const REMEMBERED: usize = 1_000;
/// How many task types are told apart; symbols are bounded, so this is what bounds the memory.
const TASK_TYPES: usize = 1_000;

#[derive(Debug)]
pub(super) struct FinishedRuns {
    running: Bounded<Reference, (Symbol, Nanodollars)>,
    by_task_type: HashMap<Symbol, Costs>,
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
        Self { running: Bounded::new(capacity), by_task_type: HashMap::new() }
    }

    /// A run is of the task type of its latest dispatch.
    pub(super) fn spend(&mut self, run: Reference, task_type: Symbol, now_ms: u64, cost: Nanodollars) {
        let entry = self.running.entry_or(run, now_ms, (task_type, Nanodollars::ZERO));
        *entry = (task_type, entry.1.saturating_add(cost));
    }

    pub(super) fn finish(&mut self, run: Reference) {
        let Some((task_type, cost)) = self.running.remove(&run) else {
            return;
        };
        // What no configuration names is no type: its runs have nothing in common.
        if task_type == Symbol::UNKNOWN {
            return;
        }
        if self.by_task_type.len() < TASK_TYPES || self.by_task_type.contains_key(&task_type) {
            self.by_task_type.entry(task_type).or_default().add(cost);
        }
    }

    /// The percentile and how many runs it rests on.
    pub(super) fn p95(&self, task_type: Symbol) -> (Nanodollars, u32) {
        self.by_task_type
            .get(&task_type)
            .map(|costs| (costs.p95(), u32::try_from(costs.sorted.len()).unwrap_or(u32::MAX)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_that_of_the_last_thousand() {
        let mut runs = FinishedRuns::new(10);
        let coding = Symbol::from_u32(1);
        for cost in 1..=1_100_u64 {
            let run = Reference::of(&cost.to_string());
            runs.spend(run, coding, cost, Nanodollars::new(cost - 1));
            runs.spend(run, coding, cost, Nanodollars::new(1));
            runs.finish(run);
            runs.finish(run);
        }
        // 101 … 1,100 remain; the 950th of them is 1,050.
        assert_eq!(runs.p95(coding), (Nanodollars::new(1_050), 1_000));
        let nameless = Reference::of("nameless");
        runs.spend(nameless, Symbol::UNKNOWN, 1, Nanodollars::new(1));
        runs.finish(nameless);
        assert_eq!(runs.p95(Symbol::UNKNOWN), (Nanodollars::ZERO, 0), "what has no type has no percentile");
    }
}
