//! rhai: one script with the rules of all four policies, compiled once, called with a map. Its own checks of arithmetic and its
//! default limits are on.

use anyhow::{Result, anyhow};
use peer_rules::{Facts, SCALARS, Verdict};
use rhai::{AST, Array, CallFnOptions, Dynamic, Engine, Map, OptimizationLevel, Scope};

use super::Peer;
use crate::dispatches::Case;

pub(crate) struct Rhai {
    engine: Engine,
    rules: AST,
}

impl Rhai {
    pub(crate) fn new() -> Result<Self> {
        let mut engine = Engine::new();
        engine.set_optimization_level(OptimizationLevel::Full);
        // The sum that ranks a candidate is deeper than the default of a debug build.
        engine.set_max_expr_depths(64, 64);
        let rules = engine.compile(include_str!("../../policies/decide.rhai")).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { engine, rules })
    }
}

fn facts(facts: &Facts) -> Map {
    let row = |numbers: &[i64]| Dynamic::from_array(numbers.iter().map(|number| Dynamic::from_int(*number)).collect());
    let candidates: Array = facts.candidates.iter().map(|candidate| row(&candidate.numbers())).collect();
    let scopes: Array = facts.scopes.iter().map(|scope| row(&scope.numbers())).collect();
    let mut map: Map = SCALARS.iter().zip(facts.scalars()).map(|(name, it)| ((*name).into(), it.into())).collect();
    map.insert("candidates".into(), Dynamic::from_array(candidates));
    map.insert("scopes".into(), Dynamic::from_array(scopes));
    map
}

impl Peer for Rhai {
    fn name(&self) -> &'static str {
        "rhai 1.27"
    }

    fn includes(&self) -> &'static str {
        "facts to a map, one script"
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        // The script is functions only: there is nothing else to evaluate before a call.
        let options = CallFnOptions::new().eval_ast(false);
        let (mut scope, argument) = (Scope::new(), (facts(&case.facts),));
        let number = self.engine.call_fn_with_options::<i64>(options, &mut scope, &self.rules, "decide", argument);
        Ok(Verdict::from_number(number.map_err(|error| anyhow!("{error}"))?))
    }
}
