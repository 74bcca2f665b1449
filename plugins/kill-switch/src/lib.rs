//! Stops what an engaged switch covers, and engages one by itself, with evidence and an end, when a run costs
//! or spends too much. It knows nothing of who engaged a switch: the host keeps them and says which covers a
//! dispatch.

mod config;

pub use config::{
    Config, OUTLIER_FACTOR, OUTLIER_FINISHED_RUNS, OUTLIER_FLOOR, Outlier, RATE_TIME_TO_LIVE, RUN_COST_CEILING,
    RUN_COST_TIME_TO_LIVE, RUN_RATE_PER_MINUTE, RunCost, RunRate, SCOPE_RATE_PER_MINUTE, ScopeRate, TaskType,
};

use tollgate_sdk::kill_switch::{Facts, Moment, Selector, Verdict};
use tollgate_sdk::{
    ConfigError, KillSwitch, Lookup, NameKind, Nanodollars, Policy, Reason, ReasonCode, ScopeKind, Setup, Span,
    SwitchMode, ensure,
};

/// The kill switch, configured.
#[derive(Debug)]
pub struct SpendSwitch {
    limits: Limits,
    task_types: Lookup<Limits>,
    scope_rate: Option<Nanodollars>,
    outlier_floor: Nanodollars,
    finished_runs: u32,
    actions: Actions,
    codes: Codes,
}

/// What differs between task types; nothing where a rule is off.
#[derive(Clone, Copy, Debug)]
struct Limits {
    run_cost: Option<Nanodollars>,
    run_per_minute: Option<Nanodollars>,
    outlier_factor: Option<u32>,
}

/// What tripping does, for each rule.
#[derive(Debug)]
struct Actions {
    run_cost: Action,
    run_rate: Action,
    scope_rate: Action,
    outlier: Action,
}

#[derive(Clone, Copy, Debug)]
struct Action {
    mode: SwitchMode,
    time_to_live: Span,
}

#[derive(Debug)]
struct Codes {
    switch_engaged: ReasonCode,
    run_cost: ReasonCode,
    run_rate: ReasonCode,
    scope_rate: ReasonCode,
    outlier: ReasonCode,
}

impl Policy for SpendSwitch {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let Config { run_cost, run_rate, scope_rate, outlier, task_types } = config;
        for (setting, span) in [
            ("run_cost.time_to_live", run_cost.time_to_live),
            ("run_rate.time_to_live", run_rate.time_to_live),
            ("scope_rate.time_to_live", scope_rate.time_to_live),
            ("outlier.time_to_live", outlier.time_to_live),
        ] {
            ensure(span > Span::ZERO, setting, "must be above zero: a switch that ends at once stops nothing")?;
        }
        ensure(outlier.factor > 0, "outlier.factor", "must be at least 1")?;
        let limits = Limits {
            run_cost: run_cost.enabled.then_some(run_cost.ceiling),
            run_per_minute: run_rate.enabled.then_some(run_rate.per_minute),
            outlier_factor: outlier.enabled.then_some(outlier.factor),
        };
        let own = task_types.iter().map(|(pattern, own)| (pattern.as_str(), limits.with(own)));
        let action = |mode, time_to_live| Action { mode, time_to_live };
        Ok(Self {
            limits,
            task_types: setup.lookup(NameKind::TaskType, own)?,
            scope_rate: scope_rate.enabled.then_some(scope_rate.per_minute),
            outlier_floor: outlier.floor,
            finished_runs: outlier.finished_runs,
            actions: Actions {
                run_cost: action(run_cost.mode, run_cost.time_to_live),
                run_rate: action(run_rate.mode, run_rate.time_to_live),
                scope_rate: action(scope_rate.mode, scope_rate.time_to_live),
                outlier: action(outlier.mode, outlier.time_to_live),
            },
            codes: Codes {
                switch_engaged: setup.reason("switch-engaged"),
                run_cost: setup.reason("run-cost"),
                run_rate: setup.reason("run-spend-per-minute"),
                scope_rate: setup.reason("scope-spend-per-minute"),
                outlier: setup.reason("run-cost-outlier"),
            },
        })
    }
}

impl Limits {
    fn with(self, own: &TaskType) -> Self {
        Self {
            run_cost: own.run_cost.or(self.run_cost),
            run_per_minute: own.run_per_minute.or(self.run_per_minute),
            outlier_factor: own.outlier_factor.or(self.outlier_factor),
        }
    }
}

impl KillSwitch for SpendSwitch {
    #[inline(always)]
    fn evaluate(&self, facts: &Facts) -> Verdict {
        if is_stopped(facts) {
            return Verdict::Stop(self.engaged(facts));
        }
        let limits = self.task_types.find(facts.dispatch.task_type).unwrap_or(&self.limits);
        self.run_cost(facts, limits)
            .or_else(|| self.run_rate(facts, limits))
            .or_else(|| self.scope_rate(facts))
            .or_else(|| self.outlier(facts, limits))
            .unwrap_or(Verdict::Proceed)
    }
}

/// Draining stops what would start; cutting stops what runs as well.
fn is_stopped(facts: &Facts) -> bool {
    match facts.covered {
        None => false,
        Some(SwitchMode::Cut) => true,
        Some(SwitchMode::Drain) => facts.moment == Moment::Dispatch,
    }
}

impl SpendSwitch {
    #[inline]
    fn engaged(&self, facts: &Facts) -> Reason {
        if facts.covered_reason.is_known() {
            ReasonCode::new(facts.covered_reason).alone()
        } else {
            self.codes.switch_engaged.alone()
        }
    }

    #[inline]
    fn run_cost(&self, facts: &Facts, limits: &Limits) -> Option<Verdict> {
        let ceiling = limits.run_cost.filter(|ceiling| facts.run_cost > *ceiling)?;
        let evidence = self.codes.run_cost.exceeded(facts.run_cost, ceiling);
        trip(facts, self.actions.run_cost, ScopeKind::Run, evidence)
    }

    #[inline]
    fn run_rate(&self, facts: &Facts, limits: &Limits) -> Option<Verdict> {
        let rate = limits.run_per_minute.filter(|rate| facts.run_spend_per_minute > *rate)?;
        let evidence = self.codes.run_rate.exceeded(facts.run_spend_per_minute, rate);
        trip(facts, self.actions.run_rate, ScopeKind::Run, evidence)
    }

    #[inline]
    fn scope_rate(&self, facts: &Facts) -> Option<Verdict> {
        let rate = self.scope_rate.filter(|rate| facts.scope_spend_per_minute > *rate)?;
        let evidence = self.codes.scope_rate.exceeded(facts.scope_spend_per_minute, rate);
        trip(facts, self.actions.scope_rate, facts.fastest_scope, evidence)
    }

    /// A suspicion, which a person who has approved the run has answered.
    #[inline]
    fn outlier(&self, facts: &Facts, limits: &Limits) -> Option<Verdict> {
        let factor = limits.outlier_factor?;
        let ceiling = facts.task_type_p95.times(factor).max(self.outlier_floor);
        if facts.dispatch.approved || facts.finished_runs < self.finished_runs || facts.run_cost <= ceiling {
            return None;
        }
        let evidence = self.codes.outlier.exceeded(facts.run_cost, ceiling);
        trip(facts, self.actions.outlier, ScopeKind::Run, evidence)
    }
}

/// Engages a switch, unless one covers the dispatch that is as strict: a stream that ends under a drain is
/// not a reason for another drain.
fn trip(facts: &Facts, action: Action, scope: ScopeKind, evidence: Reason) -> Option<Verdict> {
    let stricter = facts.covered.is_none_or(|mode| action.mode > mode);
    stricter.then(|| Verdict::trip(Selector::Scope(scope), action.mode, action.time_to_live, evidence))
}

tollgate_sdk::export!(SpendSwitch: kill_switch);
