//! What the kill switch can be told. Everything has a default, and every default its reason.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_sdk::{Nanodollars, Span, SwitchMode};

/// Runs of hundreds of tasks over days cost hundreds of dollars and go well; past a thousand someone should have
/// been asked.
pub const RUN_COST_CEILING: Nanodollars = Nanodollars::dollars(1_000);

/// The run is over its ceiling until someone raises it, so the switch only has to outlast a working day;
/// when it ends, the run's next dispatch engages it again.
pub const RUN_COST_TIME_TO_LIVE: Span = Span::days(1);

/// The dearest single calls seen in practice cost about seven dollars and take minutes; a run that spends
/// more than three of them every minute is not working, it is looping.
pub const RUN_RATE_PER_MINUTE: Nanodollars = Nanodollars::dollars(25);

/// A hundred busy runs at a quarter of a dollar a minute. What a team or a key spends is nobody's guess but
/// its own, which is why the rule is off until someone sets it.
pub const SCOPE_RATE_PER_MINUTE: Nanodollars = Nanodollars::dollars(25);

/// Time for a person to look; a burst that was none of these things goes on by itself afterwards.
pub const RATE_TIME_TO_LIVE: Span = Span::minutes(30);

/// Costs of runs spread over an order of magnitude around their median, and the 95th percentile already is
/// the dear end: ten times that is not the same kind of work any more.
pub const OUTLIER_FACTOR: u32 = 10;

/// Below twenty runs the 95th percentile is simply the dearest one.
pub const OUTLIER_FINISHED_RUNS: u32 = 20;

/// Ten times a few cents is no reason to wake anyone.
pub const OUTLIER_FLOOR: Nanodollars = Nanodollars::dollars(5);

/// The configuration of the kill switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Trips when a run costs more than a ceiling.
    pub run_cost: RunCost,
    /// Trips when a run spends more than so much in a minute.
    pub run_rate: RunRate,
    /// Trips when any other scope of the dispatch (team, project, key, …) does.
    pub scope_rate: ScopeRate,
    /// Trips when a run costs many times what runs of its task type cost.
    pub outlier: Outlier,
    /// Limits of their own for task types; `*` stands for any characters. One given here is in force even
    /// where the rule is off.
    pub task_types: BTreeMap<String, TaskType>,
}

/// When a run costs too much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunCost {
    /// Whether the rule is on.
    pub enabled: bool,
    /// What a run may cost, settled and reserved.
    pub ceiling: Nanodollars,
    /// How the switch treats what already runs.
    pub mode: SwitchMode,
    /// When the switch ends by itself.
    pub time_to_live: Span,
}

impl Default for RunCost {
    fn default() -> Self {
        Self { enabled: true, ceiling: RUN_COST_CEILING, mode: SwitchMode::Cut, time_to_live: RUN_COST_TIME_TO_LIVE }
    }
}

/// When a run spends too fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunRate {
    /// Whether the rule is on.
    pub enabled: bool,
    /// What a run may spend in a minute.
    pub per_minute: Nanodollars,
    /// How the switch treats what already runs.
    pub mode: SwitchMode,
    /// When the switch ends by itself.
    pub time_to_live: Span,
}

impl Default for RunRate {
    fn default() -> Self {
        Self { enabled: true, per_minute: RUN_RATE_PER_MINUTE, mode: SwitchMode::Cut, time_to_live: RATE_TIME_TO_LIVE }
    }
}

/// When another scope spends too fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeRate {
    /// Whether the rule is on.
    pub enabled: bool,
    /// What a scope may spend in a minute.
    pub per_minute: Nanodollars,
    /// How the switch treats what already runs. Many runs share a scope, so what they have begun may end.
    pub mode: SwitchMode,
    /// When the switch ends by itself.
    pub time_to_live: Span,
}

impl Default for ScopeRate {
    fn default() -> Self {
        Self {
            enabled: false,
            per_minute: SCOPE_RATE_PER_MINUTE,
            mode: SwitchMode::Drain,
            time_to_live: RATE_TIME_TO_LIVE,
        }
    }
}

/// When a run costs many times what its task type does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outlier {
    /// Whether the rule is on.
    pub enabled: bool,
    /// How many times the 95th percentile of its task type a run may cost.
    #[schemars(range(min = 1))]
    pub factor: u32,
    /// How many finished runs the percentile must rest on.
    #[schemars(range(min = 1))]
    pub finished_runs: u32,
    /// A run that costs no more than this is never an outlier.
    pub floor: Nanodollars,
    /// How the switch treats what already runs. A percentile is a suspicion, so what has begun may end.
    pub mode: SwitchMode,
    /// When the switch ends by itself.
    pub time_to_live: Span,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            enabled: true,
            factor: OUTLIER_FACTOR,
            finished_runs: OUTLIER_FINISHED_RUNS,
            floor: OUTLIER_FLOOR,
            mode: SwitchMode::Drain,
            time_to_live: RUN_COST_TIME_TO_LIVE,
        }
    }
}

/// Limits of a task type; what is not given is as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskType {
    /// What a run may cost.
    pub run_cost: Option<Nanodollars>,
    /// What a run may spend in a minute.
    pub run_per_minute: Option<Nanodollars>,
    /// How many times the 95th percentile a run may cost.
    #[schemars(range(min = 1))]
    pub outlier_factor: Option<u32>,
}
