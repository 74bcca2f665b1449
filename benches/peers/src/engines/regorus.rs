//! regorus: one Rego package with the rules of all four policies, compiled for its virtual machine, which is kept.

use anyhow::{Result, anyhow};
use peer_rules::{Facts, SCALARS, Verdict};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};

use super::Peer;
use crate::dispatches::Case;

const RULES: &str = include_str!("../../policies/decide.rego");
const DECISION: &str = "data.tollgate.decision";

pub(crate) struct Regorus {
    machine: RegoVM,
    /// Made once, so that no decision allocates a name.
    names: Vec<Value>,
}

impl Regorus {
    pub(crate) fn new() -> Result<Self> {
        let mut engine = Engine::new();
        engine.add_policy("decide.rego".to_owned(), RULES.to_owned())?;
        let policy = engine.compile_with_entrypoint(&Rc::from(DECISION))?;
        let program = Compiler::compile_from_policy(&policy, &[DECISION]).map_err(|error| anyhow!("{error}"))?;
        let mut machine = RegoVM::new_with_policy(policy);
        machine.load_program(program);
        let names = SCALARS.iter().chain(&["candidates", "scopes"]).map(|name| Value::from(*name)).collect();
        Ok(Self { machine, names })
    }

    fn input(&self, facts: &Facts) -> Value {
        let row = |numbers: &[i64]| Value::from(numbers.iter().map(|number| Value::from(*number)).collect::<Vec<_>>());
        let candidates: Vec<_> = facts.candidates.iter().map(|candidate| row(&candidate.numbers())).collect();
        let scopes: Vec<_> = facts.scopes.iter().map(|scope| row(&scope.numbers())).collect();
        let values = facts.scalars().into_iter().map(Value::from).chain([candidates.into(), scopes.into()]);
        Value::from(self.names.iter().cloned().zip(values).collect::<std::collections::BTreeMap<_, _>>())
    }
}

impl Peer for Regorus {
    fn name(&self) -> &'static str {
        "regorus 0.14 (Rego, RVM)"
    }

    fn includes(&self) -> &'static str {
        "facts to a Rego object, one program for its virtual machine"
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        self.machine.set_input(self.input(&case.facts));
        let value = self.machine.execute().map_err(|error| anyhow!("{error}"))?;
        let number = value.as_i64()?;
        Ok(Verdict::from_number(number))
    }
}
