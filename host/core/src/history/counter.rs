//! Counters that plugins declare and the host keeps.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use super::{Report, Status};
use crate::{Dispatch, Reference, ScopeKind, ScopePath, Symbol};

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum CounterEvent {
    Dispatch,
    Success,
    Failure,
    Rejection,
    Unproductive,
    Refusal,
}

/// By what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CounterBy {
    /// One count for each task.
    Task,
    /// One for each scope of a kind.
    Scope(ScopeKind),
}

/// A counter for the host to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterRule {
    /// What policies read it by.
    pub name: Symbol,
    /// What it counts.
    pub event: CounterEvent,
    /// By what.
    pub by: CounterBy,
    /// How far back, in seconds; 0 for ever.
    pub window_seconds: u32,
}

/// A window is kept in this many parts, so a count reaches back between 15/16 of the window and all of it.
const PARTS: usize = 16;

#[derive(Debug)]
pub(super) struct Counters {
    rules: ArcSwap<Vec<CounterRule>>,
    /// By the rule itself, so that the same rule goes on counting where another generation of policies declares it.
    pub(super) counts: Bounded<(CounterRule, Reference), Count>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Count {
    total: u64,
    parts: [(u64, u64); PARTS],
}

impl Counters {
    pub(super) fn new(rules: Vec<CounterRule>, capacity: usize) -> Self {
        Self { rules: ArcSwap::from_pointee(rules), counts: Bounded::new(capacity) }
    }

    pub(super) fn declare(&self, rules: Vec<CounterRule>) {
        self.rules.store(Arc::new(rules));
    }

    pub(super) fn read(&self, task: Option<Reference>, scopes: &ScopePath, now_ms: u64, into: &mut Vec<(Symbol, u64)>) {
        for rule in self.rules.load().iter() {
            if let Some(reference) = rule.reference(task, scopes) {
                let count = self.counts.read(&(*rule, reference), |count| count.read(rule, now_ms)).unwrap_or(0);
                into.push((rule.name, count));
            }
        }
    }

    pub(super) fn count_report(&self, report: &Report) {
        let event = match report.status {
            Status::Succeeded => CounterEvent::Success,
            Status::Failed(_) => CounterEvent::Failure,
            Status::Rejected => CounterEvent::Rejection,
            Status::Unreported | Status::ProviderUnavailable => return,
        };
        self.count(event, Some(report.task), &report.scopes, report.ended_ms);
        if report.productive == Some(false) && report.status == Status::Succeeded {
            self.count(CounterEvent::Unproductive, Some(report.task), &report.scopes, report.ended_ms);
        }
    }

    pub(super) fn count_dispatch(&self, dispatch: &Dispatch, refused: bool) {
        let event = if refused { CounterEvent::Refusal } else { CounterEvent::Dispatch };
        self.count(event, dispatch.task, &dispatch.scopes, dispatch.now_ms);
    }

    fn count(&self, event: CounterEvent, task: Option<Reference>, scopes: &ScopePath, now_ms: u64) {
        for rule in self.rules.load().iter().filter(|rule| rule.event == event) {
            if let Some(reference) = rule.reference(task, scopes) {
                self.counts.change((*rule, reference), now_ms, Count::default(), |count| count.add(rule, now_ms));
            }
        }
    }
}

impl CounterRule {
    fn reference(&self, task: Option<Reference>, scopes: &ScopePath) -> Option<Reference> {
        match self.by {
            CounterBy::Task => task,
            CounterBy::Scope(kind) => scopes.of(kind),
        }
    }

    /// The number of the part of the window that a moment lies in.
    fn part(&self, now_ms: u64) -> Option<u64> {
        let length = u64::from(self.window_seconds).saturating_mul(1_000).div_ceil(PARTS as u64);
        now_ms.checked_div(length)
    }
}

impl Count {
    fn add(&mut self, rule: &CounterRule, now_ms: u64) {
        self.total = self.total.saturating_add(1);
        let Some(part) = rule.part(now_ms) else {
            return;
        };
        let place = usize::try_from(part).ok().and_then(|part| part.checked_rem(PARTS)).unwrap_or(0);
        if let Some((number, count)) = self.parts.get_mut(place) {
            if *number != part {
                (*number, *count) = (part, 0);
            }
            *count = count.saturating_add(1);
        }
    }

    fn read(&self, rule: &CounterRule, now_ms: u64) -> u64 {
        let Some(part) = rule.part(now_ms) else {
            return self.total;
        };
        let recent = |&&(number, _): &&(u64, u64)| part.saturating_sub(number) < PARTS as u64;
        self.parts.iter().filter(recent).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_forgets_what_left_its_window() {
        let rule = CounterRule {
            name: Symbol::from_u32(1),
            event: CounterEvent::Dispatch,
            by: CounterBy::Task,
            window_seconds: 16,
        };
        let counters = Counters::new(vec![rule, CounterRule { window_seconds: 0, ..rule }], 10);
        let mut dispatch = Dispatch { task: Some(Reference::of("task")), ..Dispatch::default() };
        for now_ms in [20_000, 21_000, 30_000] {
            dispatch.now_ms = now_ms;
            counters.count_dispatch(&dispatch, false);
            counters.count_dispatch(&dispatch, true);
        }
        let read = |now_ms| {
            let mut into = Vec::new();
            counters.read(dispatch.task, &dispatch.scopes, now_ms, &mut into);
            into.into_iter().map(|(_, count)| count).collect::<Vec<_>>()
        };
        assert_eq!(read(30_000), [3, 3]);
        assert_eq!(read(36_500), [2, 3]);
        assert_eq!(read(90_000), [0, 3]);
        counters.declare(vec![CounterRule { window_seconds: 0, ..rule }]);
        assert_eq!(read(90_000), [3], "another generation of policies declares it and finds what was counted");
    }
}
