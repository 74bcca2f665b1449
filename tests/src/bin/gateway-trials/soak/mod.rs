//! Full load with every fault for a long time, and then the books: what the ledger has is what the provider billed, call by call.
//!
//! `--seconds 300 --connections 32 --seed 1`.

mod books;
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_ledger::report::Period;

use crate::Arguments;
use crate::process::{machine_time, processor_time, resident_kib};
use crate::site::{ALL_MODELS, Folder, Gateway, Provider, configuration, panics};
use crate::verdict::Verdict;
use load::Load;

const MEMORY_GROWTH: f64 = 0.05;
/// Of each format: one that a fault has made look ill is stepped in for, as in any real set-up.
const BACKENDS: usize = 6;

pub(crate) async fn run(arguments: &Arguments) -> Verdict {
    let (seconds, seed) = (arguments.number("--seconds", 300).max(10), arguments.number("--seed", 1));
    let folder = Folder::new();
    let provider = Provider::start(&folder, seed);
    std::fs::write(folder.path("tollgate.toml"), configuration(&ALL_MODELS, BACKENDS, provider.address)).unwrap();
    let mut gateway = Gateway::start(&folder);
    let token = gateway.operator().await.token().to_owned();
    let began_ms = now_ms();
    let load = Arc::new(Load::new(gateway.address, token, seed));
    let clients = load.start(arguments.number("--connections", 32));

    let (began, busy_before) = (Instant::now(), machine_time());
    let mut memory_kib = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(
            !gateway.has_ended(),
            "the gateway has ended under load; see `{}`",
            folder.path("gateway.log").display()
        );
        memory_kib.push(resident_kib(gateway.id()));
        if memory_kib.len() % 40 == 0 {
            eprint!("\r{} of {seconds} s, {} calls", began.elapsed().as_secs(), load.begun());
        }
    }
    eprintln!();
    let busy = machine_time();
    let (gateway_s, provider_s) = (processor_time(gateway.id()), processor_time(provider.id()));
    load.end();
    clients.join_all().await;
    let ended = gateway.end();
    provider.end();

    let mut verdict = Verdict::new("soak gateway");
    for (name, value) in [("seconds", seconds), ("seed", seed), ("calls", load.begun())] {
        verdict.figure(name, value);
    }
    verdict.figure("calls_a_second", load.begun() / seconds);
    verdict.figure("processors_busy_percent", 100 * (busy.0 - busy_before.0) / (busy.1 - busy_before.1).max(1));
    verdict.figure("gateway_processor_us_a_call", gateway_s.as_micros() as u64 / load.begun().max(1));
    verdict.figure("provider_processor_us_a_call", provider_s.as_micros() as u64 / load.begun().max(1));
    verdict.figure("not_gone", serde_json::json!(load.refused()));
    books::compare(&folder, &load.asked(), Period { from_ms: began_ms, until_ms: now_ms() }, &mut verdict);
    let (second_tenth, last_tenth) = tenths(&memory_kib);
    verdict.figure("second_tenth_kib", second_tenth.round());
    verdict.figure("last_tenth_kib", last_tenth.round());
    verdict.at_most("growth of memory, last tenth over the second", last_tenth / second_tenth - 1.0, MEMORY_GROWTH);
    verdict.none("panics", panics(&folder));
    verdict.none("gateways that did not end well", u64::from(!ended.success()));
    verdict
}

/// The means of the second tenth and of the last.
fn tenths(samples: &[u64]) -> (f64, f64) {
    let tenth = (samples.len() / 10).max(1);
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    (mean(&samples[tenth..2 * tenth]), mean(&samples[samples.len() - tenth..]))
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}
