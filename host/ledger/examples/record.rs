//! What taking a decision down costs the thread that decides: `cargo run --release --example record`. Eight candidates and five
//! accounts, in bursts with rests between them, as a gateway has them, and then as fast as it goes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "an example"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tollgate_core::{
    Account, Candidate, Decision, Dispatch, Health, Hosting, Nanodollars, Reference, Ruling, ScopeKind, SwitchBoard,
    Symbols, Tier, Trail,
};
use tollgate_ledger::records::{Context, Names, Naming, Options, PolicySet, Recorder};

struct Host(Arc<Symbols>);

impl Naming for Host {
    fn symbols(&self) -> &Symbols {
        &self.0
    }

    fn policies(&self, generation: u64) -> Option<PolicySet> {
        Some(PolicySet { generation, policies: Vec::new() })
    }
}

fn measured(symbols: &Symbols) -> (Dispatch, Decision) {
    let symbol = |name: &str| symbols.intern(name).unwrap();
    let candidate = |number: u64| Candidate {
        model: symbol(&format!("model-{number}")),
        backend: symbol("cloud"),
        tier: Tier::Middle,
        health: Health::Healthy,
        hosting: Hosting::Remote,
        warm: false,
        free_slots: u32::MAX,
        estimated_cost: Nanodollars::new(number + 1),
    };
    let account = Account {
        kind: ScopeKind::Team,
        owner: symbol("owner"),
        spent: Nanodollars::new(1),
        reserved: Nanodollars::new(2),
        limit: Nanodollars::new(3),
        hard: Nanodollars::new(4),
        window_end_ms: u64::MAX,
    };
    let mut dispatch = Dispatch {
        now_ms: 5,
        task: Some(Reference::of("task")),
        candidates: (0..8).map(candidate).collect(),
        accounts: vec![account; 5],
        ..Dispatch::default()
    };
    dispatch.scopes.set(ScopeKind::Run, Reference::of("run"));
    let decision = Ruling::open(&dispatch, &SwitchBoard::default()).conclude(1, Trail::new());
    (dispatch, decision)
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let symbols = Arc::new(Symbols::new());
    let (dispatch, decision) = measured(&symbols);
    let recorder = Recorder::open(folder.path(), 5, Options::default(), Host(symbols)).unwrap();
    let context = Context { names: Names { task: Some("task"), ..Names::default() }, ..Context::default() };
    for (what, bursts, rest) in
        [("500 each 25 ms", 80, Duration::from_millis(25)), ("as fast as it goes", 80, Duration::ZERO)]
    {
        let before = recorder.status();
        let mut times = Vec::new();
        let started = Instant::now();
        for _ in 0..bursts {
            for _ in 0..500 {
                let from = Instant::now();
                recorder.record(&dispatch, &decision, &context);
                times.push(from.elapsed().as_nanos());
            }
            thread::sleep(rest);
        }
        let taken = started.elapsed();
        recorder.flush();
        times.sort_unstable();
        let at = |permille: usize| times[times.len() * permille / 1_000];
        let lost = recorder.status().lost.queue_full - before.lost.queue_full;
        println!(
            "{what}: {} decisions in {taken:.1?}, median {} ns, 99th percentile {} ns, 99.9th {} ns (timer included), {lost} lost",
            times.len(),
            at(500),
            at(990),
            at(999),
        );
    }
}
