//! Tables from names to values, with wildcards. Expanded once, while a policy is configured; afterwards a
//! look-up compares a few integers.

use crate::Symbol;

/// Values for names, found by symbol. Made by [`Setup::lookup`](crate::Setup::lookup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup<V> {
    /// Sorted by symbol; one entry each; never [`Symbol::UNKNOWN`].
    entries: Vec<(Symbol, V)>,
}

impl<V> Lookup<V> {
    pub(crate) fn from_sorted(entries: Vec<(Symbol, V)>) -> Self {
        debug_assert!(entries.is_sorted_by(|one, next| one.0 < next.0));
        Self { entries }
    }

    /// The value for a name; nothing where no pattern matches it, and nothing for [`Symbol::UNKNOWN`].
    #[must_use]
    pub fn find(&self, name: Symbol) -> Option<&V> {
        let index = self.entries.binary_search_by_key(&name, |entry| entry.0).ok()?;
        self.entries.get(index).map(|entry| &entry.1)
    }

    /// Whether it has no values at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// No values.
impl<V> Default for Lookup<V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

/// A name in which `*` stands for any characters, also none.
#[derive(Clone, Copy)]
pub(crate) struct Pattern<'a>(pub(crate) &'a str);

impl Pattern<'_> {
    pub(crate) fn is_wildcard(self) -> bool {
        self.0.contains('*')
    }

    /// Longer is more specific; a name without a wildcard is the most specific.
    pub(crate) fn specificity(self) -> usize {
        if self.is_wildcard() { self.0.bytes().filter(|byte| *byte != b'*').count() } else { usize::MAX }
    }

    pub(crate) fn matches(self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let Some(mut name) = name.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*').filter(|part| !part.is_empty()) {
            let Some(at) = name.find(part) else {
                return false;
            };
            name = &name[at + part.len()..];
        }
        name.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_what_a_shell_would() {
        for (pattern, yes, no) in [
            ("test-*", ["test-plan", "test-"], ["test", "a-test-plan"]),
            ("*-fix", ["bug-fix", "-fix"], ["bug-fix-2", "fix"]),
            ("*", ["", "anything"], ["\u{0}", "\u{0}"]),
            ("a*b*c", ["abc", "a-b-b-c"], ["acb", "ab"]),
            ("aa*aa", ["aaaa", "aaaaa"], ["aaa", "aa"]),
            ("plain", ["plain", "plain"], ["plainer", "plai"]),
        ] {
            for name in yes {
                assert!(Pattern(pattern).matches(name), "{pattern} {name}");
            }
            for name in no.into_iter().filter(|name| *name != "\u{0}") {
                assert!(!Pattern(pattern).matches(name), "{pattern} {name}");
            }
        }
    }
}
