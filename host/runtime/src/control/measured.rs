//! The decision that every bench measures: the four shipped policies with their default configuration, all four
//! evaluated, five scopes with a budget each, eight candidates, three engaged switches that do not match, and facts
//! that vary over 1,024 dispatches and are read from a live [`History`]; how the accounts of the budgets stand is the ledger's to
//! say, and given here.
//!
//! A figure means something only when the same was measured, so what is measured is fixed here and checked: a
//! host that does not let each of these dispatches go after four evaluations is refused.

use tollgate_core::{
    Account, Configuration, Dispatch, Failure, History, Movement, Nanodollars, Outcome, PolicyKind, Priority, Reason,
    Reference, Report, ScopeKind, ScopePath, Selector, Status, Switch, SwitchMode, Symbol, Tier, TooManySwitches,
};

use crate::host::Host;
use crate::probe::Mix;

/// How many dispatches there are before the first comes again: more than a branch predictor learns by heart.
const DISPATCHES: u64 = 1_024;
/// 2026-01-14, 14:00 UTC.
const NOW_MS: u64 = 1_768_399_200_000;
const MINUTE_MS: u64 = 60_000;
/// One cent.
const CENT: u64 = 10_000_000;
/// How many runs of each task type have ended; enough for a policy to trust their percentile.
const FINISHED_RUNS: u64 = 64;

/// The dispatches, and the live state that their facts are read from.
pub struct MeasuredDecision {
    history: History,
    dispatches: Vec<Dispatch>,
}

/// Why a host does not make the decision that is measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasuredError {
    /// Switches cannot be engaged.
    #[error(transparent)]
    Switches(#[from] TooManySwitches),
    /// It does not have the chain or the candidates.
    #[error("a measured decision has {expected} {what}, and this host's has {actual}")]
    Shape {
        /// What there is too much or too little of.
        what: &'static str,
        /// How many there have to be.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// A policy stopped it, so it was not evaluated by all four.
    #[error("dispatch {index} was to proceed after four evaluations: it came to {outcome} after {evaluations}")]
    NotAllEvaluated {
        /// Which of the dispatches.
        index: usize,
        /// What was decided.
        outcome: String,
        /// How many policies were asked.
        evaluations: usize,
    },
}

/// The configuration of the host that makes the measured decision.
///
/// # Panics
/// Never: the document is part of this program, and a test reads it.
#[must_use]
pub fn measured_configuration() -> Configuration {
    Configuration::parse(include_str!("measured.toml"))
        .expect("the document is part of this program, and a test reads it")
}

impl MeasuredDecision {
    /// Engages the three switches, fills a history, and checks that the host decides each dispatch as is measured.
    ///
    /// # Errors
    /// When the host was not built from [`measured_configuration`], or a policy does not let a dispatch go.
    pub fn prepare(host: &Host) -> Result<Self, MeasuredError> {
        engage_switches(host)?;
        let configuration = measured_configuration();
        let history = History::new(configuration.attempts, host.counters(), History::REMEMBERED);
        fill(&history, host);
        let dispatches = (0..DISPATCHES)
            .map(|index| Dispatch { accounts: accounts(index, &configuration, host), ..dispatch(index, host) })
            .collect();
        let mut measured = Self { history, dispatches };
        measured.read_facts();
        measured.check(host)?;
        Ok(measured)
    }

    /// The dispatches as they are.
    #[must_use]
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// A copy of the dispatches for another thread, which reads its facts with [`Self::inform`].
    #[must_use]
    pub fn copy(&self) -> Vec<Dispatch> {
        self.dispatches.clone()
    }

    /// Reads the facts of one dispatch from the live state: attempts, spending, counters, route.
    pub fn inform(&self, dispatch: &mut Dispatch) {
        self.history.inform(dispatch);
    }

    /// Reads the facts of all of them.
    pub fn read_facts(&mut self) {
        for dispatch in &mut self.dispatches {
            self.history.inform(dispatch);
        }
    }

    fn check(&self, host: &Host) -> Result<(), MeasuredError> {
        let shape = |what, expected, actual| {
            if expected == actual { Ok(()) } else { Err(MeasuredError::Shape { what, expected, actual }) }
        };
        shape("engaged switches", 3, host.switches().switches().len())?;
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            shape("candidates", 8, dispatch.candidates.len())?;
            shape("accounts", 5, dispatch.accounts.len())?;
            let decision = host.decide(dispatch);
            let kinds = decision.trail.iter().map(|entry| entry.kind);
            if !matches!(decision.outcome, Outcome::Proceed(_)) || !kinds.eq(PolicyKind::ALL.iter().copied()) {
                let said = decision.trail.last().map(|entry| entry.verdict);
                let reason = said.and_then(|verdict| verdict.reason());
                return Err(MeasuredError::NotAllEvaluated {
                    index,
                    outcome: match reason {
                        Some(reason) => reason.display(host.symbols()),
                        None => decision.outcome.word().to_owned(),
                    },
                    evaluations: decision.trail.len(),
                });
            }
        }
        Ok(())
    }
}

/// A scope, a model and a task type that no dispatch has.
fn engage_switches(host: &Host) -> Result<(), TooManySwitches> {
    for selector in [
        Selector::Scope(ScopeKind::Team, Reference::of("team-elsewhere")),
        Selector::Model(Symbol::from_u32(u32::MAX)),
        Selector::TaskType(Symbol::from_u32(u32::MAX)),
    ] {
        host.engage(Switch {
            selector,
            mode: SwitchMode::Cut,
            reason: Reason::default(),
            author: "bench".into(),
            engaged_ms: NOW_MS,
            expires_ms: None,
        })?;
    }
    Ok(())
}

fn task_type(index: u64, host: &Host) -> Symbol {
    pick(host.catalogue().task_types(), index)
}

fn pick(names: &[Symbol], index: u64) -> Symbol {
    let count = u64::try_from(names.len()).unwrap_or(1).max(1);
    usize::try_from(index % count).ok().and_then(|place| names.get(place)).copied().unwrap_or_default()
}

fn scopes(index: u64) -> ScopePath {
    let mut scopes = ScopePath::default();
    let named = |kind: ScopeKind, number: u64| Reference::of(&format!("{kind}-{number}"));
    for (kind, of_kind) in [
        (ScopeKind::Organisation, 1),
        (ScopeKind::Team, 8),
        (ScopeKind::Project, 16),
        (ScopeKind::Run, DISPATCHES),
        (ScopeKind::Key, 4),
    ] {
        scopes.set(kind, named(kind, index % of_kind));
    }
    scopes
}

fn task(index: u64) -> Reference {
    Reference::of(&format!("task-{index}"))
}

fn dispatch(index: u64, host: &Host) -> Dispatch {
    let mut mix = Mix(index);
    let tokens = 2_000 + mix.below(60_000);
    // Cents for a thousand tokens would be dear; what matters here is that the order of candidates varies.
    let candidates = host.catalogue().candidates(|_, _| Some(Nanodollars::new(CENT + mix.below(50 * CENT))));
    Dispatch {
        now_ms: NOW_MS + mix.below(MINUTE_MS),
        waited_ms: 0,
        task_type: task_type(index, host),
        stage: pick(host.catalogue().stages(), index),
        priority: if index.is_multiple_of(3) { Priority::High } else { Priority::Normal },
        scopes: scopes(index),
        task: Some(task(index)),
        sample: Some(Reference::of(&format!("sample-{index}"))),
        input_tokens: tokens,
        output_tokens: 500 + mix.below(4_000),
        candidates,
        ..Dispatch::default()
    }
}

/// How the accounts of its budgets stand: between a tenth and a third of each is spent.
fn accounts(index: u64, configuration: &Configuration, host: &Host) -> Vec<Account> {
    let mut mix = Mix(index);
    let account = |budget: &tollgate_core::Budget| Account {
        kind: budget.kind(),
        owner: budget.owner.as_deref().map_or(Symbol::UNKNOWN, |owner| host.symbol(owner)),
        spent: Nanodollars::new(budget.limit.as_u64() / 10 + mix.below(budget.limit.as_u64() / 5)),
        reserved: Nanodollars::ZERO,
        limit: budget.limit,
        hard: budget.hard,
        window_end_ms: budget.window.bounds(NOW_MS).end_ms,
    };
    configuration.budgets.iter().map(account).collect()
}

/// What happened before: runs that ended, what these runs have spent, some of it just now, and a failure here and there.
fn fill(history: &History, host: &Host) {
    for task_number in 0..FINISHED_RUNS * 8 {
        let run = Reference::of(&format!("finished-{task_number}"));
        let mut scopes = ScopePath::default();
        scopes.set(ScopeKind::Run, run);
        let cost = Nanodollars::new((5 + task_number % 40) * 25 * CENT);
        let at_ms = NOW_MS - 600 * MINUTE_MS;
        history.take(&scopes, &Movement { at_ms, spend: cost, ..Movement::default() });
        history.record(&Report { scopes, task_type: task_type(task_number, host), ..report(run, at_ms) });
        history.finish_run(run);
    }
    for index in 0..DISPATCHES {
        let mut mix = Mix(index ^ u64::MAX);
        let done = Report { scopes: scopes(index), task_type: task_type(index, host), ..report(task(index), 0) };
        // Most of it this morning, a little within the minutes that make the rate.
        for (minutes_ago, cents) in [(120, 150), (2, 4)] {
            let started_ms = NOW_MS - minutes_ago * MINUTE_MS;
            let ended_ms = started_ms + 30_000;
            let spend = Nanodollars::new(mix.below(cents * CENT));
            history.take(&done.scopes, &Movement { at_ms: ended_ms, spend, ..Movement::default() });
            history.record(&Report { started_ms, ended_ms, ..done });
        }
        if index.is_multiple_of(4) {
            let started_ms = NOW_MS - 5 * MINUTE_MS;
            history.record(&Report {
                started_ms,
                ended_ms: started_ms + 60_000,
                status: Status::Failed(Failure::Other { fingerprint: index }),
                ..done
            });
        }
        if index.is_multiple_of(2) {
            let dispatch = dispatch(index, host);
            if let Some(candidate) = dispatch.candidates.get(usize::try_from(index % 8).unwrap_or(0)) {
                history.remember_route(&dispatch, candidate);
            }
        }
    }
}

fn report(task: Reference, started_ms: u64) -> Report {
    Report {
        task,
        scopes: ScopePath::default(),
        task_type: Symbol::UNKNOWN,
        started_ms,
        ended_ms: started_ms,
        tier: Some(Tier::Low),
        status: Status::Succeeded,
        context: None,
        proposal: None,
        productive: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_configuration_is_what_the_benches_say() {
        let configuration = measured_configuration();
        let served = configuration.backends.iter().map(|backend| backend.models.len());
        assert_eq!(served.sum::<usize>(), 8);
        assert_eq!(configuration.budgets.len(), 5);
        assert!(
            configuration
                .policies
                .iter()
                .map(|policy| policy.name.as_str())
                .eq(PolicyKind::ALL.iter().map(|kind| kind.as_str()))
        );
    }
}
