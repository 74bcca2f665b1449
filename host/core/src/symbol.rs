//! Interned names: what a configuration mentions becomes a small number once, and stays that number for the
//! life of the process, across every generation.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

/// An interned name; [`Symbol::UNKNOWN`] is "not a name any configuration mentions".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Symbol(u32);

impl Symbol {
    /// Not a name any configuration mentions.
    pub const UNKNOWN: Self = Self(0);

    /// The symbol behind a number of the contract. Whether it names anything, [`Symbols::resolve`] says.
    #[must_use]
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    /// The number of the contract.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// Why a name was not interned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InternError {
    /// Names are short.
    #[error("a name of {length} bytes: a name has at most {} bytes", Symbols::MAX_NAME_BYTES)]
    TooLong {
        /// How long it was.
        length: usize,
    },
    /// The table is bounded.
    #[error("the table of names is full: at most {} names can be interned", Symbols::MAX_NAMES)]
    Full,
}

/// The table of names. It only grows, so a symbol handed out once is never another name.
#[derive(Default)]
pub struct Symbols {
    names: RwLock<Names>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Arc<str>, Symbol>,
    by_number: Vec<Arc<str>>,
}

impl Symbols {
    /// The longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The most names: all plugins and configurations of a process's life together.
    pub const MAX_NAMES: usize = 65_536;

    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The symbol of a name, which is made where there is none.
    ///
    /// # Errors
    /// When the name is too long or the table is full.
    pub fn intern(&self, name: &str) -> Result<Symbol, InternError> {
        let known = self.lookup(name);
        if known != Symbol::UNKNOWN {
            return Ok(known);
        }
        if name.len() > Self::MAX_NAME_BYTES {
            return Err(InternError::TooLong { length: name.len() });
        }
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(symbol) = names.by_name.get(name) {
            return Ok(*symbol);
        }
        if names.by_number.len() >= Self::MAX_NAMES {
            return Err(InternError::Full);
        }
        let name: Arc<str> = name.into();
        names.by_number.push(Arc::clone(&name));
        let symbol = u32::try_from(names.by_number.len()).map(Symbol).map_err(|_| InternError::Full)?;
        names.by_name.insert(name, symbol);
        Ok(symbol)
    }

    /// The symbol of a name, [`Symbol::UNKNOWN`] where no configuration mentioned it.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Symbol {
        self.names.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).copied().unwrap_or_default()
    }

    /// The name behind a symbol.
    #[must_use]
    pub fn resolve(&self, symbol: Symbol) -> Option<Arc<str>> {
        let index = usize::try_from(symbol.0).ok()?.checked_sub(1)?;
        self.names.read().unwrap_or_else(PoisonError::into_inner).by_number.get(index).cloned()
    }

    /// The name behind a symbol, `unknown` where there is none; for people.
    #[must_use]
    pub fn display(&self, symbol: Symbol) -> Arc<str> {
        self.resolve(symbol).unwrap_or_else(|| "unknown".into())
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Symbols").field("names", &names.by_number.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_symbol() -> Result<(), InternError> {
        let symbols = Symbols::new();
        let first = symbols.intern("refactoring")?;
        symbols.intern("boilerplate")?;
        assert_eq!(symbols.intern("refactoring"), Ok(first));
        assert_eq!(symbols.resolve(first).as_deref(), Some("refactoring"));
        assert_eq!(symbols.lookup("nobody mentioned this"), Symbol::UNKNOWN);
        assert_eq!(symbols.resolve(Symbol::UNKNOWN), None);
        Ok(())
    }

    #[test]
    fn both_bounds_hold() {
        let symbols = Symbols::new();
        let long = "x".repeat(Symbols::MAX_NAME_BYTES + 1);
        assert_eq!(symbols.intern(&long), Err(InternError::TooLong { length: 257 }));
        for number in 0..Symbols::MAX_NAMES {
            assert!(symbols.intern(&number.to_string()).is_ok());
        }
        assert_eq!(symbols.intern("one more"), Err(InternError::Full));
        assert!(symbols.intern("7").is_ok(), "a known name still resolves");
    }
}
