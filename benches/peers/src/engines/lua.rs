//! LuaJIT through mlua: one script with the rules of all four policies, its facts as plain arguments or as tables.
//! No limit of time or memory is set, and none of its libraries is loaded but `math`.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use mlua::{Function, LuaOptions, StdLib, Table, Value, Variadic};
use peer_rules::{CANDIDATES, Candidate, Facts, SCALARS, SCOPES, Scope, Verdict};

use super::Peer;
use crate::dispatches::Case;

const RULES: &str = include_str!("../../policies/decide.lua");
/// What the rules call themselves by shorter names.
const KNOWN: &str = "local max, min = math.max, math.min
local back_off = {10000, 20000, 40000, 80000, 160000, 300000}
local tiers = {2, 0, 0, 0, 0, 1, 1, 2, 2}
";

pub(crate) struct Lua {
    lua: mlua::Lua,
    decide: Function,
    arguments: Arguments,
}

#[derive(Clone, Copy)]
enum Arguments {
    Flat,
    Table,
}

impl Lua {
    pub(crate) fn flat() -> Result<Self> {
        Self::new(&flat_script()?, Arguments::Flat)
    }

    pub(crate) fn table() -> Result<Self> {
        Self::new(&table_script()?, Arguments::Table)
    }

    fn new(script: &str, arguments: Arguments) -> Result<Self> {
        let failed = |error: mlua::Error| anyhow!("{error}");
        let lua = mlua::Lua::new_with(StdLib::MATH | StdLib::JIT, LuaOptions::default()).map_err(failed)?;
        let decide = lua.load(script).eval().map_err(failed)?;
        Ok(Self { lua, decide, arguments })
    }

    fn call(&self, facts: &Facts) -> mlua::Result<i64> {
        match self.arguments {
            Arguments::Flat => self.decide.call(Variadic::from_iter(flat(facts))),
            Arguments::Table => self.decide.call(self.table_of(facts)?),
        }
    }

    fn table_of(&self, facts: &Facts) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, SCALARS.len() + 2)?;
        for (name, number) in SCALARS.iter().zip(facts.scalars()) {
            table.raw_set(*name, number)?;
        }
        let candidates = facts.candidates.iter().map(|candidate| self.row(&CANDIDATE, &candidate.numbers()));
        table.raw_set("candidates", self.lua.create_sequence_from(candidates.collect::<mlua::Result<Vec<_>>>()?)?)?;
        let scopes = facts.scopes.iter().map(|scope| self.row(&Scope::NAMES, &scope.numbers()));
        table.raw_set("scopes", self.lua.create_sequence_from(scopes.collect::<mlua::Result<Vec<_>>>()?)?)?;
        Ok(table)
    }

    fn row(&self, names: &[&str], numbers: &[i64]) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, names.len())?;
        for (name, number) in names.iter().zip(numbers) {
            table.raw_set(*name, *number)?;
        }
        Ok(table)
    }
}

/// `local` is a word of the language.
const CANDIDATE: [&str; Candidate::NAMES.len()] = ["tier", "cost", "health", "is_local", "warm", "free_slots"];

fn flat(facts: &Facts) -> impl Iterator<Item = Value> {
    let candidates = facts.candidates.iter().flat_map(Candidate::numbers);
    let scopes = facts.scopes.iter().flat_map(Scope::numbers);
    facts.scalars().into_iter().chain(candidates).chain(scopes).map(Value::Integer)
}

/// A function of 84 numbers. They are put into tables that are made once, which costs the compiled script little.
fn flat_script() -> Result<String> {
    let mut script = KNOWN.to_owned();
    let mut parameters = SCALARS.join(", ");
    let mut stores = String::new();
    for (list, count, names) in [("candidates", CANDIDATES, &CANDIDATE[..]), ("scopes", SCOPES, &Scope::NAMES[..])] {
        writeln!(script, "local {list} = {{{}}}", vec!["{}"; count].join(", "))?;
        for place in 1..=count {
            writeln!(stores, "  local row = {list}[{place}]")?;
            for name in names {
                write!(parameters, ", {list}_{place}_{name}")?;
                writeln!(stores, "  row.{name} = {list}_{place}_{name}")?;
            }
        }
    }
    write!(script, "return function({parameters})\n{stores}{RULES}end")?;
    Ok(script)
}

fn table_script() -> Result<String> {
    let mut script =
        format!("{KNOWN}return function(facts)\n  local candidates, scopes = facts.candidates, facts.scopes\n");
    for name in SCALARS {
        writeln!(script, "  local {name} = facts.{name}")?;
    }
    write!(script, "{RULES}end")?;
    Ok(script)
}

impl Peer for Lua {
    fn name(&self) -> &'static str {
        match self.arguments {
            Arguments::Flat => "LuaJIT (mlua 0.12), flat",
            Arguments::Table => "LuaJIT (mlua 0.12), table",
        }
    }

    fn includes(&self) -> &'static str {
        match self.arguments {
            Arguments::Flat => "84 numbers as arguments, one script; no limits, no sandbox",
            Arguments::Table => "facts to a table of tables, one script; no limits, no sandbox",
        }
    }

    fn is_to_be_beaten(&self) -> bool {
        matches!(self.arguments, Arguments::Table)
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        let number = self.call(&case.facts).map_err(|error| anyhow!("{error}"))?;
        Ok(Verdict::from_number(number))
    }
}
