//! The host of this thread: its names, and what a test installs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use crate::{Model, NameKind, Reference, ReferenceKind, Symbol, Tier};

thread_local! {
    /// Only grows, so that symbols stay what they are; number n is `NAMES[n - 1]`.
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static INSTALLED: RefCell<Host> = const { RefCell::new(Host::new()) };
}

/// What a host would tell policies of this thread: its catalogue, and the tags, counters and references of
/// the dispatch. Nothing, until it is installed.
///
/// ```
/// use tollgate_sdk::{Tier, test};
///
/// let _host = test::host().model("opus", Tier::Premium).task_type("test-plan").tag("team", "red").install();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Host {
    models: Vec<Model>,
    task_types: Vec<Symbol>,
    stages: Vec<Symbol>,
    backends: Vec<Symbol>,
    tags: BTreeMap<Symbol, Symbol>,
    counters: BTreeMap<Symbol, u64>,
    references: BTreeMap<ReferenceKind, Reference>,
}

/// An empty host.
#[must_use]
pub fn host() -> Host {
    Host::new()
}

impl Host {
    const fn new() -> Self {
        Self {
            models: Vec::new(),
            task_types: Vec::new(),
            stages: Vec::new(),
            backends: Vec::new(),
            tags: BTreeMap::new(),
            counters: BTreeMap::new(),
            references: BTreeMap::new(),
        }
    }

    /// The configuration knows a model.
    #[must_use]
    pub fn model(mut self, name: &str, tier: Tier) -> Self {
        self.models.push(Model { name: intern(name), tier });
        self
    }

    /// The configuration knows a task type.
    #[must_use]
    pub fn task_type(mut self, name: &str) -> Self {
        self.task_types.push(intern(name));
        self
    }

    /// The configuration knows a stage.
    #[must_use]
    pub fn stage(mut self, name: &str) -> Self {
        self.stages.push(intern(name));
        self
    }

    /// The configuration knows a backend.
    #[must_use]
    pub fn backend(mut self, name: &str) -> Self {
        self.backends.push(intern(name));
        self
    }

    /// The dispatch carries a tag.
    #[must_use]
    pub fn tag(mut self, name: &str, value: &str) -> Self {
        self.tags.insert(intern(name), intern(value));
        self
    }

    /// A counter stands at so many.
    #[must_use]
    pub fn counter(mut self, name: &str, number: u64) -> Self {
        self.counters.insert(intern(name), number);
        self
    }

    /// The dispatch belongs to something.
    #[must_use]
    pub fn identity(mut self, kind: ReferenceKind, number: u64) -> Self {
        self.references.insert(kind, Reference::new(number));
        self
    }

    /// Makes it the host of this thread for as long as the result lives.
    #[must_use = "the host goes with it"]
    pub fn install(self) -> Installed {
        Installed { before: INSTALLED.replace(self), _of_this_thread: PhantomData }
    }
}

/// An installed host; dropped, the one before it is back.
#[derive(Debug)]
pub struct Installed {
    before: Host,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for Installed {
    fn drop(&mut self) {
        INSTALLED.set(std::mem::take(&mut self.before));
    }
}

pub(crate) fn intern(name: &str) -> Symbol {
    NAMES.with_borrow_mut(|names| {
        let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        Symbol::from_u32(u32::try_from(index + 1).expect("a test has fewer names than that"))
    })
}

pub(crate) fn resolve(symbol: Symbol) -> Option<String> {
    let index = usize::try_from(symbol.as_u32()).ok()?.checked_sub(1)?;
    NAMES.with_borrow(|names| names.get(index).cloned())
}

pub(crate) fn models() -> Vec<Model> {
    INSTALLED.with_borrow(|host| host.models.clone())
}

pub(crate) fn names(kind: NameKind) -> Vec<Symbol> {
    INSTALLED.with_borrow(|host| match kind {
        NameKind::TaskType => host.task_types.clone(),
        NameKind::Stage => host.stages.clone(),
        NameKind::Backend => host.backends.clone(),
    })
}

pub(crate) fn tag(name: Symbol) -> Option<Symbol> {
    INSTALLED.with_borrow(|host| host.tags.get(&name).copied())
}

pub(crate) fn number(counter: Symbol) -> Option<u64> {
    INSTALLED.with_borrow(|host| host.counters.get(&counter).copied())
}

pub(crate) fn identity(kind: ReferenceKind) -> Option<Reference> {
    INSTALLED.with_borrow(|host| host.references.get(&kind).copied())
}
