//! The trace in order of time: each row is decided on the outcomes that lie before it.
//!
//! The outcomes are the recorded ones, also of rows that the policies would have stopped: what a stopped
//! attempt would have led to is not known, and what the trace went through is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use tollgate_core::{
    Candidate, Configuration, Decision, Dimension, Dispatch, Failure, History, Nanodollars, Outcome, Reference, Report,
    Status, Symbol, Tier,
};
use tollgate_ledger::Ledger;
use tollgate_ledger::book::{Budgets, Event, Path, Request, ReservationId, Settlement};
use tollgate_ledger::prices::{CostOptions, LongContext, PriceTable};
use tollgate_ledger::records::{Context, Names, Origin, Origins, ScopeNames};
use tollgate_runtime::Host;

use super::estimate::Estimates;
use super::trace::{Row, RowStatus};
use crate::records::Recording;

/// How often a dispatch waits and is decided again before the waiting itself is its outcome.
const MAX_WAITS: u32 = 16;

/// Token sums of an invocation say nothing about the size of a call.
const OF_AN_INVOCATION: CostOptions =
    CostOptions { tier: tollgate_ledger::prices::ServiceTier::Standard, long_context: LongContext::Ignore };

/// Where the facts of a row come from: what the trace does not say, the history of the rows before it does.
const ORIGINS: Origins = Origins {
    now: Origin::Trace,
    identity: Origin::Trace,
    request: Origin::Default,
    approved: Origin::Default,
    spending: Origin::History,
    attempts: Origin::History,
    route: Origin::History,
    candidates: Origin::Configuration,
    estimates: Origin::PriceTable,
    budgets: Origin::Configuration,
    accounts: Origin::History,
    tags: Origin::Default,
    counters: Origin::History,
};

/// A row and what was decided about it.
pub(crate) struct DecidedRow {
    pub(crate) row: Row,
    /// As it was decided last.
    pub(crate) dispatch: Dispatch,
    pub(crate) decision: Decision,
    /// How long each decision about it took, in nanoseconds; more than one where it waited.
    pub(crate) nanoseconds: Vec<u32>,
    /// What the row would have cost where it was routed: its own tokens at list price; the recorded cost where
    /// it has no usage; nothing where it did not go.
    pub(crate) cost: Option<Nanodollars>,
    /// Budgets that reached a threshold or their ceiling before it started.
    pub(crate) reached: Vec<Event>,
}

impl DecidedRow {
    /// Where it went.
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        let permit = self.decision.outcome.permit()?;
        self.dispatch.candidates.get(permit.candidate() as usize)
    }
}

/// Yields the decided rows in the order in which they started.
pub(crate) struct Timeline<'a> {
    host: &'a Host,
    prices: &'a PriceTable,
    ledger: Ledger,
    estimates: Estimates,
    rows: VecDeque<Row>,
    /// Outcomes that lie ahead, the earliest first; of the same moment, in the order of the trace.
    ahead: BinaryHeap<Reverse<(u64, usize)>>,
    outcomes: HashMap<usize, Ended>,
    /// How many rows of each run have not ended.
    open_rows: HashMap<String, usize>,
    recording: Option<&'a mut Recording>,
}

/// What is learnt when a row ends.
struct Ended {
    report: Report,
    cost: Nanodollars,
    path: Path,
    run: String,
    stage: String,
    usage: Option<tollgate_core::Usage>,
}

impl<'a> Timeline<'a> {
    pub(crate) fn new(
        host: &'a Host,
        configuration: &Configuration,
        prices: &'a PriceTable,
        mut rows: Vec<Row>,
    ) -> anyhow::Result<Self> {
        rows.sort_by_key(|row| (row.started_ms, row.line));
        let mut open_rows = HashMap::new();
        for row in &rows {
            *open_rows.entry(row.run.clone()).or_insert(0) += 1;
        }
        let budgets = Budgets::new(configuration.budgets.clone())?.with_owners(host.symbols());
        let history = History::new(configuration.attempts, host.counters(), History::REMEMBERED);
        Ok(Self {
            host,
            prices,
            ledger: Ledger::in_memory(budgets)?.with_history(history),
            estimates: Estimates::default(),
            rows: rows.into(),
            ahead: BinaryHeap::new(),
            outcomes: HashMap::new(),
            open_rows,
            recording: None,
        })
    }

    /// Records every decision, those after a wait as well.
    pub(crate) fn recorded_by(mut self, recording: Option<&'a mut Recording>) -> Self {
        self.recording = recording;
        self
    }

    /// Takes in every outcome up to a moment.
    fn catch_up(&mut self, now_ms: u64) -> anyhow::Result<Vec<Event>> {
        while let Some(Reverse((ended_ms, line))) = self.ahead.peek().copied()
            && ended_ms <= now_ms
        {
            self.ahead.pop();
            let Some(ended) = self.outcomes.remove(&line) else {
                continue;
            };
            // What was spent was spent: a reservation of nothing always fits, and its cost is an overrun.
            let id = ReservationId(u128::try_from(line).expect("a line's number"));
            self.ledger.reserve(
                &Request { id, path: &ended.path, amount: Nanodollars::ZERO, expires_ms: u64::MAX },
                ended_ms,
            )?;
            let _nowhere = self.ledger.post(id, Settlement::exact(ended.cost), None, ended_ms)?;
            self.ledger.outcome(&ended.report);
            if let Some(usage) = &ended.usage {
                self.estimates.learn(&ended.stage, usage);
            }
            if let Some(open) = self.open_rows.get_mut(&ended.run) {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    self.ledger.finish_run(Reference::of(&ended.run));
                }
            }
        }
        Ok(self.ledger.take_events())
    }

    fn dispatch(&self, row: &Row, path: &Path) -> Dispatch {
        let symbol = |name: &Option<String>| name.as_deref().map_or(Symbol::UNKNOWN, |name| self.host.symbol(name));
        let expected = self.estimates.expect(&row.stage);
        let candidates = self.host.catalogue().candidates(|model, _| {
            let name = self.host.symbols().display(model);
            self.prices.lookup(&name).price()?.cost(&expected, OF_AN_INVOCATION).ok()
        });
        Dispatch {
            now_ms: row.started_ms,
            task_type: symbol(&row.task_type),
            stage: self.host.symbol(&row.stage),
            priority: row.priority,
            scopes: *path.scopes(),
            task: Some(task(row)),
            sample: Some(Reference::of(&row.run)),
            candidates,
            ..Dispatch::default()
        }
    }

    /// Decides, waits as long as the decision says, and decides again.
    fn decide(&mut self, row: &Row, dispatch: &mut Dispatch, path: &Path) -> anyhow::Result<(Decision, Vec<u32>)> {
        self.ledger.inform(dispatch, path)?;
        let mut decision = self.host.decide(dispatch);
        self.record(row, dispatch, &decision);
        let mut nanoseconds = vec![decision.nanoseconds];
        for _ in 0..MAX_WAITS {
            let Outcome::Slow { milliseconds, .. } = decision.outcome else {
                break;
            };
            dispatch.now_ms = dispatch.now_ms.saturating_add(u64::from(milliseconds));
            dispatch.waited_ms = dispatch.waited_ms.saturating_add(milliseconds);
            self.ledger.inform(dispatch, path)?;
            decision = self.host.decide(dispatch);
            self.record(row, dispatch, &decision);
            nanoseconds.push(decision.nanoseconds);
        }
        Ok((decision, nanoseconds))
    }

    fn record(&mut self, row: &Row, dispatch: &Dispatch, decision: &Decision) {
        if let Some(recording) = &mut self.recording {
            recording.record(
                dispatch,
                decision,
                &Context { names: names(row), origins: ORIGINS, ..Context::default() },
            );
        }
    }

    fn cost(&self, row: &Row, candidate: Option<&Candidate>) -> Option<Nanodollars> {
        let Some(candidate) = candidate else {
            return Some(Nanodollars::ZERO);
        };
        let Some(usage) = &row.usage else {
            return row.cost;
        };
        let name = self.host.symbols().display(candidate.model);
        self.prices.lookup(&name).price()?.cost(usage, OF_AN_INVOCATION).ok()
    }

    /// The tier that worked on a row: where this replay sent it, else what the trace names.
    fn tier(&self, row: &Row, candidate: Option<&Candidate>) -> Option<Tier> {
        let recorded = || self.host.catalogue().tier(self.host.symbol(row.model.as_deref()?));
        candidate.map(|candidate| candidate.tier).or_else(recorded)
    }
}

impl Timeline<'_> {
    fn decide_row(&mut self, row: Row) -> anyhow::Result<DecidedRow> {
        let reached = self.catch_up(row.started_ms)?;
        let path = self.ledger.path(&row.names())?;
        let mut dispatch = self.dispatch(&row, &path);
        let (decision, nanoseconds) = self.decide(&row, &mut dispatch, &path)?;
        let mut decided = DecidedRow { row, dispatch, decision, nanoseconds, cost: None, reached };
        let candidate = decided.candidate().copied();
        self.ledger.count_decision(&decided.dispatch, candidate.is_none());
        if let Some(candidate) = &candidate {
            self.ledger.remember_route(&decided.dispatch, candidate);
        }
        decided.cost = self.cost(&decided.row, candidate.as_ref());
        let row = &decided.row;
        self.ahead.push(Reverse((row.ended_ms, row.line)));
        let ended = Ended {
            report: report(row, &decided.dispatch, self.tier(row, candidate.as_ref())),
            cost: row.cost.unwrap_or_default(),
            path,
            run: row.run.clone(),
            stage: row.stage.clone(),
            usage: row.usage,
        };
        self.outcomes.insert(row.line, ended);
        Ok(decided)
    }
}

impl Iterator for Timeline<'_> {
    type Item = anyhow::Result<DecidedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.pop_front()?;
        Some(self.decide_row(row))
    }
}

/// Task names are the run's own.
fn task(row: &Row) -> Reference {
    Reference::of(&format!("{}/{}", row.run, row.task))
}

/// What the trace calls things.
fn names(row: &Row) -> Names<'_> {
    let mut scopes = ScopeNames::default();
    for (dimension, name) in row.names() {
        if let Dimension::Scope(kind) = dimension {
            scopes.set(kind, name);
        }
    }
    let stage = Some(row.stage.as_str()).filter(|stage| !stage.is_empty());
    Names { task: Some(&row.task), task_type: row.task_type.as_deref(), stage, requested_model: None, scopes }
}

fn report(row: &Row, dispatch: &Dispatch, tier: Option<Tier>) -> Report {
    let failure = match row.failure_kind.as_deref() {
        Some("timeout") => Failure::Timeout,
        Some("output-limit" | "output_limit") => Failure::OutputLimit,
        other => Failure::Other { fingerprint: Reference::of(other.unwrap_or_default()).as_u64() },
    };
    Report {
        task: task(row),
        scopes: dispatch.scopes,
        task_type: dispatch.task_type,
        started_ms: row.started_ms,
        ended_ms: row.ended_ms,
        tier,
        status: match row.status {
            RowStatus::Success => Status::Succeeded,
            RowStatus::Failed => Status::Failed(failure),
            RowStatus::Rejected => Status::Rejected,
            RowStatus::ProviderUnavailable => Status::ProviderUnavailable,
        },
        context: None,
        proposal: row.proposal.as_deref().map(|proposal| Reference::of(proposal).as_u64()),
        productive: row.productive,
    }
}
