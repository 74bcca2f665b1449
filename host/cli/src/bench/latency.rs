//! One thread: how long a decision takes, and how long a bare core call.
//!
//! A core call is shorter than reading the clock, so its median is that of batches. A decision is timed by itself, so
//! that its 99th percentile is that of decisions and not of averages; what reading the clock costs is measured with it
//! and taken off. Nothing is thrown away: a decision that lost the processor in the middle counts with what it took.

use std::hint::black_box;
use std::time::Duration;

use quanta::Clock;
use serde::Serialize;
use tollgate_core::{Decision, Dispatch, PolicyKind};
use tollgate_runtime::Host;
use tollgate_runtime::control::{BareEngine, CoreCall, MeasuredDecision, Scalars, scalars};

use super::median;

/// Core calls in one batch: some 5 µs, far more than the clock's grain and far less than a turn on the processor.
const BATCH: usize = 256;
/// Decisions between one batch and the next, so that both see the same moods of the machine.
const SOME: usize = 64;
/// Rounds before the first that counts.
const WARM_UP: usize = 8;

pub(super) struct Latency {
    pub(super) decision_p50_ns: u32,
    pub(super) decision_p99_ns: u32,
    pub(super) core_call_p50_ns: f64,
    pub(super) facts_p50_ns: u32,
    pub(super) timer_ns: u32,
    pub(super) decisions: usize,
    pub(super) kinds: Vec<KindFigures>,
}

/// What one kind's policy took of the decision, clock readings included.
#[derive(Serialize)]
pub(super) struct KindFigures {
    pub(super) kind: &'static str,
    pub(super) p50_ns: u32,
    pub(super) fuel_p50: u64,
    pub(super) fuel_max: u64,
}

#[derive(Default)]
struct Samples {
    decisions: Vec<u32>,
    facts: Vec<u32>,
    core_calls: Vec<f64>,
    timer: Vec<u32>,
    kinds: Vec<(Vec<u32>, Vec<u64>)>,
}

/// Rounds of every dispatch once, with batches of core calls between them, until the time is over.
pub(super) fn measure(
    host: &Host,
    measured: &mut MeasuredDecision,
    bare: &BareEngine,
    time: Duration,
) -> anyhow::Result<Latency> {
    let clock = Clock::new();
    let mut core = bare.core_call()?;
    let mut dispatches = measured.copy();
    // Gathered before, so that a call's time has none of the dispatches' memory in it.
    let arguments: Vec<Scalars> = dispatches.iter().map(scalars).collect();
    for _ in 0..WARM_UP {
        round(&clock, host, measured, &mut dispatches, &arguments, &mut core, &mut Samples::new())?;
    }
    let mut samples = Samples::new();
    let started = clock.now();
    while started.elapsed() < time {
        round(&clock, host, measured, &mut dispatches, &arguments, &mut core, &mut samples)?;
    }
    Ok(samples.figures())
}

fn round(
    clock: &Clock,
    host: &Host,
    measured: &MeasuredDecision,
    dispatches: &mut [Dispatch],
    arguments: &[Scalars],
    core: &mut CoreCall,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    for (some, batch) in dispatches.chunks_mut(SOME).zip(arguments.chunks_exact(BATCH).cycle()) {
        for dispatch in some {
            let before = clock.raw();
            measured.inform(dispatch);
            let started = clock.raw();
            let decision = host.decide(black_box(dispatch));
            let ended = clock.raw();
            samples.take(nanoseconds(clock, before, started), nanoseconds(clock, started, ended), &decision);
        }
        // Decisions left nothing of the core call in the caches.
        core_calls(core, &batch[..BATCH / 4])?;
        let started = clock.raw();
        core_calls(core, batch)?;
        let ended = clock.raw();
        samples.core_calls.push(f64::from(nanoseconds(clock, started, ended)) / BATCH as f64);
        samples.timer.push(nanoseconds(clock, ended, clock.raw()));
    }
    Ok(())
}

fn core_calls(core: &mut CoreCall, arguments: &[Scalars]) -> anyhow::Result<()> {
    for scalars in arguments {
        black_box(core.call(black_box(*scalars))?);
    }
    Ok(())
}

/// The median decision of a host whose policies get a new instance for every evaluation.
pub(super) fn fresh(host: &Host, measured: &mut MeasuredDecision, time: Duration) -> u32 {
    let clock = Clock::new();
    measured.read_facts();
    let mut sample = Vec::new();
    let started = clock.now();
    while started.elapsed() < time {
        for dispatch in measured.dispatches().iter().take(64) {
            let before = clock.raw();
            let decision = host.decide(black_box(dispatch));
            sample.push(nanoseconds(&clock, before, clock.raw()));
            drop(decision);
        }
    }
    median(&mut sample)
}

fn nanoseconds(clock: &Clock, started: u64, ended: u64) -> u32 {
    u32::try_from(clock.delta_as_nanos(started, ended)).unwrap_or(u32::MAX)
}

impl Samples {
    fn new() -> Self {
        Self { kinds: PolicyKind::ALL.iter().map(|_| Default::default()).collect(), ..Self::default() }
    }

    fn take(&mut self, facts_ns: u32, decision_ns: u32, decision: &Decision) {
        self.facts.push(facts_ns);
        self.decisions.push(decision_ns);
        for ((times, fuel), entry) in self.kinds.iter_mut().zip(&decision.trail) {
            times.push(entry.nanoseconds);
            fuel.push(entry.fuel);
        }
    }

    fn figures(mut self) -> Latency {
        let timer_ns = median(&mut self.timer);
        let kind = |(kind, (mut times, mut fuel)): (&PolicyKind, (Vec<u32>, Vec<u64>))| KindFigures {
            kind: kind.as_str(),
            p50_ns: median(&mut times),
            fuel_p50: median(&mut fuel),
            fuel_max: fuel.last().copied().unwrap_or_default(),
        };
        Latency {
            decision_p50_ns: median(&mut self.decisions).saturating_sub(timer_ns),
            decision_p99_ns: super::quantile(&mut self.decisions, 0.99).saturating_sub(timer_ns),
            core_call_p50_ns: median(&mut self.core_calls),
            facts_p50_ns: median(&mut self.facts).saturating_sub(timer_ns),
            timer_ns,
            decisions: self.decisions.len(),
            kinds: PolicyKind::ALL.iter().zip(self.kinds).map(kind).collect(),
        }
    }
}
