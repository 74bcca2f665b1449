//! Reloads under load: good, broken, hostile and half-written files in turn, through the watcher, while decisions are asked
//! for at a fixed rate whatever the last ones took. Each is timed from the moment it was meant to start.
//!
//! Blocks of reloads and blocks of a control take turns, so that whatever else the machine does meets both: the control
//! burns the processor time of the block before it, on as many threads, and reloads nothing. Every decision says by which
//! configuration it was made, twice over; a mixture of two would show.
//!
//! `--reloads 1000 --rate 20000`, and `--trapping` for a chain with a guest that traps on one dispatch in a hundred. A line
//! says of each bound whether it held, the last line is all figures as JSON, and the exit status is 1 where a bound was missed. It reads `/proc`, so it runs on Linux.
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
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use tollgate_runtime::{Event, Host, Look, Watcher};

use burn::{Cost, process_ns, resident_kib};
use files::{Files, Turn};
use load::{Load, Phase, Seen};

/// Reloads of a block: long enough for thousands of decisions, short enough for a neighbour to meet both kinds.
const BLOCK: u64 = 20;
/// Blocks from one line of progress to the next.
const BLOCKS_OF_A_LINE: usize = 3;

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
            tell_progress(arguments.reloads, &reloaded, began.elapsed());
        }
        load.enter(Phase::Done);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    files.remove();
    report::tell(&arguments, &told, &reloaded, &Seen::of_all(seen), began.elapsed().as_secs())
}

/// Reloads take what compiling takes, so the time that is left is as much a guess as the machine is busy.
fn tell_progress(reloads: u64, reloaded: &Reloaded, elapsed: Duration) {
    let done = reloaded.memory_kib.len();
    if done.is_multiple_of(BLOCK as usize * BLOCKS_OF_A_LINE) {
        let left = elapsed.as_secs() * (reloads - done as u64) / done as u64;
        let mebibytes = reloaded.memory_kib.last().map_or(0, |kibibytes| kibibytes / 1_024);
        let surprises = reloaded.surprises.len();
        eprintln!(
            "{done} of {reloads} reloads in {} s, some {left} s to go; {mebibytes} MiB resident, {surprises} surprises",
            elapsed.as_secs()
        );
    }
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
