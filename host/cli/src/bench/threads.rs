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
use tollgate_runtime::control::{BareEngine, CoreCall, MeasuredDecision, scalars};

use super::median;

/// One turn: many decisions, and shorter than a scheduler's patience.
const TURN: Duration = Duration::from_millis(4);
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
    let worker = |first: bool| -> anyhow::Result<Rates> {
        let mut worker =
            Worker { host, measured, dispatches: measured.copy(), core: bare.core_call()?, clock: Clock::new() };
        (0..WARM_UP + rounds).map(|_| worker.round(first, &barrier)).collect()
    };
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| worker(false));
        (worker(true), second.join())
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
    core: CoreCall,
    clock: Clock,
}

impl Worker<'_> {
    fn round(&mut self, first: bool, barrier: &Barrier) -> anyhow::Result<[f64; ROUND.len()]> {
        let mut rates = [0.0; ROUND.len()];
        for (turn, rate) in ROUND.iter().zip(&mut rates) {
            barrier.wait();
            *rate = match turn {
                Turn::Core { both } if first || *both => self.core_calls_per_second()?,
                Turn::Decision { both } if first || *both => self.decisions_per_second(),
                _ => 0.0,
            };
        }
        // Waiting at the end as well: whoever is alone in the next round's first turn has to be.
        barrier.wait();
        Ok(rates)
    }

    fn core_calls_per_second(&mut self) -> anyhow::Result<f64> {
        let started = self.clock.now();
        let mut calls = 0_u32;
        while started.elapsed() < TURN {
            for dispatch in &self.dispatches {
                black_box(self.core.call(black_box(scalars(dispatch)))?);
                calls += 1;
            }
        }
        Ok(f64::from(calls) / started.elapsed().as_secs_f64())
    }

    /// Facts are read live before each pass and outside of its time.
    fn decisions_per_second(&mut self) -> f64 {
        let (mut decisions, mut spent) = (0_u32, Duration::ZERO);
        let started = self.clock.now();
        while started.elapsed() < TURN {
            for dispatch in &mut self.dispatches {
                self.measured.inform(dispatch);
            }
            let pass = self.clock.now();
            for dispatch in &self.dispatches {
                drop(black_box(self.host.decide(black_box(dispatch))));
                decisions += 1;
            }
            spent += pass.elapsed();
        }
        f64::from(decisions) / spent.as_secs_f64()
    }
}
