//! What a run found: one line for each bound, and all figures as a line of JSON.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::{Phase, Seen};
use crate::{Arguments, Reloaded, Told};

const P999_OF_CONTROL: f64 = 3.0;
const MEMORY_GROWTH: f64 = 0.05;
/// Below so many the second tenth is still warming up: memory is told and not judged.
const RELOADS_TO_JUDGE_MEMORY: usize = 500;

/// Prints it. The exit status is 1 where a bound was missed.
pub(crate) fn tell(arguments: &Arguments, told: &Told, reloaded: &Reloaded, seen: &Seen, seconds: u64) -> ExitCode {
    let (second_tenth, last_tenth) = memory_growth(&reloaded.memory_kib);
    let growth = last_tenth / second_tenth - 1.0;
    let quantile = |phase: Phase, share: f64| seen.latencies(phase).quantile(share) as f64 / 1_000.0;
    let p999_of_control = quantile(Phase::Reloading, 0.999) / quantile(Phase::Control, 0.999);
    let mixed = seen.mixed(&reloaded.good);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (quarantined, returned) = (count(&told.quarantined), count(&told.returned));

    for surprise in reloaded.surprises.iter().take(5) {
        println!("       {surprise}");
    }
    let memory = format!("memory of the last tenth over the second: {:+.1} %", growth * 100.0);
    let mut bounds = Bounds::default();
    bounds.hold(seen.lost() == 0, &format!("lost decisions: {} of {} (none)", seen.lost(), seen.decisions()));
    bounds.hold(mixed == 0, &format!("generations that decided mixed: {mixed} of {} (none)", seen.generations()));
    bounds
        .hold(reloaded.surprises.is_empty(), &format!("reloads with a surprise: {} (none)", reloaded.surprises.len()));
    bounds.hold(count(&told.impure) == 0, &format!("impure evaluations: {} (none)", count(&told.impure)));
    bounds.hold(
        p999_of_control <= P999_OF_CONTROL,
        &format!("99.9th percentile over the control's: {p999_of_control:.2} (at most {P999_OF_CONTROL})"),
    );
    if reloaded.memory_kib.len() >= RELOADS_TO_JUDGE_MEMORY {
        bounds.hold(growth.abs() <= MEMORY_GROWTH, &format!("{memory} (within {} %)", MEMORY_GROWTH * 100.0));
    } else {
        println!("       {memory} (judged from {RELOADS_TO_JUDGE_MEMORY} reloads on)");
    }
    if arguments.trapping {
        bounds.hold(
            quarantined > 0 && returned > 0,
            &format!("quarantined {quarantined}, returned {returned} (both seen)"),
        );
    } else {
        bounds.hold(quarantined == 0, &format!("policies in quarantine: {quarantined} (none)"));
    }

    let figures = serde_json::json!({
        "task": "soak reload", "trapping": arguments.trapping, "rate": arguments.rate, "seconds": seconds,
        "reloads": reloaded.memory_kib.len(), "good": reloaded.good.len() - 1,
        "broken": reloaded.refused[0], "hostile": reloaded.refused[1], "half_written": reloaded.refused[2],
        "surprises": reloaded.surprises.len(),
        "decisions": seen.decisions(), "lost": seen.lost(), "mixed": mixed, "generations": seen.generations(),
        "p50_us": quantile(Phase::Reloading, 0.5), "p99_us": quantile(Phase::Reloading, 0.99),
        "p999_us": quantile(Phase::Reloading, 0.999), "max_us": quantile(Phase::Reloading, 1.0),
        "control_p50_us": quantile(Phase::Control, 0.5), "control_p99_us": quantile(Phase::Control, 0.99),
        "control_p999_us": quantile(Phase::Control, 0.999), "control_max_us": quantile(Phase::Control, 1.0),
        "p999_of_control": p999_of_control,
        "second_tenth_kib": second_tenth.round(), "last_tenth_kib": last_tenth.round(), "memory_growth": growth,
        "trapped": seen.trapped(), "quarantined": quarantined, "returned": returned,
        "missed": bounds.missed,
    });
    println!("{figures}");
    if bounds.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Bounds {
    missed: u32,
}

impl Bounds {
    fn hold(&mut self, held: bool, bound: &str) {
        self.missed += u32::from(!held);
        println!("{} {bound}", if held { "held  " } else { "MISSED" });
    }
}

/// The mean of the second tenth and of the last one.
fn memory_growth(memory_kib: &[u64]) -> (f64, f64) {
    let tenth = memory_kib.len() / 10;
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    (mean(&memory_kib[tenth..2 * tenth]), mean(&memory_kib[memory_kib.len() - tenth..]))
}
