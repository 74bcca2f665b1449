//! The small words of the contract: tiers, priorities, kinds of scope and the like. They stand in facts, in
//! verdicts and in configuration under the same names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines an enumeration whose configuration form is its name in kebab case. One byte each, as the contract's: lists
/// cross the border as they lie in memory.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum $name { $($(#[$word_doc])* $word),+ }
    )+};
}

words! {
    /// A class of capability, ordered from the cheapest to the dearest.
    Tier {
        /// Cheap and quick.
        Low,
        /// In between.
        Middle,
        /// The strongest and dearest.
        Premium,
    }

    /// How much a dispatch matters to the one who sent it, ordered.
    Priority {
        /// Can wait.
        Low,
        /// As usual.
        Normal,
        /// Must not wait.
        High,
    }

    /// Something that spends.
    ScopeKind {
        /// Everything that this Tollgate sees.
        Organisation,
        /// People who work together.
        Team,
        /// What they work on.
        Project,
        /// A ticket or requirement; it owns tasks.
        WorkItem,
        /// One agent session.
        Run,
        /// A person.
        User,
        /// A credential.
        Key,
    }

    /// How an engaged switch treats what already runs; ordered by strictness.
    SwitchMode {
        /// Nothing new starts; what runs may end.
        Drain,
        /// Open streams are cut as well.
        Cut,
    }

    /// Whether a backend can take a dispatch now, ordered from well to worst.
    Health {
        /// Answers as it should.
        Healthy,
        /// Slow or limited, but answers.
        Degraded,
        /// Does not answer.
        Down,
    }

    /// Where a backend runs.
    Hosting {
        /// A provider that is paid by the token.
        Remote,
        /// Hardware of one's own: it costs no tokens and has a bounded number of slots.
        Local,
    }
}

impl Tier {
    /// The next stronger tier; premium stays premium.
    #[must_use]
    pub const fn above(self) -> Self {
        match self {
            Self::Low => Self::Middle,
            Self::Middle | Self::Premium => Self::Premium,
        }
    }
}
