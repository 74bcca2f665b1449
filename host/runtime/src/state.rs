//! What a guest can reach: the host side of the contract's only import, `facts`.
//!
//! A guest-visible answer is a value; a call at the wrong time or past its bound is a trap, made in
//! [`misuse`] and nowhere else.

use std::sync::Arc;

use tollgate_core::{Catalogue, Dispatch, Reference, ScopeKind, Symbol, Symbols};
use wasmtime::StoreLimits;
use wasmtime::component::HasData;

use crate::bindings::facts::{Host, Model, NameKind, ReferenceKind};
use crate::convert;

/// The most names one instance interns.
pub(crate) const MAX_INTERNED: u32 = 4_096;

/// What belongs to one instance.
pub(crate) struct State {
    pub(crate) limits: StoreLimits,
    symbols: Arc<Symbols>,
    catalogue: Arc<Catalogue>,
    phase: Phase,
    naming: Naming,
    interned: u32,
    /// What the lazy facts may be asked for.
    declared: Declared,
    call: CallFacts,
}

/// What `describe` says that a plugin reads: it is answered about nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) tags: Arc<[Symbol]>,
    pub(crate) counters: Arc<[Symbol]>,
}

/// Names are interned while a plugin is configured, and only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Configure,
    Evaluate,
}

/// Whether an instance may add names to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The first instance of a policy: what it interns is what the policy mentions.
    New,
    /// A later one, configured alike. It has nothing new to mention, and the table is for the life of the process.
    Known,
}

/// What the lazy facts of the current call answer from.
#[derive(Default)]
struct CallFacts {
    run: Option<Reference>,
    task: Option<Reference>,
    user: Option<Reference>,
    key: Option<Reference>,
    sample: Option<Reference>,
    tags: Vec<(Symbol, Symbol)>,
    counters: Vec<(Symbol, u64)>,
}

impl State {
    pub(crate) fn new(limits: StoreLimits, naming: Naming, symbols: Arc<Symbols>, catalogue: Arc<Catalogue>) -> Self {
        Self {
            limits,
            symbols,
            catalogue,
            phase: Phase::Configure,
            naming,
            interned: 0,
            declared: Declared::default(),
            call: CallFacts::default(),
        }
    }

    /// From now on it is asked about dispatches.
    pub(crate) fn begin_evaluating(&mut self, declared: Declared) {
        self.phase = Phase::Evaluate;
        self.declared = declared;
    }

    /// Points the lazy facts at a dispatch. Nothing is allocated once the buffers have grown.
    pub(crate) fn attend(&mut self, dispatch: &Dispatch) {
        self.call.run = dispatch.scopes.of(ScopeKind::Run);
        self.call.task = dispatch.task;
        self.call.user = dispatch.scopes.of(ScopeKind::User);
        self.call.key = dispatch.scopes.of(ScopeKind::Key);
        self.call.sample = dispatch.sample;
        self.call.tags.clear();
        self.call.tags.extend_from_slice(&dispatch.tags);
        self.call.counters.clear();
        self.call.counters.extend_from_slice(&dispatch.counters);
    }

    fn configuring(&self, function: &str) -> wasmtime::Result<()> {
        match self.phase {
            Phase::Configure => Ok(()),
            Phase::Evaluate => Err(misuse(format!("`{function}` may be called only during `configure`"))),
        }
    }
}

impl HasData for State {
    type Data<'a> = &'a mut State;
}

/// A guest that breaks the contract is stopped with this.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(String);

fn misuse(what: String) -> wasmtime::Error {
    wasmtime::Error::new(Misuse(what))
}

impl Host for State {
    fn intern(&mut self, name: String) -> wasmtime::Result<u32> {
        self.configuring("intern")?;
        if self.interned >= MAX_INTERNED {
            return Err(misuse(format!("it interned more than {MAX_INTERNED} names")));
        }
        self.interned = self.interned.saturating_add(1);
        match self.naming {
            Naming::New => self.symbols.intern(&name).map(Symbol::as_u32).map_err(|error| misuse(error.to_string())),
            Naming::Known => match self.symbols.lookup(&name) {
                Symbol::UNKNOWN => Err(misuse("it interned a name that its first instance did not".to_owned())),
                known => Ok(known.as_u32()),
            },
        }
    }

    fn models(&mut self) -> wasmtime::Result<Vec<Model>> {
        self.configuring("models")?;
        let model = |(name, tier): (Symbol, _)| Model { name: name.as_u32(), tier: convert::tier_to_guest(tier) };
        Ok(self.catalogue.models().map(model).collect())
    }

    fn names(&mut self, kind: NameKind) -> wasmtime::Result<Vec<u32>> {
        self.configuring("names")?;
        Ok(match kind {
            NameKind::TaskType => self.catalogue.task_types().iter().map(|name| name.as_u32()).collect(),
            NameKind::Stage => self.catalogue.stages().iter().map(|name| name.as_u32()).collect(),
            NameKind::Backend => self.catalogue.backends().iter().map(|backend| backend.name.as_u32()).collect(),
        })
    }

    fn resolve(&mut self, symbol: u32) -> wasmtime::Result<Option<String>> {
        Ok(self.symbols.resolve(Symbol::from_u32(symbol)).map(|name| name.to_string()))
    }

    fn tag(&mut self, name: u32) -> wasmtime::Result<Option<u32>> {
        let name = Symbol::from_u32(name);
        if !self.declared.tags.contains(&name) {
            return Ok(None);
        }
        let value = self.call.tags.iter().find(|(tag, _)| *tag == name);
        Ok(value.map(|(_, value)| value.as_u32()))
    }

    fn number(&mut self, counter: u32) -> wasmtime::Result<Option<u64>> {
        let name = Symbol::from_u32(counter);
        if !self.declared.counters.contains(&name) {
            return Ok(None);
        }
        Ok(self.call.counters.iter().find(|(counter, _)| *counter == name).map(|(_, count)| *count))
    }

    fn identity(&mut self, kind: ReferenceKind) -> wasmtime::Result<Option<u64>> {
        let reference = match kind {
            ReferenceKind::Run => self.call.run,
            ReferenceKind::Task => self.call.task,
            ReferenceKind::User => self.call.user,
            ReferenceKind::Key => self.call.key,
            ReferenceKind::Sample => self.call.sample,
        };
        Ok(reference.map(Reference::as_u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plugin_declared_is_answered() -> Result<(), Box<dyn std::error::Error>> {
        let symbols = Arc::new(Symbols::new());
        let configuration = tollgate_core::Configuration::parse("version = 1")?;
        let catalogue = Arc::new(Catalogue::new(&configuration, &symbols)?);
        let [mine, others] = [symbols.intern("mine")?, symbols.intern("others")?];
        let mut state = State::new(StoreLimits::default(), Naming::New, symbols, catalogue);
        state.begin_evaluating(Declared { tags: Arc::from([mine]), counters: Arc::from([mine]) });
        state.attend(&Dispatch {
            tags: vec![(mine, others), (others, mine)],
            counters: vec![(mine, 1), (others, 2)],
            ..Dispatch::default()
        });
        assert_eq!((state.number(mine.as_u32())?, state.number(others.as_u32())?), (Some(1), None));
        assert_eq!((state.tag(mine.as_u32())?, state.tag(others.as_u32())?), (Some(others.as_u32()), None));
        Ok(())
    }
}
