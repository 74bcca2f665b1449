//! Which names a budget covers.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// Which names of a dimension a budget covers. A glob has at most one `*`, which stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`, `red-*`, `blue`: every name that matches has an account of its own.
    Each(Arc<str>),
    /// All that match one of these share one account.
    Shared(Vec<Arc<str>>),
}

/// The most globs of one pattern.
pub(super) const MAX_GLOBS: usize = 256;

/// Why a pattern was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It matches no name, or more than one star.
    #[error("`{0}` is no pattern: write a name with at most one `*`")]
    Glob(String),
    /// None, or too many.
    #[error("a list of names has 1 to {MAX_GLOBS} of them, and this one {0}")]
    Count(usize),
}

impl Pattern {
    /// Every name.
    #[must_use]
    pub fn each() -> Self {
        Self::Each("*".into())
    }

    /// Whether it covers a name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::Each(glob) => matches(glob, name),
            Self::Shared(globs) => globs.iter().any(|glob| matches(glob, name)),
        }
    }

    fn globs(&self) -> &[Arc<str>] {
        match self {
            Self::Each(glob) => std::slice::from_ref(glob),
            Self::Shared(globs) => globs,
        }
    }

    /// Whether it can be put in force.
    ///
    /// # Errors
    /// When it has no glob, too many, or one that is none.
    pub(super) fn check(&self) -> Result<(), PatternError> {
        let globs = self.globs();
        if globs.is_empty() || globs.len() > MAX_GLOBS {
            return Err(PatternError::Count(globs.len()));
        }
        let wrong = |glob: &&Arc<str>| glob.is_empty() || glob.matches('*').count() > 1;
        globs.iter().find(wrong).map_or(Ok(()), |glob| Err(PatternError::Glob(glob.to_string())))
    }
}

fn matches(glob: &str, name: &str) -> bool {
    match glob.split_once('*') {
        Some((head, tail)) => {
            name.len() >= head.len().saturating_add(tail.len()) && name.starts_with(head) && name.ends_with(tail)
        }
        None => glob == name,
    }
}

/// As it is written: `red-*`, `blue,green`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.globs().join(","))
    }
}

/// Text, or a list of texts that share an account.
impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Pattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, as in \"red-*\", or a list of names that share an account")
            }

            fn visit_str<E: de::Error>(self, glob: &str) -> Result<Pattern, E> {
                Ok(Pattern::Each(glob.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pattern, A::Error> {
                let mut globs = Vec::new();
                while let Some(glob) = list.next_element::<Arc<str>>()? {
                    globs.push(glob);
                }
                Ok(Pattern::Shared(globs))
            }
        }

        deserializer.deserialize_any(Written)
    }
}
