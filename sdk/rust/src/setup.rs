//! What a policy does once, while it is configured: names become symbols, patterns become tables, declared
//! tags and counters become handles.

use std::fmt;

use crate::lookup::{Lookup, Pattern};
use crate::names::{Counter, CounterRule, Model, NameKind, Tag, TagName};
use crate::{Policy, ReasonCode, Symbol, host};

/// The longest name a host takes, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// The most different names a host takes from one plugin. Counted without regard to repetition here, so
/// the host is the one who draws the line exactly.
const MAX_NAMES: usize = 4_096;

/// Hands a policy what it needs while it is configured.
///
/// The names of the configuration that a policy wants to recognise are made into symbols here, because
/// afterwards the host takes no more. A mistake in a name is remembered and refuses the configuration when
/// [`Policy::configure`] is done, so that none of these functions needs a `?`, but for those that take text
/// from the configuration.
///
/// ```
/// use tollgate_sdk::{ConfigError, NameKind, Nanodollars, Setup, Symbol};
///
/// fn example(setup: &mut Setup) -> Result<(), ConfigError> {
///     let refactoring: Symbol = setup.name("refactoring");
///     let too_dear = setup.reason("too-dear");
///     let limits = setup.lookup(
///         NameKind::TaskType,
///         [("test-*", Nanodollars::dollars(1)), ("test-plan", Nanodollars::dollars(3))],
///     )?;
///     # let _ = (refactoring, too_dear, limits);
///     Ok(())
/// }
/// ```
pub struct Setup {
    tags: &'static [TagName],
    counters: &'static [CounterRule],
    problem: Option<ConfigError>,
    interned: usize,
}

impl Setup {
    pub(crate) const fn for_policy<P: Policy>() -> Self {
        Self { tags: P::TAGS, counters: P::COUNTERS, problem: None, interned: 0 }
    }

    /// What went wrong on the way, once the policy is done.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        self.problem.map_or(Ok(()), Err)
    }

    /// The symbol of a name: of a task type, a stage, a model, a tag's value.
    pub fn name(&mut self, name: &str) -> Symbol {
        self.interned += 1;
        if name.len() > MAX_NAME_BYTES {
            let length = name.len();
            self.remember(ConfigError::new(
                name,
                format!("a name of {length} bytes; a name has at most {MAX_NAME_BYTES}"),
            ));
            return Symbol::UNKNOWN;
        }
        if self.interned > MAX_NAMES {
            self.remember(ConfigError::new(name, format!("a policy names at most {MAX_NAMES} things")));
            return Symbol::UNKNOWN;
        }
        host::intern(name)
    }

    /// The name of a reason, for verdicts.
    pub fn reason(&mut self, code: &str) -> ReasonCode {
        ReasonCode::new(self.name(code))
    }

    /// A handle to a tag of [`Policy::TAGS`]; one that does not stand there refuses the configuration.
    pub fn tag(&mut self, declared: TagName) -> Tag {
        if !self.tags.contains(&declared) {
            self.remember(ConfigError::new(declared.0, "read, but not declared: add it to `Policy::TAGS`"));
        }
        Tag::new(self.name(declared.0))
    }

    /// A handle to a counter of [`Policy::COUNTERS`]; one that does not stand there refuses the configuration.
    pub fn counter(&mut self, declared: CounterRule) -> Counter {
        if !self.counters.contains(&declared) {
            self.remember(ConfigError::new(declared.name, "read, but not declared: add it to `Policy::COUNTERS`"));
        }
        Counter::new(self.name(declared.name))
    }

    /// The models the configuration knows, each with its tier.
    #[must_use]
    pub fn models(&self) -> Vec<Model> {
        host::models()
    }

    /// The names of a kind that the configuration knows.
    #[must_use]
    pub fn names(&self, kind: NameKind) -> Vec<Symbol> {
        host::names(kind)
    }

    /// The models whose name matches a pattern in which `*` stands for any characters.
    #[must_use]
    pub fn models_matching(&self, pattern: &str) -> Vec<Model> {
        let matches = |name: Symbol| name.resolve().is_some_and(|name| Pattern(pattern).matches(&name));
        self.models().into_iter().filter(|model| matches(model.name)).collect()
    }

    /// A table from the names of a kind to values, given as patterns in which `*` stands for any characters.
    ///
    /// A pattern without `*` names one thing, whether the configuration knows it or not; one with `*`
    /// expands over the names that the configuration knows. Where several patterns match a name, the most
    /// specific wins: the name itself, then the pattern with the most characters, then the earlier.
    ///
    /// # Errors
    /// When a pattern is empty or stands there twice.
    pub fn lookup<'a, V: Clone>(
        &mut self,
        kind: NameKind,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Lookup<V>, ConfigError> {
        let mut values: Vec<(&str, V)> = values.into_iter().collect();
        for (index, (pattern, _)) in values.iter().enumerate() {
            if pattern.is_empty() {
                return Err(ConfigError::new("", "an empty name"));
            }
            if values[..index].iter().any(|(earlier, _)| earlier == pattern) {
                return Err(ConfigError::new(pattern, "stands there twice: remove one"));
            }
        }
        // The sort is stable, so of two equally specific patterns the earlier stays first, and wins below.
        values.sort_by_key(|(pattern, _)| std::cmp::Reverse(Pattern(pattern).specificity()));
        let known = if values.iter().any(|(pattern, _)| Pattern(pattern).is_wildcard()) {
            self.names(kind).into_iter().filter_map(|name| Some((name, name.resolve()?))).collect()
        } else {
            Vec::new()
        };
        let mut entries = Vec::new();
        for (pattern, value) in values {
            let pattern = Pattern(pattern);
            if pattern.is_wildcard() {
                let matching = known.iter().filter(|(_, name)| pattern.matches(name));
                entries.extend(matching.map(|(symbol, _)| (*symbol, value.clone())));
            } else {
                entries.push((self.name(pattern.0), value));
            }
        }
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by_key(|entry| entry.0);
        entries.retain(|entry| entry.0.is_known());
        Ok(Lookup::from_sorted(entries))
    }

    fn remember(&mut self, problem: ConfigError) {
        self.problem.get_or_insert(problem);
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("problem", &self.problem).finish_non_exhaustive()
    }
}

/// Why a policy does not take its configuration. It is then never activated.
///
/// ```
/// use tollgate_sdk::ConfigError;
/// let error = ConfigError::new("hold_after", "must be below `refuse_after`");
/// assert_eq!(error.to_string(), "`hold_after`: must be below `refuse_after`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: String,
    problem: String,
}

impl ConfigError {
    /// Which setting, and what to change about it.
    #[must_use]
    pub fn new(setting: &str, problem: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.setting, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// The configuration of a policy that has nothing to configure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Where a policy expects something of a setting.
///
/// # Errors
/// When the expectation does not hold, with the setting and the problem.
pub fn ensure(holds: bool, setting: &str, problem: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(setting, problem)) }
}
