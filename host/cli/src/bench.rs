//! `tollgate bench`: what a decision costs on this machine, beside a bare WebAssembly call on the same machine in
//! the same seconds. Machines are noisy, so what is compared is measured in turns of a few milliseconds, and what
//! is promised is a ratio.
//!
//! What is measured is fixed in [`tollgate_runtime::control`]. Inside a timed decision: [`Host::decide`] whole, from the
//! call to its return. Outside: reading the dispatch's facts from the live history just before, which has its own figure,
//! and dropping the decision.

mod latency;
mod load;
mod summary;
mod threads;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tollgate_core::config::{Isolation, Lane};
use tollgate_runtime::control::{BareEngine, MeasuredDecision, measured_configuration};
use tollgate_runtime::{Host, HostBuilder};

use crate::output;
use crate::setup::SetupArguments;
use latency::KindFigures;

/// What the design promises, for machines of any speed (ARCHITECTURE.md, "What a call costs").
const DECISION_IN_CORE_CALLS: f64 = 25.0;
const CANONICAL_IN_CORE_CALLS: f64 = 60.0;
const P99_IN_MEDIANS: f64 = 4.0;
const THREADS_2_OF_CORE: f64 = 0.9;

/// Of the seconds: for latency, on each lane, and for threads; the rest is for fresh instances.
const LATENCY_SHARE: f64 = 0.3;
const CANONICAL_SHARE: f64 = 0.25;
const THREADS_SHARE: f64 = 0.35;

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// A folder with plugins, searched before `$TOLLGATE_PLUGINS` and the `plugins` folder beside this program.
    #[arg(long, value_name = "FOLDER")]
    plugins: Option<PathBuf>,
    /// How long to measure. Longer is steadier on a machine with other work.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Print only the line of JSON that the table ends with.
    #[arg(long)]
    json: bool,
}

/// What was measured. Times are medians unless the name says otherwise.
#[derive(Serialize)]
struct Figures {
    decision_p50_ns: u32,
    decision_p99_ns: u32,
    core_call_p50_ns: f64,
    decision_in_core_calls: f64,
    /// The same where no policy lends its facts.
    decision_canonical_p50_ns: u32,
    decision_canonical_in_core_calls: f64,
    /// How each policy is called, in the order of the chain.
    lanes: Vec<String>,
    core_threads_2_speedup: f64,
    threads_2_speedup: f64,
    fresh_p50_ns: u32,
    load_cached_ms: f64,
    load_cold_ms: f64,
    /// Reading one dispatch's facts from the history, which is not part of the decision.
    facts_p50_ns: u32,
    /// Reading the clock twice: taken off each single time above.
    timer_ns: u32,
    decisions: usize,
    kinds: Vec<KindFigures>,
    /// The promises that did not hold.
    missed: Vec<String>,
}

pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    let figures = measure(arguments)?;
    if !arguments.json {
        output::print(&summary::render(&figures))?;
    }
    output::print(&format!("{}\n", serde_json::to_string(&figures)?))?;
    match figures.missed.as_slice() {
        [] => Ok(()),
        missed => bail!("{}", missed.join("; ")),
    }
}

fn measure(arguments: &BenchArguments) -> anyhow::Result<Figures> {
    let share = |share: f64| Duration::from_secs(u64::from(arguments.seconds)).mul_f64(share);
    let host = host(arguments, Isolation::Pooled, Lane::Auto)?;
    let bare = BareEngine::new()?;
    let mut measured = MeasuredDecision::prepare(&host)?;

    let latency = latency::measure(&host, &mut measured, &bare, share(LATENCY_SHARE))?;
    let threads = threads::measure(&host, &measured, &bare, share(THREADS_SHARE))?;
    let canonical_host = self::host(arguments, Isolation::Pooled, Lane::Canonical)?;
    let mut canonical_measured = MeasuredDecision::prepare(&canonical_host)?;
    let canonical = latency::measure(&canonical_host, &mut canonical_measured, &bare, share(CANONICAL_SHARE))?;
    let fresh_host = self::host(arguments, Isolation::Fresh, Lane::Auto)?;
    let mut fresh_measured = MeasuredDecision::prepare(&fresh_host)?;
    let fresh =
        latency::fresh(&fresh_host, &mut fresh_measured, share(1.0 - LATENCY_SHARE - CANONICAL_SHARE - THREADS_SHARE));
    let load = load::measure(|| builder(arguments), arguments.seconds)?;

    let mut figures = Figures {
        decision_p50_ns: latency.decision_p50_ns,
        decision_p99_ns: latency.decision_p99_ns,
        core_call_p50_ns: round(latency.core_call_p50_ns),
        decision_in_core_calls: round(f64::from(latency.decision_p50_ns) / latency.core_call_p50_ns),
        decision_canonical_p50_ns: canonical.decision_p50_ns,
        decision_canonical_in_core_calls: round(f64::from(canonical.decision_p50_ns) / canonical.core_call_p50_ns),
        lanes: host.policies().iter().map(|about| about.lane.to_string()).collect(),
        core_threads_2_speedup: round(threads.core),
        threads_2_speedup: round(threads.decision),
        fresh_p50_ns: fresh,
        load_cached_ms: round(load.cached_ms),
        load_cold_ms: round(load.cold_ms),
        facts_p50_ns: latency.facts_p50_ns,
        timer_ns: latency.timer_ns,
        decisions: latency.decisions,
        kinds: latency.kinds,
        missed: Vec::new(),
    };
    figures.missed = missed(&figures);
    Ok(figures)
}

/// The promises that these figures do not keep.
fn missed(figures: &Figures) -> Vec<String> {
    let p99 = f64::from(figures.decision_p99_ns) / f64::from(figures.decision_p50_ns.max(1));
    let scaling = figures.threads_2_speedup / figures.core_threads_2_speedup;
    let mut missed = Vec::new();
    let mut expect = |holds: bool, text: String| {
        if !holds {
            missed.push(text);
        }
    };
    expect(
        figures.decision_in_core_calls <= DECISION_IN_CORE_CALLS,
        format!("a decision costs {} core calls, more than {DECISION_IN_CORE_CALLS}", figures.decision_in_core_calls),
    );
    expect(
        figures.decision_canonical_in_core_calls <= CANONICAL_IN_CORE_CALLS,
        format!(
            "through the canonical ABI it costs {} core calls, more than {CANONICAL_IN_CORE_CALLS}",
            figures.decision_canonical_in_core_calls
        ),
    );
    expect(p99 <= P99_IN_MEDIANS, format!("the 99th percentile is {p99:.1} medians, more than {P99_IN_MEDIANS}"));
    expect(
        scaling >= THREADS_2_OF_CORE,
        format!(
            "two threads speed decisions up by {scaling:.2} of what they do for core calls, less than {THREADS_2_OF_CORE}"
        ),
    );
    missed
}

fn builder(arguments: &BenchArguments) -> anyhow::Result<HostBuilder> {
    let setup = SetupArguments { config: None, plugins: arguments.plugins.clone() };
    setup.host_builder()
}

fn host(arguments: &BenchArguments, isolation: Isolation, lane: Lane) -> anyhow::Result<Host> {
    let mut configuration = measured_configuration();
    for policy in &mut configuration.policies {
        policy.isolation = isolation;
        policy.lane = lane;
    }
    builder(arguments)?.build(&configuration).context("the shipped policies are what is measured")
}

/// Two digits after the point: more would be noise.
fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

/// The value below which that share of the sample lies; sorts it.
fn quantile<T: Copy + Default + PartialOrd>(sample: &mut [T], share: f64) -> T {
    sample.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a sample"
    )]
    let place = (sample.len() as f64 * share) as usize;
    sample.get(place.min(sample.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn median<T: Copy + Default + PartialOrd>(sample: &mut [T]) -> T {
    quantile(sample, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_sample() {
        let mut sample: Vec<u32> = (0..100).rev().collect();
        assert_eq!((median(&mut sample), quantile(&mut sample, 0.99), quantile(&mut sample, 1.0)), (50, 99, 99));
        assert_eq!(median::<u32>(&mut []), 0);
    }
}
