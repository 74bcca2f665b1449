//! Interned names: what a configuration mentions becomes a small number once, and stays that number for the
//! life of the process, across every generation. Names of a configuration that is refused are forgotten with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
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

/// The table of names. A number is given once, so a symbol handed out is never another name.
pub struct Symbols {
    names: Arc<RwLock<Names>>,
    /// Of a draft: what is interned through it is forgotten with it, unless it was kept.
    draft: Option<u32>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Arc<str>, Symbol, RandomState>,
    by_number: HashMap<Symbol, Arc<str>, RandomState>,
    last: u32,
    /// The names that so far only a draft mentions, with its number.
    tentative: HashMap<Symbol, u32>,
    drafts: u32,
}

impl Symbols {
    /// The longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The most names: all plugins and configurations of a process's life together.
    pub const MAX_NAMES: usize = 65_536;

    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { names: Arc::default(), draft: None }
    }

    /// The same table, for a configuration that may come to nothing: where the draft is dropped before it was kept, the names that
    /// nobody else mentioned are forgotten. Otherwise configurations that are refused would fill the table for those that are not.
    #[must_use]
    pub fn draft(&self) -> Self {
        let mut names = self.write();
        names.drafts = names.drafts.wrapping_add(1);
        Self { names: Arc::clone(&self.names), draft: Some(names.drafts) }
    }

    /// The names of this draft stay from now on.
    pub fn keep(&self) {
        if let Some(draft) = self.draft {
            self.write().tentative.retain(|_, owner| *owner != draft);
        }
    }

    /// The symbol of a name, which is made where there is none.
    ///
    /// # Errors
    /// When the name is too long or the table is full.
    pub fn intern(&self, name: &str) -> Result<Symbol, InternError> {
        if let Some(symbol) = self.settled(name) {
            return Ok(symbol);
        }
        if name.len() > Self::MAX_NAME_BYTES {
            return Err(InternError::TooLong { length: name.len() });
        }
        let mut names = self.write();
        if let Some(symbol) = names.by_name.get(name).copied() {
            // Someone else mentions it as well, and must not lose it.
            if names.tentative.get(&symbol).is_some_and(|owner| Some(*owner) != self.draft) {
                names.tentative.remove(&symbol);
            }
            return Ok(symbol);
        }
        names.add(name, self.draft)
    }

    /// A known name that stays whatever becomes of a draft.
    fn settled(&self, name: &str) -> Option<Symbol> {
        let names = self.read();
        names.by_name.get(name).copied().filter(|symbol| !names.tentative.contains_key(symbol))
    }

    /// The symbol of a name, [`Symbol::UNKNOWN`] where no configuration mentioned it.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Symbol {
        self.read().by_name.get(name).copied().unwrap_or_default()
    }

    /// The name behind a symbol.
    #[must_use]
    pub fn resolve(&self, symbol: Symbol) -> Option<Arc<str>> {
        self.read().by_number.get(&symbol).cloned()
    }

    /// The name behind a symbol, `unknown` where there is none; for people.
    #[must_use]
    pub fn display(&self, symbol: Symbol) -> Arc<str> {
        self.resolve(symbol).unwrap_or_else(|| "unknown".into())
    }

    // Whoever panicked with the table left it whole: each change is a few moves.

    fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    fn add(&mut self, name: &str, draft: Option<u32>) -> Result<Symbol, InternError> {
        if self.by_name.len() >= Symbols::MAX_NAMES {
            return Err(InternError::Full);
        }
        self.last = self.last.checked_add(1).ok_or(InternError::Full)?;
        let (symbol, name) = (Symbol(self.last), Arc::<str>::from(name));
        self.by_number.insert(symbol, Arc::clone(&name));
        self.by_name.insert(name, symbol);
        if let Some(draft) = draft {
            self.tentative.insert(symbol, draft);
        }
        Ok(symbol)
    }

    fn forget(&mut self, draft: u32) {
        let gone: Vec<_> = self.tentative.extract_if(|_, owner| *owner == draft).map(|(symbol, _)| symbol).collect();
        for symbol in gone {
            if let Some(name) = self.by_number.remove(&symbol) {
                self.by_name.remove(&name);
            }
        }
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Symbols {
    fn drop(&mut self) {
        if let Some(draft) = self.draft {
            self.write().forget(draft);
        }
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols").field("names", &self.read().by_name.len()).finish()
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
    fn a_draft_that_comes_to_nothing_leaves_no_name_and_gives_no_number_twice() -> Result<(), InternError> {
        let symbols = Symbols::new();
        let known = symbols.intern("refactoring")?;
        let draft = symbols.draft();
        assert_eq!(draft.intern("refactoring"), Ok(known));
        let [own, shared] = [draft.intern("only-in-the-draft")?, draft.intern("mentioned-elsewhere-too")?];
        assert_eq!(symbols.intern("mentioned-elsewhere-too"), Ok(shared));
        drop(draft);
        assert_eq!((symbols.lookup("only-in-the-draft"), symbols.resolve(own)), (Symbol::UNKNOWN, None));
        assert_eq!(symbols.lookup("refactoring"), known);
        assert_eq!(symbols.lookup("mentioned-elsewhere-too"), shared);
        assert!(![own, shared, known].contains(&symbols.intern("the-next-one")?));
        Ok(())
    }

    #[test]
    fn a_draft_that_is_kept_leaves_its_names() -> Result<(), InternError> {
        let symbols = Symbols::new();
        let draft = symbols.draft();
        let symbol = draft.intern("security")?;
        draft.keep();
        drop(draft);
        assert_eq!(symbols.resolve(symbol).as_deref(), Some("security"));
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
