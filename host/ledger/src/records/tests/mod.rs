//! What the tests of records share: a host's names, dispatches of every shape, decisions about them.

mod bounds;
mod fidelity;
mod filters;
mod rotation;

use std::path::Path;
use std::sync::Arc;

use tollgate_core::{
    Account, Attempts, BudgetVerdict, Candidate, Decision, Dispatch, Health, Hosting, KillSwitchVerdict, Nanodollars,
    OnError, PolicyIndex, PolicyKind, Reason, Reference, RetryCeilingVerdict, RoutingVerdict, Ruling, ScopeKind,
    SwitchBoard, SwitchMode, Symbol, Symbols, Tier, Trail, TrailEntry, Trip, TripSelector, Unit, Verdict,
};

use super::*;

pub(super) const NAMES: [&str; 6] = ["refactoring", "coding", "large", "small", "cloud", "run-cost"];

/// A host's names and its two policies.
#[derive(Clone)]
pub(super) struct Host(pub(super) Arc<Symbols>);

impl Host {
    pub(super) fn new() -> Self {
        let symbols = Symbols::new();
        for name in NAMES {
            symbols.intern(name).unwrap();
        }
        Self(Arc::new(symbols))
    }

    pub(super) fn symbol(&self, name: &str) -> Symbol {
        self.0.lookup(name)
    }
}

impl Naming for Host {
    fn symbols(&self) -> &Symbols {
        &self.0
    }

    fn policies(&self, generation: u64) -> Option<PolicySet> {
        let policy = |name: &str| PolicyRecord {
            policy: name.into(),
            plugin: name.to_owned(),
            version: "0.1.0".to_owned(),
            digest: "sha256:00".to_owned(),
            configuration: "sha256:11".to_owned(),
            on_error: OnError::Refuse,
            shadow: name == "second",
        };
        (generation < 1_000).then(|| PolicySet { generation, policies: vec![policy("first"), policy("second")] })
    }
}

/// A dispatch with something in every field.
pub(super) fn dispatch(host: &Host, now_ms: u64) -> Dispatch {
    let candidate = |model: &str, tier| Candidate {
        model: host.symbol(model),
        backend: host.symbol("cloud"),
        tier,
        health: Health::Healthy,
        hosting: Hosting::Remote,
        warm: tier == Tier::Low,
        free_slots: if tier == Tier::Low { 3 } else { u32::MAX },
        estimated_cost: Nanodollars::new(20_000_000),
    };
    let mut dispatch = Dispatch {
        now_ms,
        task_type: host.symbol("refactoring"),
        stage: host.symbol("coding"),
        task: Some(Reference::of("task-7")),
        sample: Some(Reference::of("run-7")),
        attempts: Attempts { failed: 2, failed_tier: Some(Tier::Low), ..Attempts::default() },
        candidates: vec![candidate("small", Tier::Low), candidate("large", Tier::Premium)],
        tags: vec![(host.symbol("coding"), Symbol::UNKNOWN)],
        counters: vec![(host.symbol("large"), 9)],
        sticky: Some(0),
        ..Dispatch::default()
    };
    dispatch.spending.run_cost = Nanodollars::new(5);
    dispatch.scopes.set(ScopeKind::Run, Reference::of("run-7"));
    dispatch.scopes.set(ScopeKind::Team, Reference::of("red"));
    dispatch.accounts.push(Account {
        kind: ScopeKind::Team,
        owner: host.symbol("run-cost"),
        spent: Nanodollars::new(1),
        reserved: Nanodollars::new(2),
        limit: Nanodollars::new(3),
        hard: Nanodollars::new(4),
        window_end_ms: u64::MAX,
    });
    dispatch
}

pub(super) fn reason(host: &Host) -> Reason {
    Reason { code: host.symbol("run-cost"), unit: Unit::Nanodollars, actual: 14_200_000_000, limit: 10_000_000_000 }
}

/// One verdict of each form.
pub(super) fn verdicts(host: &Host) -> Vec<Verdict> {
    let reason = reason(host);
    let trip = |selector| {
        let trip = Trip { selector, mode: SwitchMode::Cut, time_to_live_ms: 60_000, reason };
        Verdict::KillSwitch(KillSwitchVerdict::Trip(trip))
    };
    vec![
        Verdict::KillSwitch(KillSwitchVerdict::Proceed),
        Verdict::KillSwitch(KillSwitchVerdict::Stop(reason)),
        trip(TripSelector::Everything),
        trip(TripSelector::Scope(ScopeKind::Run)),
        trip(TripSelector::Model(host.symbol("large"))),
        trip(TripSelector::TaskType(host.symbol("refactoring"))),
        Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Middle)),
        Verdict::RetryCeiling(RetryCeilingVerdict::BackOff { milliseconds: 250 }),
        Verdict::RetryCeiling(RetryCeilingVerdict::HoldForHuman(reason)),
        Verdict::Routing(RoutingVerdict::UseCandidate(1)),
        Verdict::Routing(RoutingVerdict::NoOpinion),
        Verdict::Budget(BudgetVerdict::Slow { milliseconds: 1_000 }),
        Verdict::Budget(BudgetVerdict::CapOutput { tokens: 700 }),
        Verdict::Budget(BudgetVerdict::HoldForApproval(reason)),
        Verdict::Failed(tollgate_core::EvaluationFailure::OutOfFuel, OnError::Proceed),
    ]
}

pub(super) fn decide(dispatch: &Dispatch, board: &SwitchBoard, verdicts: &[Verdict]) -> Decision {
    let mut ruling = Ruling::open(dispatch, board);
    let mut trail = Trail::new();
    for verdict in verdicts {
        let kind = verdict.kind().unwrap_or(PolicyKind::Budget);
        let mut entry = TrailEntry {
            policy: PolicyIndex(0),
            kind,
            verdict: *verdict,
            shadow: false,
            last_good: false,
            fuel: 800,
            nanoseconds: 650,
        };
        ruling.hear(&mut entry, OnError::Refuse);
        trail.push(entry);
    }
    ruling.conclude(1, trail)
}

/// A recorder of small files.
pub(super) fn recorder(folder: &Path, host: &Host, file_bytes: u64, files: usize) -> Recorder {
    let options = Options { queue: 64, file_bytes, files, ..Options::default() };
    Recorder::open(folder, 1_767_225_600_000, options, host.clone()).unwrap()
}

/// Records so many dispatches, one millisecond apart, and waits until they are written.
pub(super) fn record(recorder: &Recorder, host: &Host, count: u64) -> Vec<DecisionId> {
    let mut ids = Vec::new();
    for now_ms in 0..count {
        let dispatch = dispatch(host, now_ms);
        let decision = decide(&dispatch, &SwitchBoard::default(), &[]);
        ids.push(recorder.record(&dispatch, &decision, &Context::default()));
        recorder.flush();
    }
    ids
}

/// The decisions of a folder, and what else was found.
pub(super) fn read_all(folder: &Path) -> (Vec<Recorded>, Vec<String>) {
    let mut records = read(folder).unwrap();
    let (mut decisions, mut others) = (Vec::new(), Vec::new());
    for item in &mut records {
        match item {
            Item::Decision(recorded) => decisions.push(*recorded),
            Item::Lost(lost) => others.push(format!("{lost:?}")),
            Item::Problem(problem) => others.push(problem.to_string()),
        }
    }
    others.extend(records.cut().map(|problem| problem.to_string()));
    (decisions, others)
}
