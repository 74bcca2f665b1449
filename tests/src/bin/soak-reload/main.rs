//! Reloads under load: good, broken, hostile and half-written files in turn, through the watcher, while decisions are asked
//! for at a fixed rate whatever the last ones took. Each is timed from the moment it was meant to start.
//!
//! Blocks of reloads and blocks of a control take turns, so that whatever else the machine does meets both: the control
//! burns the processor time of the block before it, on as many threads, and reloads nothing. Every decision says by which
//! configuration it was made, twice over; a mixture of two would show.
//!
//! `--reloads 1000 --rate 20000`, and `--trapping` for a chain with a guest that traps on one dispatch in a hundred. The
//! last line is one of JSON; the exit status says whether the bounds held. It reads `/proc`, so it runs on Linux.
#![expect(clippy::disallowed_methods, reason = "it times itself: figures for a person, no decision rests on them")]
#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a long test: what goes wrong ends it, and what it says is printed"
)]

mod burn;
mod files;
mod histogram;
mod load;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use std::{env, thread};

use tollgate_runtime::{Event, Host, Look, Watcher};

use burn::{Cost, process_ns, resident_kib};
use files::{Files, Turn};
use load::{Load, Phase, Seen};

/// Reloads of a block: long enough for thousands of decisions, short enough for a neighbour to meet both kinds.
const BLOCK: u64 = 20;
/// The bounds.
const P999_OF_CONTROL: f64 = 3.0;
const MEMORY_GROWTH: f64 = 0.05;

struct Arguments {
    reloads: u64,
    rate: u64,
    trapping: bool,
}

/// What was told while it ran.
#[derive(Default)]
struct Told {
    quarantined: AtomicU64,
    returned: AtomicU64,
    impure: AtomicU64,
}

/// What became of the reloads.
#[derive(Default)]
struct Reloaded {
    /// By generation, the number that its configuration says.
    good: Vec<(u64, u32)>,
    refused: [u64; 3],
    /// Looks that came to something else than they should.
    surprises: Vec<String>,
    memory_kib: Vec<u64>,
}

fn main() -> ExitCode {
    let arguments = arguments();
    let told = Arc::new(Told::default());
    let mut files = Files::create(arguments.trapping);
    let host = Arc::new(host(&files, &told));
    let mut watcher = Watcher::new(&host, files.configuration());
    assert!(matches!(watcher.look(), Look::Quiet));

    let load = Load::new(arguments.rate, arguments.trapping);
    let mut reloaded = Reloaded { good: vec![(1, files.number())], ..Reloaded::default() };
    let began = Instant::now();
    let seen = thread::scope(|scope| {
        let threads: Vec<_> = (0..load.threads()).map(|_| scope.spawn(|| load.run(&host))).collect();
        for block in 0..arguments.reloads.div_ceil(BLOCK) {
            let first = block * BLOCK;
            load.enter(Phase::Reloading);
            let costs = (first..arguments.reloads.min(first + BLOCK))
                .map(|turn| reload(&mut files, &mut watcher, Turn::of(turn), &load, &mut reloaded))
                .collect::<Vec<_>>();
            load.enter(Phase::Control);
            costs.iter().for_each(Cost::burn);
            eprint!("\r{} of {} reloads, {} s", first + BLOCK, arguments.reloads, began.elapsed().as_secs());
        }
        eprintln!();
        load.enter(Phase::Done);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    files.remove();
    report(&arguments, &told, &reloaded, &Seen::of_all(seen), began.elapsed().as_secs())
}

fn arguments() -> Arguments {
    let given: Vec<String> = env::args().collect();
    let number = |name: &str, default: u64| {
        let value = given.iter().skip_while(|argument| *argument != name).nth(1);
        value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("`{name} {value}` is no number")))
    };
    Arguments {
        reloads: number("--reloads", 1_000).max(20),
        rate: number("--rate", 20_000).max(1),
        trapping: given.iter().any(|argument| argument == "--trapping"),
    }
}

fn host(files: &Files, told: &Arc<Told>) -> Host {
    let counts = Arc::clone(told);
    let listener = move |event: &Event| {
        let count = match event {
            Event::PolicyQuarantined { .. } => &counts.quarantined,
            Event::PolicyReturned { .. } => &counts.returned,
            Event::PolicyImpure { .. } => &counts.impure,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    };
    let opened = Host::builder().on_event(listener).open(files.configuration());
    opened.unwrap_or_else(|error| panic!("the first configuration does not load: {error}"))
}

/// One change on disk, and looks until it is settled. What it cost, beside the load.
fn reload(files: &mut Files, watcher: &mut Watcher, turn: Turn, load: &Load, reloaded: &mut Reloaded) -> Cost {
    let (began, before) = (Instant::now(), process_ns() - load.processor_ns());
    files.change(turn);
    let became = loop {
        match watcher.look() {
            Look::Changing => {}
            became => break became,
        }
    };
    match (became, turn) {
        (Look::Reloaded(generation), Turn::Good) => reloaded.good.push((generation, files.number())),
        (Look::Failed(_), Turn::Broken(_)) => reloaded.refused[0] += 1,
        (Look::Failed(_), Turn::Hostile(_)) => reloaded.refused[1] += 1,
        (Look::Failed(_), Turn::HalfWritten) => reloaded.refused[2] += 1,
        (other, turn) => reloaded.surprises.push(format!("{turn:?} came to {other:?}")),
    }
    reloaded.memory_kib.push(resident_kib());
    let processor_ns = (process_ns() - load.processor_ns()).saturating_sub(before);
    Cost { wall: began.elapsed(), processor_ns }
}

/// How much the last tenth has over the second one.
fn memory_growth(memory_kib: &[u64]) -> (f64, f64) {
    let tenth = memory_kib.len() / 10;
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    (mean(&memory_kib[tenth..2 * tenth]), mean(&memory_kib[memory_kib.len() - tenth..]))
}

fn report(arguments: &Arguments, told: &Told, reloaded: &Reloaded, seen: &Seen, seconds: u64) -> ExitCode {
    let (second_tenth, last_tenth) = memory_growth(&reloaded.memory_kib);
    let growth = last_tenth / second_tenth - 1.0;
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1_000.0;
    let quantile = |phase: Phase, share: f64| microseconds(seen.latencies(phase).quantile(share));
    let p999 = quantile(Phase::Reloading, 0.999);
    let control_p999 = quantile(Phase::Control, 0.999);
    let mixed = seen.mixed(&reloaded.good);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let shut_and_back = count(&told.quarantined) > 0 && count(&told.returned) > 0;
    let held = seen.lost() == 0
        && mixed == 0
        && reloaded.surprises.is_empty()
        && count(&told.impure) == 0
        && p999 <= P999_OF_CONTROL * control_p999
        && growth.abs() <= MEMORY_GROWTH
        && arguments.trapping == shut_and_back;
    for surprise in reloaded.surprises.iter().take(5) {
        eprintln!("{surprise}");
    }
    let figures = serde_json::json!({
        "task": "soak reload", "trapping": arguments.trapping, "rate": arguments.rate, "seconds": seconds,
        "reloads": reloaded.memory_kib.len(), "good": reloaded.good.len() - 1,
        "broken": reloaded.refused[0], "hostile": reloaded.refused[1], "half_written": reloaded.refused[2],
        "surprises": reloaded.surprises.len(),
        "decisions": seen.decisions(), "lost": seen.lost(), "mixed": mixed, "generations": seen.generations(),
        "p50_us": quantile(Phase::Reloading, 0.5), "p99_us": quantile(Phase::Reloading, 0.99), "p999_us": p999,
        "max_us": quantile(Phase::Reloading, 1.0),
        "control_p50_us": quantile(Phase::Control, 0.5), "control_p99_us": quantile(Phase::Control, 0.99),
        "control_p999_us": control_p999, "control_max_us": quantile(Phase::Control, 1.0),
        "p999_of_control": p999 / control_p999,
        "second_tenth_kib": second_tenth.round(), "last_tenth_kib": last_tenth.round(), "memory_growth": growth,
        "trapped": seen.trapped(), "quarantined": count(&told.quarantined), "returned": count(&told.returned),
        "held": held,
    });
    println!("{figures}");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
