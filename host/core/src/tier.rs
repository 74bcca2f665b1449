//! Small ordered words of the contract.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not one of the few it could be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what}: use {choices}")]
pub struct WordError {
    word: String,
    what: &'static str,
    choices: &'static str,
}

/// Defines an ordered enumeration whose text form is the word of the contract.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal, $choices:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every one of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of the contract.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(word: &str) -> Result<Self, WordError> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word).ok_or_else(|| WordError {
                    word: word.to_owned(),
                    what: $what,
                    choices: $choices,
                })
            }
        }
    };
}

words! {
    /// A class of capability, ordered from the cheapest to the dearest.
    Tier, "tier", "low, middle or premium" {
        /// Cheap and quick.
        Low = "low",
        /// In between.
        Middle = "middle",
        /// The strongest and dearest.
        Premium = "premium",
    }
}

words! {
    /// How much a dispatch matters to the one who sent it, ordered.
    Priority, "priority", "low, normal or high" {
        /// Can wait.
        Low = "low",
        /// As usual.
        Normal = "normal",
        /// Must not wait.
        High = "high",
    }
}

words! {
    /// Whether a backend can take a dispatch now, ordered from well to worst.
    Health, "health", "healthy, degraded or down" {
        /// Answers as it should.
        Healthy = "healthy",
        /// Slow or limited, but answers.
        Degraded = "degraded",
        /// Does not answer; the host offers none of its models.
        Down = "down",
    }
}

words! {
    /// Where a backend runs.
    Hosting, "hosting", "remote or local" {
        /// A provider that is paid by the token.
        Remote = "remote",
        /// Hardware of one's own, paid by the hour, with a bounded number of slots.
        Local = "local",
    }
}

words! {
    /// The four kinds of policy, in the fixed order in which they are asked.
    PolicyKind, "kind of policy", "kill-switch, retry-ceiling, routing or budget" {
        /// Stops what must not go on.
        KillSwitch = "kill-switch",
        /// No endless loops.
        RetryCeiling = "retry-ceiling",
        /// Which model takes the dispatch.
        Routing = "routing",
        /// What it may cost.
        Budget = "budget",
    }
}

/// A dispatch whose caller named no priority is a normal one.
impl Default for Priority {
    fn default() -> Self {
        Self::Normal
    }
}
