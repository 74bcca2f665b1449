//! What spends, and opaque names for things without bound.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A kind of thing that spends, from the widest to the narrowest; `Key` stands beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words of the contract, defined there")]
pub enum ScopeKind {
    Organisation,
    Team,
    Project,
    WorkItem,
    Run,
    User,
    Key,
}

impl ScopeKind {
    /// Every kind, in order.
    pub const ALL: [Self; 7] =
        [Self::Organisation, Self::Team, Self::Project, Self::WorkItem, Self::Run, Self::User, Self::Key];

    /// The word of the contract: `work-item`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::Project => "project",
            Self::WorkItem => "work-item",
            Self::Run => "run",
            Self::User => "user",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no kind of scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of scope: use organisation, team, project, work-item, run, user or key")]
pub struct ScopeKindError(String);

impl FromStr for ScopeKind {
    type Err = ScopeKindError;

    fn from_str(word: &str) -> Result<Self, ScopeKindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| ScopeKindError(word.to_owned()))
    }
}

/// An opaque 64-bit name for something without bound: equal names, equal references, in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(u64);

impl Reference {
    /// The reference of a name; FNV-1a with a final avalanche (the 64-bit finaliser of `SplitMix64`), so that
    /// it is also evenly spread. Not a defence against someone who looks for collisions: where names come from outside, the key that
    /// maps them to scopes is.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(hash ^ (hash >> 31))
    }

    /// The reference that a record holds. Where a name is at hand, [`Reference::of`] it.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number that stands for the name.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// One thing that spends: the team `red`, the run `2026-03-02-08`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// What it is.
    pub kind: ScopeKind,
    /// What it is called.
    pub name: Arc<str>,
}

impl Scope {
    /// The scope of that kind and name.
    #[must_use]
    pub fn new(kind: ScopeKind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }

    /// The opaque name that policies see.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::of(&self.name)
    }
}

/// `team=red`, the form the command line takes.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.name)
    }
}
