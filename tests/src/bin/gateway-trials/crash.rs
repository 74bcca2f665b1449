//! A gateway under load is killed with SIGKILL at random moments, `--kills` times on the same data. Each time it is started
//! again: what was acknowledged is there, what was sent and not settled still counts, and the switches still stand.
//!
//! `--kills 50 --seed 1`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tollgate_core::Usage;
use tollgate_ledger::DATABASE;
use tollgate_ledger::prices::{CostOptions, PriceTable};
use tollgate_ledger::report::{Period, load};
use tollgate_ledger::store::Sqlite;

use crate::Arguments;
use crate::random::Random;
use crate::site::{Folder, Gateway, Models, Provider, configuration, panics};
use crate::verdict::{Verdict, quantile};
use crate::wire::{Connection, request};

const CLIENTS: u64 = 16;
const PATH: &str = "/v1/chat/completions";
/// One model, so that a call has one price.
const MODELS: Models = Models { openai: &[("gpt-5.2", "premium")], anthropic: &[] };
/// Pays for one call of a thousand tokens of output, and not for two.
const TIGHT: &str =
    "[[budget]]\nname = \"tight\"\nfor = { project = \"tight-*\" }\nlimit = \"0.02 USD\"\nhard = \"0.02 USD\"\n";
/// Failures of a task before each kill.
const FAILURES: u32 = 2;

/// What the clients of all lives were told.
#[derive(Default)]
struct Told {
    begun: AtomicU64,
    /// Calls whose answer came whole.
    answered: Mutex<Vec<u64>>,
}

#[derive(Default)]
struct Found {
    restart_ms: Vec<f64>,
    switches_lost: u64,
    held_lost: u64,
    held: u64,
    attempts_lost: u64,
}

pub(crate) async fn run(arguments: &Arguments) -> Verdict {
    let (kills, seed) = (arguments.number("--kills", 50).max(1), arguments.number("--seed", 1));
    let folder = Folder::new();
    let provider = Provider::start(&folder, seed);
    let text = configuration(&MODELS, 1, provider.address) + TIGHT;
    std::fs::write(folder.path("tollgate.toml"), text).unwrap();
    let (told, mut found, mut random) = (Arc::new(Told::default()), Found::default(), Random::new(seed, 0));
    for life in 1..=kills {
        let began = Instant::now();
        let gateway = Gateway::start(&folder);
        found.restart_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        look_back(gateway.address, life - 1, &told, &mut found).await;
        live(gateway, life, &told, &mut random).await;
        eprint!("\r{life} of {kills} kills, {} calls", told.begun.load(Ordering::Relaxed));
    }
    eprintln!();
    let gateway = Gateway::start(&folder);
    look_back(gateway.address, kills, &told, &mut found).await;
    gateway.end();
    provider.end();
    let mut verdict = Verdict::new("crash gateway");
    for (name, value) in [("kills", kills), ("seed", seed), ("calls", told.begun.load(Ordering::Relaxed))] {
        verdict.figure(name, value);
    }
    verdict.figure("restart_median_ms", quantile(&mut found.restart_ms, 0.5).round());
    audit(&folder, &told, &mut verdict);
    verdict.some("calls held at the provider when it was killed", found.held);
    verdict.none("budgets that forgot what was sent and not settled", found.held_lost);
    verdict.none("switches that were gone", found.switches_lost);
    verdict.none("tasks that forgot their attempts", found.attempts_lost);
    verdict.none("panics", panics(&folder));
    verdict
}

/// Works until it is killed.
async fn live(gateway: Gateway, life: u64, told: &Arc<Told>, random: &mut Random) {
    let mut operator = gateway.operator().await;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(gateway.address, Arc::clone(told), Random::new(random.next(), number)));
    }
    for _ in 0..FAILURES {
        let answer =
            call(gateway.address, told, &format!("fails-{life}"), &[("x-simulate", "bad-request")], false, 8).await;
        assert_eq!(answer.unwrap(), 400);
    }
    // Its answer never ends; that it has begun is the word that it was sent.
    let project = format!("project=tight-{life}");
    let held = [("x-tollgate-scope", &*project), ("x-simulate", "stall-after=1")];
    let mut connection = Connection::open(gateway.address).await.unwrap();
    let number = told.begun.fetch_add(1, Ordering::Relaxed);
    connection.send(&asking(number, &format!("tight-{life}"), &held, true, 1_000)).await.unwrap();
    assert_eq!(connection.head().await.unwrap().status, 200);
    operator.cut(&format!("run=stopped-{life}")).await;
    sleep(Duration::from_micros(random.below(300_000))).await;
    gateway.kill();
    // Their connections break, and with them they end.
    clients.join_all().await;
}

/// What the life before has left has to be there.
async fn look_back(gateway: SocketAddr, before: u64, told: &Told, found: &mut Found) {
    if before == 0 {
        return;
    }
    let status = call(gateway, told, &format!("stopped-{before}"), &[], false, 8).await.unwrap();
    found.switches_lost += u64::from(status != 503);
    let project = format!("project=tight-{before}");
    let status = call(gateway, told, "another", &[("x-tollgate-scope", &project)], false, 1_000).await.unwrap();
    found.held += 1;
    found.held_lost += u64::from(status != 402);
    // A task that failed of the same twice is not let go a third time; one whose attempts are forgotten is.
    let status = call(gateway, told, &format!("fails-{before}"), &[], false, 8).await.unwrap();
    found.attempts_lost += u64::from(status == 200);
}

async fn client(gateway: SocketAddr, told: Arc<Told>, mut random: Random) {
    let Ok(mut connection) = Connection::open(gateway).await else { return };
    loop {
        let number = told.begun.fetch_add(1, Ordering::Relaxed);
        let (run, most) = (format!("run-{}", random.below(64)), 8 + random.below(32));
        let asked = asking(number, &run, &[], random.below(2) == 0, most);
        let answered = async {
            connection.send(&asked).await?;
            let head = connection.head().await?;
            connection.whole(head).await?;
            Ok::<_, std::io::Error>(head.status)
        };
        match answered.await {
            Ok(200) => told.answered.lock().unwrap().push(number),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

async fn call(
    gateway: SocketAddr,
    told: &Told,
    run: &str,
    headers: &[(&str, &str)],
    stream: bool,
    most: u64,
) -> std::io::Result<u16> {
    let mut connection = Connection::open(gateway).await?;
    let number = told.begun.fetch_add(1, Ordering::Relaxed);
    connection.send(&asking(number, run, headers, stream, most)).await?;
    connection.swallow().await
}

fn asking(number: u64, run: &str, headers: &[(&str, &str)], stream: bool, most: u64) -> Vec<u8> {
    let trace = format!("00-{:032x}-00000000000000ff-01", number + 1);
    let headers: Vec<_> = [("traceparent", &*trace), ("x-tollgate-run", run)].iter().chain(headers).copied().collect();
    let body = format!(
        r#"{{"model":"gpt-5.2","max_tokens":{most},"stream":{stream},"messages":[{{"role":"user","content":"call {number}"}}]}}"#
    );
    request(PATH, &headers, &body)
}

/// A line of the bill.
#[derive(Deserialize)]
struct Billed {
    trace: Option<String>,
    model: String,
    usage: Usage,
}

/// The files of all lives: what was answered is posted as it was billed, and what was billed is posted or still open.
fn audit(folder: &Folder, told: &Told, verdict: &mut Verdict) {
    let number = |trace: Option<&str>| u64::from_str_radix(trace?, 16).ok()?.checked_sub(1);
    let prices = PriceTable::builtin();
    let mut bill = HashMap::new();
    for line in BufReader::new(File::open(folder.path("bill.jsonl")).unwrap()).lines() {
        let billed: Billed = serde_json::from_str(&line.unwrap()).unwrap();
        let price = *prices.lookup(&billed.model).price().as_ref().expect("a price");
        let cost = price.cost(&billed.usage, CostOptions::default()).unwrap();
        bill.insert(number(billed.trace.as_deref()).expect("every request has a trace"), cost);
    }
    let store = Sqlite::open(&folder.path("data").join(DATABASE)).unwrap();
    let calls = load(&store, Period::default()).unwrap();
    let ledger: HashMap<u64, _> =
        calls.iter().filter_map(|call| Some((number(call.trace_id.as_deref())?, call))).collect();
    let verification = store.verify().unwrap();
    let answered = std::mem::take(&mut *told.answered.lock().unwrap());
    let as_billed =
        |number: &u64| ledger.get(number).is_some_and(|call| !call.estimated && Some(&call.cost) == bill.get(number));
    let missing = answered.iter().filter(|number| !as_billed(number)).count() as u64;
    let unsettled = bill.keys().filter(|number| !ledger.contains_key(number)).count();
    verdict.figure("billed", bill.len() as u64);
    verdict.figure("billed_and_unsettled", unsettled as u64);
    verdict.figure("open_reservations", verification.open);
    verdict.some("calls whose answer came whole", answered.len() as u64);
    verdict.none("of those, not in the ledger as billed", missing);
    verdict.none("calls that were billed and count nowhere", (unsettled as u64).saturating_sub(verification.open));
    verdict.none("accounts that are not what their entries add up to", u64::from(!verification.is_clean()));
}
