//! How fast a cut reaches open streams: from the operator's command to the error event of each, while other clients go on
//! asking; and that nothing comes after it, that the provider's connections are closed, and that nothing new goes out.
//!
//! `--streams 500 --rounds 5 --pace 50` (milliseconds between two events of a stream), `--closing` (clients close when they are told,
//! which takes these processors as long as to be told does, while they are the gateway's as well).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Arguments;
use crate::site::{Folder, Gateway, Models, Operator, configuration, panics};
use crate::upstream::Upstream;
use crate::verdict::{Verdict, quantile};
use crate::wire::{Connection, find, request};

const MEDIAN_MS: f64 = 10.0;
const P99_MS: f64 = 50.0;
const CLOSED_MS: f64 = 50.0;
/// Clients that go on asking for whole answers.
const ASKING: usize = 4;
const MODELS: Models = Models { openai: &[("gpt-5.2", "premium")], anthropic: &[] };
const TEAM: (&str, &str) = ("x-tollgate-scope", "team=red");
const PATH: &str = "/v1/chat/completions";

/// What one client of a stream saw.
struct Stream {
    number: u64,
    told: Option<Instant>,
    /// Bytes after the event, beyond those that end the body.
    after: u64,
    /// Kept until all are told, or not.
    _connection: Option<Connection>,
}

#[derive(Default)]
struct Found {
    told_ms: Vec<f64>,
    closed_ms: Vec<f64>,
    untold: u64,
    after: u64,
    unclosed: u64,
    new_dispatches: u64,
    went_before: u64,
}

pub(crate) async fn run(arguments: &Arguments) -> Verdict {
    let (streams, rounds) = (arguments.number("--streams", 500), arguments.number("--rounds", 5));
    let clients = (streams, arguments.has("--closing"));
    let upstream = Upstream::start(Duration::from_millis(arguments.number("--pace", 50).max(1))).await;
    let folder = Folder::new();
    std::fs::write(folder.path("tollgate.toml"), configuration(&MODELS, 1, upstream.address)).unwrap();
    let gateway = Gateway::start(&folder);
    let mut operator = gateway.operator().await;
    let mut found = Found::default();
    for number in 1..=rounds {
        round(&gateway, &mut operator, &upstream, clients, &mut found).await;
        eprint!("\r{number} of {rounds} rounds");
    }
    eprintln!();
    gateway.end();
    let mut verdict = Verdict::new("kill");
    verdict.figure("streams", streams);
    verdict.figure("rounds", rounds);
    verdict.figure("clients close when they are told", clients.1);
    verdict.figure("went_before", found.went_before);
    verdict.some("streams cut", found.told_ms.len() as u64);
    verdict.at_most("median from the command to the error event, ms", quantile(&mut found.told_ms, 0.5), MEDIAN_MS);
    verdict.at_most("99th percentile, ms", quantile(&mut found.told_ms, 0.99), P99_MS);
    verdict.figure("longest_ms", quantile(&mut found.told_ms, 1.0));
    let closed = quantile(&mut found.closed_ms, 1.0);
    verdict.at_most("from the event until the provider's connection was closed, longest, ms", closed, CLOSED_MS);
    verdict.none("streams without an error event", found.untold);
    verdict.none("bytes after an event", found.after);
    verdict.none("connections to the provider left open", found.unclosed);
    verdict.none("dispatches begun after the command", found.new_dispatches);
    verdict.none("panics", panics(&folder));
    verdict
}

async fn round(
    gateway: &Gateway,
    operator: &mut Operator,
    upstream: &Upstream,
    (streams, closing): (u64, bool),
    found: &mut Found,
) {
    let opening = Arc::new(Semaphore::new(64));
    let ready = Arc::new(AtomicU64::new(0));
    let mut open = JoinSet::new();
    for number in 0..streams {
        open.spawn(stream(gateway.address, (number, closing), Arc::clone(&opening), Arc::clone(&ready)));
    }
    let (begun, ending) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut asking = JoinSet::new();
    for _ in 0..ASKING {
        asking.spawn(ask(gateway.address, Arc::clone(&begun), Arc::clone(&ending)));
    }
    while ready.load(Ordering::Relaxed) < streams || upstream.open_streams() < streams as usize {
        sleep(Duration::from_millis(10)).await;
    }
    // All of them run as they would, for a moment.
    sleep(Duration::from_millis(500)).await;
    let commanded = Instant::now();
    operator.cut("team=red").await;
    let last_before = begun.load(Ordering::Relaxed);
    let cut = tokio::time::timeout(Duration::from_secs(10), open.join_all()).await;
    let cut = cut.unwrap_or_else(|_| panic!("a stream was not cut within 10 s"));
    sleep(Duration::from_millis(200)).await;
    ending.store(true, Ordering::Relaxed);
    asking.join_all().await;
    operator.lift("team=red").await;

    let closed: std::collections::HashMap<u64, Instant> = upstream.take_closed().into_iter().collect();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    for Stream { number, told, after, .. } in cut {
        found.after += after;
        let Some(told) = told else {
            found.untold += 1;
            continue;
        };
        found.told_ms.push(milliseconds(told - commanded));
        match closed.get(&number) {
            Some(closed) => found.closed_ms.push(milliseconds(closed.saturating_duration_since(told))),
            None => found.unclosed += 1,
        }
    }
    let arrived = upstream.take_begun();
    found.new_dispatches += arrived.iter().filter(|begun| **begun > last_before).count() as u64;
    found.went_before += arrived.iter().filter(|begun| **begun <= last_before).count() as u64;
}

async fn stream(
    address: std::net::SocketAddr,
    (number, closing): (u64, bool),
    opening: Arc<Semaphore>,
    ready: Arc<AtomicU64>,
) -> Stream {
    let place = opening.acquire_owned().await.unwrap();
    let mut connection = Connection::open(address).await.unwrap();
    let (name, run) = (number.to_string(), format!("stream-{number}"));
    let headers = [TEAM, ("x-stream", &*name), ("x-tollgate-run", &*run)];
    let body = r#"{"model":"gpt-5.2","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"go on"}]}"#;
    connection.send(&request(PATH, &headers, body)).await.unwrap();
    let head = connection.head().await.unwrap();
    assert_eq!(head.status, 200, "a stream that is to be cut was not opened");
    drop(place);
    ready.fetch_add(1, Ordering::Relaxed);
    let mut held = Vec::new();
    while let Ok(Some(bytes)) = connection.raw().await {
        let now = Instant::now();
        held.extend_from_slice(&bytes);
        if let Some(event) = find(&held, b"switched-off") {
            let after = rest(&mut connection, held.split_off(event)).await;
            return Stream { number, told: Some(now), after, _connection: Some(connection).filter(|_| !closing) };
        }
        // An event may come in two parts.
        held.drain(..held.len().saturating_sub(16));
    }
    Stream { number, told: None, after: 0, _connection: None }
}

/// How many bytes come after an event but those that end its chunk and the body.
async fn rest(connection: &mut Connection, mut held: Vec<u8>) -> u64 {
    while !held.ends_with(b"\r\n0\r\n\r\n")
        && let Some(bytes) = connection.raw().await.ok().flatten()
    {
        held.extend_from_slice(&bytes);
    }
    let end = find(&held, b"\n\n").map_or(held.len(), |end| end + 2);
    (held.len() - end).saturating_sub(b"\r\n0\r\n\r\n".len()) as u64
}

/// Asks for one whole answer after the other. Each says its number, so that whoever arrives can be told from whoever was refused.
async fn ask(address: std::net::SocketAddr, begun: Arc<AtomicU64>, ending: Arc<AtomicBool>) {
    let mut connection = Connection::open(address).await.unwrap();
    let body = r#"{"model":"gpt-5.2","max_tokens":10,"messages":[{"role":"user","content":"go on"}]}"#;
    while !ending.load(Ordering::Relaxed) {
        let number = (begun.fetch_add(1, Ordering::Relaxed) + 1).to_string();
        let headers = [TEAM, ("x-begun", &*number), ("x-tollgate-run", "asking")];
        connection.send(&request(PATH, &headers, body)).await.unwrap();
        connection.swallow().await.unwrap();
        // Some load, not all there is: the streams are what is timed.
        sleep(Duration::from_millis(2)).await;
    }
}
