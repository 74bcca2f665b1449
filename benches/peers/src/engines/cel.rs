//! cel: the rules as six expressions, each compiled once. An expression has no variables of its own, so the host carries a
//! value from one to the next; loops over candidates and scopes are written out, which is faster than CEL's macros. Facts are
//! numbers that the engine asks for by name.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use cel::common::types::CelInt;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, Program, Value};
use peer_rules::{CANDIDATES, COST_BOUND, Candidate, Facts, Rule, SCALARS, SCOPES, Scope, Verdict};

use super::Peer;
use crate::dispatches::Case;

/// A number for a rule, or 0.
const STOPS: &str = "covered == 1 ? 1 : run_cost > 1000000000000 ? 2 : run_per_minute > 25000000000 ? 3
  : approved == 0 && finished_runs >= 20 && run_cost > 5000000000 && run_cost > task_type_p95 * 10 ? 4
  : repetition == 3 && repetitions >= 2 ? 5 : attempts >= 6 ? 6 : approved == 1 ? 0
  : repetition > 0 && repetition != 3 && repetitions >= 3 ? 7 : attempts >= 2 && fast_failures >= 1 ? 8
  : streak >= 4 ? 9 : streak >= 2 && streak_elapsed_ms > 1200000 ? 10 : failed_tier == 2 && rejections >= 2 ? 11 : 0";
const WAIT: &str = "streak < 3 ? 0
  : (streak == 3 ? 10000 : streak == 4 ? 20000 : streak == 5 ? 40000 : streak == 6 ? 80000 : streak == 7 ? 160000 : 300000)
    - (since_failure_ms > waited_ms ? since_failure_ms : waited_ms)";
const FLOOR: &str = "wait > 0 || attempts < 2 && rejections < 1 ? 0 : failed_tier < 1 ? 1 : 2";
const TIER: &str = "requested_tier >= 0 ? (requested_tier > floor ? requested_tier : floor) : rejections > 0 ? 2
  : task_type >= 1 && task_type <= 4 ? floor : (task_type == 5 || task_type == 6) && floor < 2 ? 1 : 2";
/// Of candidate `@`; the smallest is the best, and what is below zero is where the run was before.
const RANK: &str = "sticky == @ && c@_health == 0 && c@_free_slots > 0 && c@_cost <= affordable
  && (requested_tier >= 0 ? c@_tier == tier : rejections > 0 ? c@_tier == 2 : c@_tier >= floor) ? @ - 8
  : (((((c@_health == 2 ? 9 : c@_cost <= affordable && c@_tier >= tier ? 0
        : c@_cost <= affordable && requested_tier < 0 && c@_tier >= floor ? 2 - c@_tier
        : c@_tier >= (requested_tier < 0 ? floor : tier) ? 3 : 9) * 3
      + (c@_free_slots == 0 ? 2 : c@_health)) * 2 + 1 - c@_local) * 100000000000 + c@_cost) * 2 + 1 - c@_warm) * 24
    + c@_tier * 8 + @";
/// From here on a candidate cannot be had.
const NONE: i64 = 4 * 3 * 2 * COST_BOUND * 2 * 24;
const OVER: &str = "s@_committed + cost > s@_";
const NEAR: &str = "s@_committed * 5 >= s@_limit * 4";

pub(crate) struct Cel {
    env: Arc<Env>,
    stops: Program,
    wait: Program,
    floor: Program,
    tier: Program,
    route: Program,
    budget: Program,
    numbers: Numbers,
}

/// What the expressions read.
struct Numbers {
    places: HashMap<String, usize>,
    values: Vec<CelInt>,
}

impl VariableResolver for Numbers {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        Some(CowVal::Borrowed(&self.values[*self.places.get(variable)?]))
    }
}

/// What one expression leaves to the later ones.
const CARRIED: [&str; 4] = ["wait", "floor", "tier", "cost"];

impl Numbers {
    fn new() -> Self {
        let mut names: Vec<String> = CARRIED.iter().chain(&SCALARS).map(|name| (*name).to_owned()).collect();
        for (letter, count, row) in [("c", CANDIDATES, &Candidate::NAMES[..]), ("s", SCOPES, &Scope::NAMES[..])] {
            names.extend((0..count).flat_map(|place| row.iter().map(move |name| format!("{letter}{place}_{name}"))));
        }
        let places: HashMap<_, _> = names.into_iter().enumerate().map(|(place, name)| (name, place)).collect();
        Self { values: vec![CelInt::default(); places.len()], places }
    }

    fn take(&mut self, facts: &Facts) {
        let candidates = facts.candidates.iter().flat_map(Candidate::numbers);
        let scopes = facts.scopes.iter().flat_map(Scope::numbers);
        let all = facts.scalars().into_iter().chain(candidates).chain(scopes);
        for (value, number) in self.values[CARRIED.len()..].iter_mut().zip(all) {
            *value = number.into();
        }
    }
}

impl Cel {
    pub(crate) fn new() -> Result<Self> {
        let mut env = Env::stdlib();
        env.add_extension(cel::extensions::math).map_err(|error| anyhow!("{error}"))?;
        let env = Arc::new(env);
        let compile = |text: &str| env.compile(text).map_err(|error| anyhow!("{error}"));
        let each = |text: &str, count: usize, between: &str| {
            let one = |place: usize| format!("({})", text.replace('@', &place.to_string()));
            (0..count).map(one).collect::<Vec<_>>().join(between)
        };
        let route = format!("math.least({})", each(RANK, CANDIDATES, ", "));
        let over = |bound: &str| each(&format!("{OVER}{bound}"), SCOPES, " || ");
        // Below zero is a rule, else what is to be waited.
        let budget = format!(
            "cost > 0 && ({}) ? -13 : approved == 0 && cost > 0 && (priority == 0 || cost >= 5000000000) && ({}) ? -14 \
             : priority == 0 && 2000 - waited_ms > wait && ({}) ? 2000 - waited_ms : wait",
            over("hard"),
            over("limit"),
            each(NEAR, SCOPES, " || ")
        );
        Ok(Self {
            stops: compile(STOPS)?,
            wait: compile(WAIT)?,
            floor: compile(FLOOR)?,
            tier: compile(TIER)?,
            route: compile(&route)?,
            budget: compile(&budget)?,
            numbers: Numbers::new(),
            env,
        })
    }

    fn evaluate(&self, program: &Program) -> Result<i64> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(&self.numbers);
        match program.execute(&context).context("an expression failed")? {
            Value::Int(number) => Ok(number),
            other => bail!("an expression comes to {other:?}"),
        }
    }

    fn carry(&mut self, place: usize, number: i64) {
        self.numbers.values[place] = number.into();
    }
}

impl Peer for Cel {
    fn name(&self) -> &'static str {
        "cel 0.15"
    }

    fn includes(&self) -> &'static str {
        "facts to CEL integers that are resolved by name, six expressions, their values carried on"
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        self.numbers.take(&case.facts);
        let rule = self.evaluate(&self.stops)?;
        if rule > 0 {
            return Ok(Verdict::from_number(rule * 1_000_000_000));
        }
        let wait = self.evaluate(&self.wait)?.max(0);
        self.carry(0, wait);
        let floor = self.evaluate(&self.floor)?;
        self.carry(1, floor);
        let tier = self.evaluate(&self.tier)?;
        self.carry(2, tier);
        let best = self.evaluate(&self.route)?;
        if best >= NONE {
            return Ok(Verdict::stopped(Rule::NoCandidate));
        }
        let chosen = usize::try_from(best.rem_euclid(8))?;
        self.carry(3, case.facts.candidates[chosen].cost);
        match self.evaluate(&self.budget)? {
            rule @ ..0 => Ok(Verdict::from_number(-rule * 1_000_000_000)),
            wait => Ok(Verdict::goes(chosen, wait)),
        }
    }
}
