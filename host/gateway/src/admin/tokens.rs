//! Who may do what on the admin listener: tokens with a role each. Only their hashes are kept, in a file that its owner alone
//! can read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{clock, private_file};

/// What the token of the process itself is called, which ends with it.
pub(crate) const START: &str = "start";
/// The most tokens: each request is compared with all of them.
const MAX_TOKENS: usize = 256;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// What each token begins with, so that one that is found in a log is known for what it is.
const PREFIX: &str = "tga_";

/// What a token may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look at everything, change nothing.
    Viewer,
    /// Run it from day to day: switches, approvals, reloads, candidates.
    Operator,
    /// Change what may be spent, and who may do what.
    Admin,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: use viewer, operator or admin")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(word: &str) -> Result<Self, RoleError> {
        let known = [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.as_str() == word);
        known.ok_or_else(|| RoleError(word.to_owned()))
    }
}

/// A token, as far as anyone may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenDocument {
    /// Unique; the audit log knows its holder by it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who made it.
    pub author: String,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// A token in its file: the secret is not in it. It has 256 bits of chance, so nothing can be guessed from its hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    token: TokenDocument,
    sha256: String,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A name that cannot be used.
    #[error("`{0}` is no name for a token: use 1 to {MAX_NAME_BYTES} letters, digits, `.`, `-` and `_`")]
    Name(String),
    /// The name is taken.
    #[error("there is a token called `{0}`: revoke it first, or take another name")]
    Taken(String),
    /// The token of the process.
    #[error("`{START}` is the token that the gateway was started with: it ends with the gateway")]
    Start,
    /// Nobody has it.
    #[error("there is no token called `{0}`: `tollgate tokens list` says which there are")]
    Unknown(String),
    /// Too many.
    #[error("there are {MAX_TOKENS} tokens: revoke some")]
    TooMany,
    /// The file.
    #[error("the tokens in `{file}`: {source}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whoever sent a request to the admin listener.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
}

/// The tokens of a data folder.
#[derive(Debug)]
pub struct Tokens {
    file: PathBuf,
    stored: Mutex<Vec<Stored>>,
}

impl Tokens {
    /// Those of a data folder, in which there may be none.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn open(data: &Path) -> Result<Self, TokenError> {
        let file = data.join("tokens.json");
        let stored = private_file::read(&file).map_err(|source| TokenError::File { file: file.clone(), source })?;
        Ok(Self { file, stored: Mutex::new(stored) })
    }

    /// All of them, in the order in which they were made.
    #[must_use]
    pub fn list(&self) -> Vec<TokenDocument> {
        self.lock().iter().map(|stored| stored.token.clone()).collect()
    }

    /// Makes a token, and says what it is: this once.
    ///
    /// # Errors
    /// When the name cannot be used, there are too many, or the file cannot be written; then there is none.
    pub fn create(&self, name: &str, role: Role, author: &str) -> Result<(TokenDocument, String), TokenError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
            return Err(TokenError::Name(name.to_owned()));
        }
        let mut stored = self.lock();
        if name == START || stored.iter().any(|known| known.token.name == name) {
            return Err(TokenError::Taken(name.to_owned()));
        }
        if stored.len() >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        let secret = format!("{PREFIX}{:032x}{:032x}", crate::random_id(), crate::random_id());
        let token =
            TokenDocument { name: name.to_owned(), role, author: author.to_owned(), created_ms: clock::now_ms() };
        let mut next = stored.clone();
        next.push(Stored { token: token.clone(), sha256: hash(secret.as_bytes()) });
        self.write(&next)?;
        *stored = next;
        Ok((token, secret))
    }

    /// Ends a token. What it was.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be written; then it still holds.
    pub fn revoke(&self, name: &str) -> Result<TokenDocument, TokenError> {
        if name == START {
            return Err(TokenError::Start);
        }
        let mut stored = self.lock();
        let mut next = stored.clone();
        let place = next.iter().position(|known| known.token.name == name);
        let revoked = next.remove(place.ok_or_else(|| TokenError::Unknown(name.to_owned()))?);
        self.write(&next)?;
        *stored = next;
        Ok(revoked.token)
    }

    /// Who sent a request; nothing for nobody. `start` is the token that the gateway was opened with.
    pub(crate) fn holder(&self, start: &str, headers: &HeaderMap) -> Option<Holder> {
        let sent = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, secret) = sent.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        // Of hashes, so that how long a comparison takes says nothing about a token.
        let sent = hash(secret);
        if sent == hash(start.as_bytes()) {
            return Some(Holder { name: START.into(), role: Role::Admin });
        }
        let stored = self.lock();
        let known = stored.iter().find(|known| known.sha256 == sent)?;
        Some(Holder { name: known.token.name.as_str().into(), role: known.token.role })
    }

    fn write(&self, stored: &Vec<Stored>) -> Result<(), TokenError> {
        private_file::replace(&self.file, stored).map_err(|source| TokenError::File { file: self.file.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(secret: &[u8]) -> String {
    Sha256::digest(secret).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn holder(tokens: &Tokens, sent: &str) -> Option<(String, Role)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(sent).unwrap());
        tokens.holder("s", &headers).map(|holder| (holder.name.to_string(), holder.role))
    }

    #[test]
    fn a_token_holds_until_it_is_revoked_also_over_a_restart_and_its_secret_is_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let (_, secret) = tokens.create("ada", Role::Viewer, "start").unwrap();
        let held = Some(("ada".to_owned(), Role::Viewer));
        assert_eq!(holder(&tokens, &format!("Bearer {secret}")), held);
        let again = Tokens::open(folder.path()).unwrap();
        assert_eq!(holder(&again, &format!("bearer {secret}")), held);
        assert!(!std::fs::read_to_string(folder.path().join("tokens.json")).unwrap().contains(&secret));
        assert_eq!(again.revoke("ada").unwrap().name, "ada");
        assert_eq!(holder(&again, &format!("Bearer {secret}")), None);
        assert!(matches!(again.revoke("ada"), Err(TokenError::Unknown(_))));
        for sent in ["", "Bearer", "Bearer ", "Basic s", "Bearer s2", "s"] {
            assert_eq!(holder(&again, sent), None, "{sent}");
        }
        assert_eq!(holder(&again, "Bearer s"), Some((START.to_owned(), Role::Admin)));
    }

    #[test]
    fn names_and_their_number_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        for name in ["", "a b", "ä", "a/b", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(matches!(tokens.create(name, Role::Admin, "x"), Err(TokenError::Name(_))), "{name}");
        }
        assert!(matches!(tokens.create(START, Role::Admin, "x"), Err(TokenError::Taken(_))));
        assert!(matches!(tokens.revoke(START), Err(TokenError::Start)));
        let one = Stored {
            token: TokenDocument { name: "n".into(), role: Role::Viewer, author: "x".into(), created_ms: 0 },
            sha256: String::new(),
        };
        *tokens.lock() = vec![one; MAX_TOKENS];
        assert!(matches!(tokens.create("m", Role::Admin, "x"), Err(TokenError::TooMany)));
    }
}
