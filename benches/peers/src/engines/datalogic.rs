//! datalogic-rs: the rules as six JSONLogic rules, each compiled once. JSONLogic has no variables of its own, so the host carries a
//! value from one to the next; loops over candidates and scopes are written out, and facts are found by their place, which is
//! the engine's fastest way to them. The input is made in its arena.

use anyhow::{Result, anyhow, bail};
use datalogic_rs::bumpalo::Bump;
use datalogic_rs::{DataValue, Engine, Logic};
use peer_rules::{
    BACK_OFF_MS, CANDIDATES, COST_BOUND, Candidate, DEAR, ELAPSED_MS, Facts, OUTLIER_FINISHED_RUNS, OUTLIER_FLOOR,
    RUN_COST, RUN_PER_MINUTE, Rule, SCALARS, SCOPES, SLOW_MS, Scope, TIERS, Verdict,
};
use serde_json::{Value, json};

use super::Peer;
use crate::dispatches::Case;

/// What one rule leaves to the later ones; it comes behind the facts.
const CARRIED: [&str; 4] = ["wait", "floor", "tier", "cost"];
/// From here on a candidate cannot be had.
const NONE: i64 = 4 * 3 * 2 * COST_BOUND * 2 * 24;

pub(crate) struct DataLogic {
    engine: Engine,
    arena: Bump,
    stops: Logic,
    wait: Logic,
    floor: Logic,
    tier: Logic,
    route: Logic,
    budget: Logic,
}

/// The place of a fact in the input: scalars, candidates, scopes, what is carried.
fn place(name: &str) -> usize {
    let names = SCALARS.iter().chain(&["candidates", "scopes"]).chain(&CARRIED);
    names.into_iter().position(|known| *known == name).expect("the rules name facts that there are")
}

fn fact(name: &str) -> Value {
    json!({"val": [place(name)]})
}

fn of_candidate(index: usize, name: &str) -> Value {
    json!({"val": [place("candidates"), index, Candidate::NAMES.iter().position(|known| *known == name)]})
}

fn of_scope(index: usize, name: &str) -> Value {
    json!({"val": [place("scopes"), index, Scope::NAMES.iter().position(|known| *known == name)]})
}

fn all<const N: usize>(conditions: [Value; N]) -> Value {
    json!({"and": conditions.to_vec()})
}

fn is(one: &Value, comparison: &str, other: impl Into<Value>) -> Value {
    json!({comparison: [one, other.into()]})
}

/// Conditions with what follows from each, and what follows from none.
fn cases(cases: Vec<(Value, Value)>, otherwise: impl Into<Value>) -> Value {
    let pairs = cases.into_iter().flat_map(|(condition, then)| [condition, then]);
    json!({"if": pairs.chain([otherwise.into()]).collect::<Vec<_>>()})
}

fn stops() -> Value {
    let at_least = |name: &str, bound: i64| is(&fact(name), ">=", bound);
    let unlike = is(&fact("run_cost"), ">", json!({"max": [{"*": [fact("task_type_p95"), 10]}, OUTLIER_FLOOR]}));
    let is_loop = [is(&fact("repetition"), ">", 0), is(&fact("repetition"), "!==", 3), at_least("repetitions", 3)];
    cases(
        vec![
            (is(&fact("covered"), "===", 1), 1.into()),
            (is(&fact("run_cost"), ">", RUN_COST), 2.into()),
            (is(&fact("run_per_minute"), ">", RUN_PER_MINUTE), 3.into()),
            (
                all([is(&fact("approved"), "===", 0), at_least("finished_runs", OUTLIER_FINISHED_RUNS), unlike]),
                4.into(),
            ),
            (all([is(&fact("repetition"), "===", 3), at_least("repetitions", 2)]), 5.into()),
            (at_least("attempts", 6), 6.into()),
            (is(&fact("approved"), "===", 1), 0.into()),
            (all(is_loop), 7.into()),
            (all([at_least("attempts", 2), at_least("fast_failures", 1)]), 8.into()),
            (at_least("streak", 4), 9.into()),
            (all([at_least("streak", 2), is(&fact("streak_elapsed_ms"), ">", ELAPSED_MS)]), 10.into()),
            (all([is(&fact("failed_tier"), "===", 2), at_least("rejections", 2)]), 11.into()),
        ],
        0,
    )
}

fn wait() -> Value {
    let failures = |(failures, wait_ms): (i64, &i64)| (is(&fact("streak"), "===", failures), (*wait_ms).into());
    let most = BACK_OFF_MS[BACK_OFF_MS.len() - 1];
    let back_off = cases((3..).zip(&BACK_OFF_MS[..5]).map(failures).collect(), most);
    let left = json!({"-": [back_off, {"max": [fact("since_failure_ms"), fact("waited_ms")]}]});
    cases(vec![(is(&fact("streak"), "<", 3), 0.into())], left)
}

fn floor() -> Value {
    let few = all([is(&fact("attempts"), "<", 2), is(&fact("rejections"), "<", 1)]);
    cases(
        vec![(json!({"or": [is(&fact("wait"), ">", 0), few]}), 0.into()), (is(&fact("failed_tier"), "<", 1), 1.into())],
        2,
    )
}

fn tier() -> Value {
    let of_task_type = |(task_type, tier): (usize, &i64)| (is(&fact("task_type"), "===", task_type), (*tier).into());
    let mut tiers = vec![
        (is(&fact("requested_tier"), ">=", 0), fact("requested_tier")),
        (is(&fact("rejections"), ">", 0), 2.into()),
    ];
    tiers.extend(TIERS.iter().enumerate().map(of_task_type));
    json!({"max": [cases(tiers, 2), fact("floor")]})
}

/// The best of all ranks: the smallest; what is below zero is where the run was before.
fn route() -> Value {
    json!({"min": (0..CANDIDATES).map(rank).collect::<Vec<_>>()})
}

fn rank(index: usize) -> Value {
    let its = |name: &str| of_candidate(index, name);
    let is_asked = is(&fact("requested_tier"), ">=", 0);
    let payable = is(&its("cost"), "<=", fact("affordable"));
    let holds = cases(
        vec![
            (is_asked.clone(), is(&its("tier"), "===", fact("tier"))),
            (is(&fact("rejections"), ">", 0), is(&its("tier"), "===", 2)),
        ],
        is(&its("tier"), ">=", fact("floor")),
    );
    let keeps = all([
        is(&fact("sticky"), "===", index),
        is(&its("health"), "===", 0),
        is(&its("free_slots"), ">", 0),
        payable.clone(),
        holds,
    ]);
    let lowest = cases(vec![(is_asked.clone(), fact("tier"))], fact("floor"));
    let phase = cases(
        vec![
            (is(&its("health"), "===", 2), 9.into()),
            (all([payable.clone(), is(&its("tier"), ">=", fact("tier"))]), 0.into()),
            (
                all([payable, json!({"!": [is_asked]}), is(&its("tier"), ">=", fact("floor"))]),
                json!({"-": [2, its("tier")]}),
            ),
            (is(&its("tier"), ">=", lowest), 3.into()),
        ],
        9,
    );
    let readiness = cases(vec![(is(&its("free_slots"), "===", 0), 2.into())], its("health"));
    let placed = json!({"+": [{"*": [{"+": [{"*": [phase, 3]}, readiness]}, 2]}, 1, {"-": [0, its("local")]}]});
    let priced = json!({"+": [{"*": [placed, COST_BOUND]}, its("cost")]});
    let cold = json!({"+": [{"*": [priced, 2]}, 1, {"-": [0, its("warm")]}]});
    let rank = json!({"+": [{"*": [cold, 24]}, {"*": [its("tier"), 8]}, index]});
    cases(vec![(keeps, Value::from(i64::try_from(index).unwrap_or(0) - 8))], rank)
}

/// Below zero is a rule, else what is to be waited.
fn budget() -> Value {
    let any = |of: &dyn Fn(usize) -> Value| json!({"or": (0..SCOPES).map(of).collect::<Vec<_>>()});
    let over = |bound: &'static str| {
        any(&move |index| json!({">": [{"+": [of_scope(index, "committed"), fact("cost")]}, of_scope(index, bound)]}))
    };
    let near =
        any(&|index| json!({">=": [{"*": [of_scope(index, "committed"), 5]}, {"*": [of_scope(index, "limit"), 4]}]}));
    let costs = is(&fact("cost"), ">", 0);
    let is_low = is(&fact("priority"), "===", 0);
    let asks = json!({"or": [is_low, is(&fact("cost"), ">=", DEAR)]});
    let left = json!({"-": [SLOW_MS, fact("waited_ms")]});
    cases(
        vec![
            (all([costs.clone(), over("hard")]), Value::from(-13)),
            (all([is(&fact("approved"), "===", 0), costs, asks, over("limit")]), Value::from(-14)),
            (all([is_low, is(&left, ">", fact("wait")), near]), left),
        ],
        fact("wait"),
    )
}

/// The facts in the arena, with room for what is carried.
fn input<'a>(facts: &Facts, arena: &'a Bump) -> &'a mut [DataValue<'a>] {
    let row = |numbers: &[i64]| {
        DataValue::Array(arena.alloc_slice_fill_iter(numbers.iter().map(|it| DataValue::from_i64(*it))))
    };
    let candidates = facts.candidates.iter().map(|candidate| row(&candidate.numbers()));
    let scopes = facts.scopes.iter().map(|scope| row(&scope.numbers()));
    let lists = [
        DataValue::Array(arena.alloc_slice_fill_iter(candidates)),
        DataValue::Array(arena.alloc_slice_fill_iter(scopes)),
    ];
    let mut all = [DataValue::Null; SCALARS.len() + 2 + CARRIED.len()];
    let values = facts.scalars().into_iter().map(DataValue::from_i64).chain(lists);
    all.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    arena.alloc_slice_copy(&all)
}

impl DataLogic {
    pub(crate) fn new() -> Result<Self> {
        let engine = Engine::new();
        let compile = |rule: Value| engine.compile(&rule.to_string()).map_err(|error| anyhow!("{error}"));
        Ok(Self {
            stops: compile(stops())?,
            wait: compile(wait())?,
            floor: compile(floor())?,
            tier: compile(tier())?,
            route: compile(route())?,
            budget: compile(budget())?,
            arena: Bump::new(),
            engine,
        })
    }

    /// One rule, on a copy of the facts with what is carried so far.
    fn evaluate<'a>(&'a self, rule: &'a Logic, facts: &[DataValue<'a>]) -> Result<i64> {
        let facts: &'a [DataValue<'a>] = self.arena.alloc_slice_copy(facts);
        let result = self.engine.evaluate(rule, DataValue::Array(facts), &self.arena);
        match result.map_err(|error| anyhow!("{error}"))?.as_i64() {
            Some(number) => Ok(number),
            None => bail!("a rule comes to no number"),
        }
    }

    fn decided(&self, facts: &Facts) -> Result<Verdict> {
        let carried = SCALARS.len() + 2;
        let input = input(facts, &self.arena);
        let rule = self.evaluate(&self.stops, input)?;
        if rule > 0 {
            return Ok(Verdict::from_number(rule * 1_000_000_000));
        }
        input[carried] = DataValue::from_i64(self.evaluate(&self.wait, input)?.max(0));
        input[carried + 1] = DataValue::from_i64(self.evaluate(&self.floor, input)?);
        input[carried + 2] = DataValue::from_i64(self.evaluate(&self.tier, input)?);
        let best = self.evaluate(&self.route, input)?;
        if best >= NONE {
            return Ok(Verdict::stopped(Rule::NoCandidate));
        }
        let chosen = usize::try_from(best.rem_euclid(8))?;
        input[carried + 3] = DataValue::from_i64(facts.candidates[chosen].cost);
        match self.evaluate(&self.budget, input)? {
            rule @ ..0 => Ok(Verdict::from_number(-rule * 1_000_000_000)),
            wait => Ok(Verdict::goes(chosen, wait)),
        }
    }
}

impl Peer for DataLogic {
    fn name(&self) -> &'static str {
        "datalogic-rs 5.4 (JSONLogic)"
    }

    fn includes(&self) -> &'static str {
        "facts into its arena, six rules, their values carried on"
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        self.arena.reset();
        self.decided(&case.facts)
    }
}
