//! The load: decisions at a fixed rate, each timed from when it was meant to start.

use std::collections::BTreeSet;
use std::hint;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_core::{BudgetVerdict, Decision, Dispatch, Reference, RetryCeilingVerdict, ScopeKind, Verdict};
use tollgate_runtime::Host;
use tollgate_tests::{dispatch, marked};

use crate::burn::thread_ns;
use crate::histogram::Histogram;

/// Different dispatches, one of which is marked where there is a guest that traps on it.
const DISPATCHES: u32 = 100;
/// The keys they come from.
const KEYS: u32 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Reloading,
    Control,
    Done,
}

pub(crate) struct Load {
    interval: Duration,
    trapping: bool,
    phase: AtomicU8,
    processor_ns: AtomicU64,
}

/// What one thread saw.
pub(crate) struct Seen {
    latencies: [Histogram; 2],
    lost: u64,
    trapped: u64,
    /// Generations with the number their decisions said.
    said: BTreeSet<(u64, u32)>,
}

impl Load {
    pub(crate) fn new(rate: u64, trapping: bool) -> Self {
        let threads = threads();
        Self {
            interval: Duration::from_nanos(1_000_000_000 * threads / rate),
            trapping,
            phase: AtomicU8::new(Phase::Reloading as u8),
            processor_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn threads(&self) -> u64 {
        threads()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// What the load itself has spent.
    pub(crate) fn processor_ns(&self) -> u64 {
        self.processor_ns.load(Ordering::Relaxed)
    }

    /// Decides until the end. A decision that comes late makes the next ones late, and their lateness counts.
    pub(crate) fn run(&self, host: &Host) -> Seen {
        let mut dispatches = dispatches(host, self.trapping);
        let keys: Vec<_> = (0..KEYS).map(|key| Reference::of(&format!("key-{key}"))).collect();
        let start_ms = dispatches[0].now_ms;
        let mut seen = Seen::new();
        let (began, mut told_ns) = (Instant::now(), thread_ns());
        for turn in 0_u32.. {
            let meant = began + self.interval * turn;
            while Instant::now() < meant {
                hint::spin_loop();
            }
            let phase = self.phase.load(Ordering::Relaxed);
            if phase == Phase::Done as u8 {
                break;
            }
            let dispatch = &mut dispatches[(turn % DISPATCHES) as usize];
            dispatch.now_ms = start_ms + (meant - began).as_millis() as u64;
            // Each comes from every key in turn: failures of one key alone would shut nothing.
            dispatch.scopes.set(ScopeKind::Key, keys[(turn / DISPATCHES % KEYS) as usize]);
            let decision = host.decide(dispatch);
            seen.latencies[usize::from(phase)].add(meant.elapsed().as_nanos() as u64);
            seen.judge(&decision, self.trapping);
            if turn % 256 == 0 {
                let now_ns = thread_ns();
                self.processor_ns.fetch_add(now_ns - told_ns, Ordering::Relaxed);
                told_ns = now_ns;
            }
        }
        seen
    }
}

/// One processor is left for what reloads.
fn threads() -> u64 {
    thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).clamp(1, 4)) as u64
}

fn dispatches(host: &Host, trapping: bool) -> Vec<Dispatch> {
    let of = |number: u32| {
        let mut dispatch = if trapping && number == 0 { marked(host) } else { dispatch(host) };
        dispatch.attempts = Default::default();
        dispatch.scopes.set(ScopeKind::Run, Reference::of(&format!("run-{number}")));
        dispatch.task = Some(Reference::of(&format!("task-{number}")));
        dispatch
    };
    (0..DISPATCHES).map(of).collect()
}

impl Seen {
    fn new() -> Self {
        Self { latencies: [Histogram::new(), Histogram::new()], lost: 0, trapped: 0, said: BTreeSet::new() }
    }

    pub(crate) fn of_all(threads: Vec<Self>) -> Self {
        threads.into_iter().fold(Self::new(), |mut all, one| {
            all.latencies.iter_mut().zip(&one.latencies).for_each(|(all, one)| all.merge(one));
            (all.lost, all.trapped) = (all.lost + one.lost, all.trapped + one.trapped);
            all.said.extend(one.said);
            all
        })
    }

    /// Each decision has four verdicts of the shipped policies, and says its number four times.
    fn judge(&mut self, decision: &Decision, trapping: bool) {
        let (mut others, mut failed) = (0_u64, 0_u64);
        let mut numbers: [Option<u32>; 4] = [None; 4];
        let mut said = numbers.iter_mut();
        for entry in &decision.trail {
            match entry.verdict {
                Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds })
                | Verdict::Budget(BudgetVerdict::Slow { milliseconds }) => {
                    if let Some(number) = said.next() {
                        *number = Some(milliseconds);
                    }
                }
                Verdict::Failed(..) => failed += 1,
                _ => others += 1,
            }
        }
        // The trapping guest is of all four kinds: it answers or fails as each of them.
        let expected = if trapping { 8 } else { 4 };
        if others + failed != expected || (failed > 0 && !trapping) || failed > 4 {
            self.lost += 1;
        }
        self.trapped += u64::from(failed > 0);
        for number in numbers {
            match number {
                Some(number) => _ = self.said.insert((decision.generation, number)),
                None => self.lost += 1,
            }
        }
    }

    pub(crate) const fn latencies(&self, phase: Phase) -> &Histogram {
        &self.latencies[match phase {
            Phase::Reloading => 0,
            Phase::Control | Phase::Done => 1,
        }]
    }

    /// Decisions that were not made whole.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Decisions in which a guest failed or was left alone.
    pub(crate) const fn trapped(&self) -> u64 {
        self.trapped
    }

    pub(crate) fn decisions(&self) -> u64 {
        self.latencies.iter().map(Histogram::total).sum()
    }

    pub(crate) fn generations(&self) -> usize {
        self.said.len()
    }

    /// Generations whose decisions said another number than their configuration has.
    pub(crate) fn mixed(&self, good: &[(u64, u32)]) -> usize {
        self.said.iter().filter(|said| !good.contains(said)).count()
    }
}
