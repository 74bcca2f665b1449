//! Names that a plugin declares, and the kinds of names it can ask for.

use std::fmt;

use crate::{Span, Symbol, Tier, host};

/// A reference without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum ReferenceKind {
    /// The agent session.
    Run,
    /// What it works on.
    Task,
    /// The person.
    User,
    /// The credential.
    Key,
    /// A stable number, evenly spread over runs: for canaries.
    Sample,
}

/// An opaque name for something without bound (a run, a user): equal references, equal things.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(u64);

impl Reference {
    /// The reference with that number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{:016x}", self.0)
    }
}

/// Which names of the configuration to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// Task types.
    TaskType,
    /// Stages of a pipeline.
    Stage,
    /// Backends.
    Backend,
}

/// A model that the configuration knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model {
    /// What it is called.
    pub name: Symbol,
    /// Its class of capability.
    pub tier: Tier,
}

/// A request header or metadata field that a policy reads: stands in [`Policy::TAGS`](crate::Policy::TAGS).
///
/// ```
/// use tollgate_sdk::{ConfigError, Policy, Setup, Symbol, Tag, TagName};
///
/// const TEAM: TagName = TagName("x-team");
///
/// struct Mine {
///     team: Tag,
///     payments: Symbol,
/// }
///
/// impl Policy for Mine {
///     type Config = tollgate_sdk::NoConfig;
///     const TAGS: &'static [TagName] = &[TEAM];
///
///     fn configure(_: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Self { team: setup.tag(TEAM), payments: setup.name("payments") })
///     }
/// }
///
/// # use tollgate_sdk::test;
/// let policy = test::shipped::<Mine>();
/// let _host = test::host().tag("x-team", "payments").install();
/// assert_eq!(policy.team.read(), Some(policy.payments));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagName(
    /// As the header or field is called.
    pub &'static str,
);

/// A declared tag, ready to be read. Made by [`Setup::tag`](crate::Setup::tag).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(Symbol);

impl Tag {
    pub(crate) const fn new(name: Symbol) -> Self {
        Self(name)
    }

    /// Its value on this dispatch: nothing where the request has none or the configuration lets none
    /// through, [`Symbol::UNKNOWN`] for a value that no configuration mentions. A call to the host.
    #[must_use]
    pub fn read(self) -> Option<Symbol> {
        host::tag(self.0)
    }
}

/// What the host counts for a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterEvent {
    /// A dispatch was asked for.
    Dispatch,
    /// An attempt succeeded.
    Success,
    /// An attempt failed.
    Failure,
    /// A verifier rejected the work.
    Rejection,
    /// An attempt succeeded and changed nothing.
    Unproductive,
    /// A dispatch was refused.
    Refusal,
}

/// By what the host counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum CounterScope {
    Task,
    Organisation,
    Team,
    Project,
    WorkItem,
    Run,
    User,
    Key,
}

/// A counter for the host to keep: stands in [`Policy::COUNTERS`](crate::Policy::COUNTERS). Policies have no
/// state of their own, so that a reload loses none of it.
///
/// ```
/// use tollgate_sdk::{ConfigError, Counter, CounterEvent, CounterRule, CounterScope, Policy, Setup, Span};
///
/// const FAILURES: CounterRule = CounterRule {
///     name: "recent-failures",
///     event: CounterEvent::Failure,
///     by: CounterScope::Team,
///     window: Span::hours(1),
/// };
///
/// struct Mine {
///     failures: Counter,
/// }
///
/// impl Policy for Mine {
///     type Config = tollgate_sdk::NoConfig;
///     const COUNTERS: &'static [CounterRule] = &[FAILURES];
///
///     fn configure(_: Self::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Self { failures: setup.counter(FAILURES) })
///     }
/// }
///
/// # use tollgate_sdk::test;
/// let policy = test::shipped::<Mine>();
/// let _host = test::host().counter("recent-failures", 3).install();
/// assert_eq!(policy.failures.read(), Some(3));
/// ```
///
/// A ninth does not compile:
///
/// ```compile_fail,E0080
/// # use tollgate_sdk::{budget, Budget, ConfigError, CounterEvent, CounterRule, CounterScope, Policy, Setup, Span};
/// # const FAILURES: CounterRule = CounterRule {
/// #     name: "recent-failures", event: CounterEvent::Failure, by: CounterScope::Team, window: Span::hours(1),
/// # };
/// # struct Mine;
/// # impl Policy for Mine {
/// #     type Config = tollgate_sdk::NoConfig;
/// const COUNTERS: &'static [CounterRule] = &[FAILURES; 9];
/// #     fn configure(_: Self::Config, _: &mut Setup) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// # impl Budget for Mine {
/// #     fn evaluate(&self, _: &budget::Facts) -> budget::Verdict { budget::Verdict::Proceed }
/// # }
/// # tollgate_sdk::export!(Mine: budget);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRule {
    /// Unique within the plugin.
    pub name: &'static str,
    /// What is counted.
    pub event: CounterEvent,
    /// By what: this dispatch's task, team, run, …
    pub by: CounterScope,
    /// How far back it counts, in whole seconds; [`Span::ZERO`] counts for ever.
    pub window: Span,
}

/// A declared counter, ready to be read. Made by [`Setup::counter`](crate::Setup::counter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(Symbol);

impl Counter {
    pub(crate) const fn new(name: Symbol) -> Self {
        Self(name)
    }

    /// Where it stands for this dispatch; nothing where the dispatch has no such scope. A call to the host.
    #[must_use]
    pub fn read(self) -> Option<u64> {
        host::number(self.0)
    }
}
