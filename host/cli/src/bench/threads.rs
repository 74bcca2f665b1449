//! Two threads: how much more they do than one, for decisions and for bare core calls.
//!
//! The four are measured in turns of a few milliseconds, and each round gives both speed-ups. A neighbour that takes
//! a processor for a second spoils some rounds of both, and the median over hundreds of rounds is of the others.

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
/// Dispatches that are informed and decided together: enough to make reading the clock nothing, few enough that what
/// was just read is still near.
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

/// What one thread did in each turn, per second; 0 where it had to wait.
type Rates = Vec<[f64; ROUND.len()]>;

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
    let counted = || first.iter().zip(&second).skip(WARM_UP);
    let speedup = |alone: usize, both: usize| {
        let mut speedups: Vec<f64> =
            counted().map(|(first, second)| (first[both] + second[both]) / first[alone]).collect();
        median(&mut speedups)
    };
    Ok(Speedups { core: speedup(0, 1), decision: speedup(2, 3) })
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
    fn work(&mut self, first: bool, rounds: usize, barrier: &Barrier) -> anyhow::Result<Rates> {
        let rounds: Vec<_> = (0..rounds).map(|_| self.round(first, barrier)).collect();
        Ok(rounds.into_iter().collect::<Result<_, _>>()?)
    }

    fn round(&mut self, first: bool, barrier: &Barrier) -> Result<[f64; ROUND.len()], ControlError> {
        let mut rates = [0.0; ROUND.len()];
        let mut failed = None;
        for (turn, rate) in ROUND.iter().zip(&mut rates) {
            barrier.wait();
            match turn {
                Turn::Core { both } if first || *both => match self.core_calls_per_second() {
                    Ok(calls) => *rate = calls,
                    Err(error) => failed = Some(error),
                },
                Turn::Decision { both } if first || *both => *rate = self.decisions_per_second(),
                _ => {}
            }
        }
        // At the end as well: the one who has the next round's first turn for itself has to be alone.
        barrier.wait();
        failed.map_or(Ok(rates), Err)
    }

    fn core_calls_per_second(&mut self) -> Result<f64, ControlError> {
        let started = self.clock.now();
        let mut calls = 0_u32;
        while started.elapsed() < TURN {
            for scalars in &self.arguments {
                black_box(self.core.call(black_box(*scalars))?);
                calls += 1;
            }
        }
        Ok(f64::from(calls) / started.elapsed().as_secs_f64())
    }

    /// The facts of a few dispatches are read live just before, outside of the time that counts.
    fn decisions_per_second(&mut self) -> f64 {
        let (mut decisions, mut spent) = (0_u32, Duration::ZERO);
        let started = self.clock.now();
        while started.elapsed() < TURN {
            for few in self.dispatches.chunks_mut(FEW) {
                for dispatch in &mut *few {
                    self.measured.inform(dispatch);
                }
                let begin = self.clock.now();
                for dispatch in &*few {
                    drop(black_box(self.host.decide(black_box(dispatch))));
                    decisions += 1;
                }
                spent += begin.elapsed();
            }
        }
        f64::from(decisions) / spent.as_secs_f64()
    }
}
