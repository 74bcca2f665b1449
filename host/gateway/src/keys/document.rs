//! Keys as they are written down: what each may claim, and the hash of its secret, never the secret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use tollgate_core::{Priority, ScopeKind, Symbols};

/// What every secret begins with, so that one that is found in a log or a repository is known for what it is.
pub(crate) const SECRET_PREFIX: &str = "tg_";

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDocument {
    /// Unique, also among revoked ones; the name of its scope, which budgets and records know it by.
    pub name: String,
    /// What it spends for.
    #[serde(default)]
    pub scopes: Vec<OwnScope>,
    /// The highest priority that its requests get.
    pub priority_cap: Priority,
    /// What it may do besides.
    #[serde(default)]
    pub rights: Vec<Right>,
    /// How many new runs it may begin in a minute; nothing for what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_runs_per_minute: Option<u32>,
    /// In milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was revoked, likewise. It stays, so that nobody else gets its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
    /// What opens the door, newest last: more than one while an old one still holds.
    pub secrets: Vec<SecretDocument>,
}

/// What is known of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretDocument {
    /// Its hash. A secret has 256 bits of chance, so there is nothing to be guessed from it.
    pub sha256: SecretHash,
    /// In milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it ends, likewise; nothing for one that was not rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

impl SecretDocument {
    pub(crate) fn is_live(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|end| now_ms < end)
    }
}

/// A scope that a key has: `team=red`. One whose name ends in `*` stands for every name that begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnScope {
    /// What it is; neither a run nor a key.
    pub kind: ScopeKind,
    /// What it is called.
    pub name: String,
}

/// Text that is no scope of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnScopeError {
    /// There is no name.
    #[error("`{0}` is no scope: write `kind=name`, as in `team=red`")]
    Form(String),
    /// The kind is none, or one that is not given.
    #[error("`{0}` is no kind of scope that a key has: use organisation, team, project, work-item or user")]
    Kind(String),
    /// The name cannot be taken.
    #[error("`{0}`: a name has 1 to {max} visible characters, and a `*` only at its end", max = Symbols::MAX_NAME_BYTES)]
    Name(String),
}

impl OwnScope {
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.name.strip_suffix('*').map_or(self.name == name, |beginning| name.starts_with(beginning))
    }

    /// The name that holds where a request says nothing.
    pub(crate) fn exact(&self) -> Option<&str> {
        (!self.name.ends_with('*')).then_some(&*self.name)
    }
}

impl FromStr for OwnScope {
    type Err = OwnScopeError;

    fn from_str(text: &str) -> Result<Self, OwnScopeError> {
        let (kind, name) = text.split_once('=').ok_or_else(|| OwnScopeError::Form(text.to_owned()))?;
        let parsed = kind.trim().parse().ok();
        let kind = parsed.filter(|kind| !matches!(kind, ScopeKind::Run | ScopeKind::Key));
        let kind = kind.ok_or_else(|| OwnScopeError::Kind(text.to_owned()))?;
        let name = name.trim();
        let plain = !name.strip_suffix('*').unwrap_or(name).contains(['*', ',']);
        if !is_name(name) || !plain {
            return Err(OwnScopeError::Name(text.to_owned()));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for OwnScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.name)
    }
}

/// Names go into records and tables, and must not take over a terminal.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= Symbols::MAX_NAME_BYTES && !name.contains(char::is_control)
}

/// What a key may do besides asking within its scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Name scopes of kinds that it has none of itself: the projects, work items and users of its team.
    Claim,
    /// Choose the tier of its answers with `x-tollgate-tier`.
    OverrideTier,
    /// Report that a task succeeded, which lifts its ceilings.
    Verify,
}

impl Right {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Claim, Self::OverrideTier, Self::Verify];

    /// The word of the command line and the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::OverrideTier => "override-tier",
            Self::Verify => "verify",
        }
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|right| right.as_str() == word);
        known.ok_or_else(|| format!("`{word}` is no right: use claim, override-tier or verify"))
    }
}

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SecretHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no SHA-256: 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

/// Written and read as their text.
macro_rules! as_text {
    ($($name:ty),+) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )+ };
}
as_text!(OwnScope, SecretHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_of_a_key_is_a_name_or_the_beginning_of_names() {
        let scope: OwnScope = "project=web-*".parse().unwrap();
        assert!(scope.covers("web-") && scope.covers("web-shop") && !scope.covers("we"));
        assert_eq!((scope.exact(), scope.to_string().as_str()), (None, "project=web-*"));
        let scope: OwnScope = " team = red ".parse().unwrap();
        assert!(scope.covers("red") && !scope.covers("red2"));
        assert_eq!(scope.exact(), Some("red"));
    }

    #[test]
    fn what_no_key_can_have_is_refused() {
        for (text, says) in [
            ("red", "write `kind=name`"),
            ("run=r", "no kind of scope that a key has"),
            ("key=boss", "no kind of scope that a key has"),
            ("crew=red", "no kind of scope"),
            ("team=", "1 to 256"),
            ("team=r*d", "only at its end"),
            ("team=a,b", "a name has"),
        ] {
            let error = text.parse::<OwnScope>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_hash_reads_back() {
        let hash = SecretHash::of(b"secret");
        assert_eq!(hash.to_string().parse::<SecretHash>(), Ok(hash));
        assert!("xyz".parse::<SecretHash>().is_err());
        assert!("é".repeat(32).parse::<SecretHash>().is_err(), "64 bytes that are no digits");
    }
}
