//! What the gateway adds to a call, beside Envoy as a plain proxy and LiteLLM's proxy: the same requests, the same simulated
//! provider, the same machine, in turns within one run. The gateway has everything switched on: policies, reservations on four
//! budgets, metering, settlement in the ledger.
//!
//! `--rounds 5 --seconds 2 --peers <folder with bin/envoy and bin/litellm>`; `--without-litellm` leaves out the slowest, `--asked
//! plain` or `stream` and `--connections 1` or `32` leave out the other loads.

mod load;
mod peers;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Arguments;
use crate::process::{Program, processor_time, resident_kib};
use crate::site::{ALL_MODELS, Folder, Gateway, Provider, configuration};
use crate::verdict::{Verdict, quantile};
use load::{Asked, Measured};

/// What is held: of Envoy's added median at one connection, and of its requests for the same processor time at 32.
const ADDED_OF_ENVOY: f64 = 1.0;
const REQUESTS_OF_ENVOY: f64 = 0.7;

/// One way to the provider.
struct Way {
    name: &'static str,
    address: SocketAddr,
    /// The process between; nothing where there is none.
    process: Option<u32>,
}

/// What all rounds measured of one way and load.
#[derive(Default)]
struct Figures {
    median_us: Vec<f64>,
    p99_us: Vec<f64>,
    requests_a_second: Vec<f64>,
    processor_us: Vec<f64>,
}

/// What is asked for, over how many connections.
type Load = (Asked, usize);

const LOADS: [Load; 4] = [(Asked::Plain, 1), (Asked::Stream, 1), (Asked::Plain, 32), (Asked::Stream, 32)];

pub(crate) fn run(arguments: &Arguments) -> Verdict {
    let (rounds, seconds) = (arguments.number("--rounds", 5).max(1), arguments.number("--seconds", 2).max(1));
    let folder = Folder::new();
    let provider = Provider::start(&folder, 1);
    std::fs::write(folder.path("tollgate.toml"), configuration(&ALL_MODELS, 1, provider.address)).unwrap();
    let gateway = Gateway::start(&folder);
    let mut ways = vec![
        Way { name: "direct", address: provider.address, process: None },
        Way { name: "tollgate", address: gateway.address, process: Some(gateway.id()) },
    ];
    let mut running: Vec<Program> = Vec::new();
    if let Some(peers) = arguments.text("--peers").map(Path::new) {
        let litellm = (!arguments.has("--without-litellm")).then_some(peers::litellm as peers::Start);
        for (name, start) in [("envoy", Some(peers::envoy as peers::Start)), ("litellm", litellm)] {
            let Some(start) = start else { continue };
            let (program, address) = start(peers, &folder, provider.address);
            ways.push(Way { name, address, process: Some(program.id()) });
            running.push(program);
        }
    }
    let loads = loads(arguments);
    let figures = measure(&ways, &loads, rounds, Duration::from_secs(seconds));
    let mut verdict = Verdict::new("bench-gateway");
    verdict.figure("rounds", rounds);
    verdict.figure("seconds", seconds);
    verdict.figure("durability", "process: a reservation outlives the process at once and the machine within 50 ms");
    println!("durability: process (a reservation outlives the process at once, and a power loss after 50 ms)");
    print(&ways, &loads, &figures);
    verdict.figure("table", table(&ways, &loads, &figures));
    hold(&ways, &loads, &figures, &mut verdict);
    gateway.end();
    provider.end();
    verdict
}

/// By load, then by way.
fn measure(ways: &[Way], loads: &[Load], rounds: u64, time: Duration) -> Vec<Vec<Figures>> {
    let mut all: Vec<Vec<Figures>> = loads.iter().map(|_| ways.iter().map(|_| Figures::default()).collect()).collect();
    for way in ways {
        // Whatever is made at the first call is made.
        load::measure(way.address, Asked::Plain, 2, time / 2);
        load::measure(way.address, Asked::Stream, 2, time / 2);
    }
    for round in 1..=rounds {
        for ((asked, connections), figures) in loads.iter().zip(&mut all) {
            for (way, figures) in ways.iter().zip(figures) {
                let before = way.process.map(processor_time);
                let measured = load::measure(way.address, *asked, *connections, time);
                let spent = way.process.map(processor_time).zip(before).map(|(after, before)| after - before);
                figures.add(measured, spent);
            }
        }
        eprint!("\r{round} of {rounds} rounds");
    }
    eprintln!();
    all
}

/// The loads that were asked for: all of them where nothing is said.
fn loads(arguments: &Arguments) -> Vec<Load> {
    let asked = arguments.text("--asked");
    let connections = arguments.number("--connections", 0) as usize;
    let wanted = |load: &&Load| {
        asked.is_none_or(|asked| asked == load.0.as_str()) && (connections == 0 || connections == load.1)
    };
    LOADS.iter().filter(wanted).copied().collect()
}

impl Figures {
    fn add(&mut self, mut measured: Measured, processor: Option<Duration>) {
        let count = measured.latencies_us.len() as f64;
        self.median_us.push(quantile(&mut measured.latencies_us, 0.5));
        self.p99_us.push(quantile(&mut measured.latencies_us, 0.99));
        self.requests_a_second.push(count / measured.time.as_secs_f64());
        self.processor_us.push(processor.map_or(0.0, |spent| spent.as_secs_f64() * 1e6 / count));
    }
}

fn middle(values: &[f64]) -> f64 {
    quantile(&mut values.to_vec(), 0.5)
}

/// One row for each way and load.
fn rows(ways: &[Way], loads: &[Load], figures: &[Vec<Figures>]) -> Vec<Value> {
    let row = |(asked, connections): &Load, way: &Way, of: &Figures, direct: &Figures| {
        json!({
            "way": way.name, "asked": asked.as_str(), "connections": connections,
            "median_us": middle(&of.median_us).round(),
            "added_us": (middle(&of.median_us) - middle(&direct.median_us)).round(),
            "p99_us": middle(&of.p99_us).round(),
            "requests_a_second": middle(&of.requests_a_second).round(),
            "processor_us": middle(&of.processor_us).round(),
            "resident_mib": way.process.map_or(0, resident_kib) / 1024,
        })
    };
    let of_load = |(load, figures)| -> Vec<Value> {
        let figures: &Vec<Figures> = figures;
        ways.iter().zip(figures).map(|(way, of)| row(load, way, of, &figures[0])).collect()
    };
    loads.iter().zip(figures).flat_map(of_load).collect()
}

fn table(ways: &[Way], loads: &[Load], figures: &[Vec<Figures>]) -> Value {
    rows(ways, loads, figures).into()
}

const COLUMNS: [&str; 9] = [
    "way",
    "asked",
    "connections",
    "median_us",
    "added_us",
    "p99_us",
    "requests_a_second",
    "processor_us",
    "resident_mib",
];

fn print(ways: &[Way], loads: &[Load], figures: &[Vec<Figures>]) {
    println!("{}", COLUMNS.map(|column| format!("{column:>17}")).concat());
    for row in rows(ways, loads, figures) {
        let cell = |column: &&str| format!("{:>17}", row[*column].to_string().trim_matches('"').to_owned());
        println!("{}", COLUMNS.iter().map(cell).collect::<String>());
    }
}

/// Round by round, since a machine is faster in one than in the next; the middle of the rounds' ratios counts.
fn hold(ways: &[Way], loads: &[Load], figures: &[Vec<Figures>], verdict: &mut Verdict) {
    let place = |name: &str| ways.iter().position(|way| way.name == name);
    let (Some(ours), Some(envoy)) = (place("tollgate"), place("envoy")) else { return };
    for ((asked, connections), of) in loads.iter().zip(figures) {
        let (direct, ours, envoy) = (&of[0], &of[ours], &of[envoy]);
        let rounds = 0..direct.median_us.len();
        let name = format!("{}, {connections} connections", asked.as_str());
        if *connections == 1 {
            let added = |of: &Figures, round: usize| of.median_us[round] - direct.median_us[round];
            let ratios: Vec<f64> = rounds.map(|round| added(ours, round) / added(envoy, round)).collect();
            verdict.at_most(&format!("added median over Envoy's, {name}"), middle(&ratios), ADDED_OF_ENVOY);
        } else {
            let ratios: Vec<f64> = rounds.map(|round| envoy.processor_us[round] / ours.processor_us[round]).collect();
            let label = format!("requests for the same processor time over Envoy's, {name}");
            verdict.at_least(&label, middle(&ratios), REQUESTS_OF_ENVOY);
        }
    }
}
