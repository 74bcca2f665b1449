//! Two threads: how much more they do than one, for decisions and for bare core calls.
//!
//! The four are measured in turns of a few milliseconds, and time is taken of blocks of some 50 µs. A thread's rate is that
//! of its median block, so that a block in which a neighbour took the processor away counts as one block, and what the
//! two threads cost each other, in every block, counts in full.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use quanta::Clock;
use tollgate_core::Dispatch;
use tollgate_runtime::Host;
use tollgate_runtime::control::{BareEngine, ControlError, CoreCall, MeasuredDecision, Scalars, scalars};

use super::median;

/// One turn: many decisions, and shorter than a scheduler's patience.
const TURN: Duration = Duration::from_millis(4);
/// Dispatches that are informed and then decided as one block: enough to make reading the clock nothing, few enough that
/// what was just read is still near.
const FEW: usize = 16;
/// Turns that count as warming up, in rounds.
const WARM_UP: usize = 4;

pub(super) struct Speedups {
    pub(super) core: f64,
    pub(super) decision: f64,
}

/// What a turn does, and whether the second thread does it as well.
#[derive(Clone, Copy)]
enum Turn {
    Core { both: bool },
    Decision { both: bool },
}

const ROUND: [Turn; 4] = [
    Turn::Core { both: false },
    Turn::Core { both: true },
    Turn::Decision { both: false },
    Turn::Decision { both: true },
];

/// Nanoseconds for one operation, block by block, of each turn of a round.
type Blocks = [Vec<f64>; ROUND.len()];

pub(super) fn measure(
    host: &Host,
    measured: &MeasuredDecision,
    bare: &BareEngine,
    time: Duration,
) -> anyhow::Result<Speedups> {
    let rounds = usize::try_from(time.as_millis() / (TURN.as_millis() * ROUND.len() as u128))?.max(16);
    let barrier = Barrier::new(2);
    let (mut first, mut second) = (Worker::new(host, measured, bare)?, Worker::new(host, measured, bare)?);
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| second.work(false, WARM_UP + rounds, &barrier));
        (first.work(true, WARM_UP + rounds, &barrier), second.join())
    });
    let (first, second) = (first?, second.map_err(|_| anyhow::anyhow!("the second thread panicked"))??);
    let [mut core_alone, mut core_first, mut alone, mut decision_first] = first;
    let [_, mut core_second, _, mut decision_second] = second;
    let per_nanosecond = |blocks: &mut Vec<f64>| 1.0 / median(blocks);
    let speedup = |alone: &mut Vec<f64>, first: &mut Vec<f64>, second: &mut Vec<f64>| {
        (per_nanosecond(first) + per_nanosecond(second)) / per_nanosecond(alone)
    };
    Ok(Speedups {
        core: speedup(&mut core_alone, &mut core_first, &mut core_second),
        decision: speedup(&mut alone, &mut decision_first, &mut decision_second),
    })
}

struct Worker<'a> {
    host: &'a Host,
    measured: &'a MeasuredDecision,
    dispatches: Vec<Dispatch>,
    arguments: Vec<Scalars>,
    core: CoreCall,
    clock: Clock,
}

impl<'a> Worker<'a> {
    fn new(host: &'a Host, measured: &'a MeasuredDecision, bare: &BareEngine) -> anyhow::Result<Self> {
        Ok(Self {
            host,
            measured,
            dispatches: measured.copy(),
            arguments: measured.dispatches().iter().map(scalars).collect(),
            core: bare.core_call()?,
            clock: Clock::new(),
        })
    }

    /// Every round, also after a failure: the other thread waits at the barrier.
    fn work(&mut self, first: bool, rounds: usize, barrier: &Barrier) -> Result<Blocks, ControlError> {
        let mut blocks = Blocks::default();
        let mut failed = None;
        for round in 0..rounds {
            for (turn, blocks) in ROUND.iter().zip(&mut blocks) {
                barrier.wait();
                match turn {
                    Turn::Core { both } if first || *both => {
                        failed = self.call(blocks).err().or(failed);
                    }
                    Turn::Decision { both } if first || *both => self.decide(blocks),
                    _ => {}
                }
                if round < WARM_UP {
                    blocks.clear();
                }
            }
            // At the end as well: the one who has the next round's first turn for itself has to be alone.
            barrier.wait();
        }
        failed.map_or(Ok(blocks), Err)
    }

    fn call(&mut self, blocks: &mut Vec<f64>) -> Result<(), ControlError> {
        let started = self.clock.now();
        while started.elapsed() < TURN {
            let begin = self.clock.now();
            for scalars in &self.arguments {
                black_box(self.core.call(black_box(*scalars))?);
            }
            blocks.push(nanoseconds_each(begin.elapsed(), self.arguments.len()));
        }
        Ok(())
    }

    /// The facts of a few dispatches are read live just before, outside of the time that counts.
    fn decide(&mut self, blocks: &mut Vec<f64>) {
        let started = self.clock.now();
        for few in (0..self.dispatches.len()).step_by(FEW).cycle() {
            let few = &mut self.dispatches[few..few + FEW];
            for dispatch in &mut *few {
                self.measured.inform(dispatch);
            }
            let begin = self.clock.now();
            for dispatch in &*few {
                drop(black_box(self.host.decide(black_box(dispatch))));
            }
            blocks.push(nanoseconds_each(begin.elapsed(), FEW));
            if started.elapsed() >= TURN {
                break;
            }
        }
    }
}

fn nanoseconds_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}
