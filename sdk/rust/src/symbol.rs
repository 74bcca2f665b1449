//! Interned names. Strings cost a hundred nanoseconds at the border of a plugin; symbols cost nothing.

use std::fmt;

use crate::host;

/// An interned name: equal names, equal symbols, for as long as the host runs.
///
/// Policies make theirs with [`Setup::name`](crate::Setup::name) while they are configured, and compare.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Symbol(u32);

impl Symbol {
    /// Not a name any configuration mentions.
    pub const UNKNOWN: Self = Self(0);

    /// Whether any configuration mentions the name.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// The name. A call to the host: for messages, not for comparing.
    #[must_use]
    pub fn resolve(self) -> Option<String> {
        host::resolve(self)
    }

    pub(crate) const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn as_u32(self) -> u32 {
        self.0
    }
}

/// The name natively, the number in a guest.
impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(not(target_family = "wasm"))]
        if let Some(name) = self.resolve() {
            return f.write_str(&name);
        }
        if self.is_known() { write!(f, "#{}", self.0) } else { f.write_str("unknown") }
    }
}

/// In the files of a test a symbol is its name; `null` is [`Symbol::UNKNOWN`].
#[cfg(not(target_family = "wasm"))]
mod written {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Symbol;

    impl Serialize for Symbol {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.resolve().serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Symbol {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let name = Option::<String>::deserialize(deserializer)?;
            Ok(name.map_or(Self::UNKNOWN, |name| crate::host::intern(&name)))
        }
    }
}
