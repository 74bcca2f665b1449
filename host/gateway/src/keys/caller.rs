//! Who calls, and what they may claim.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};
use tollgate_core::{Priority, ScopeKind};

use super::document::{KeyDocument, OwnScope, Right};

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// There are no keys here: whoever reaches the gateway may claim what they like, under the name of what they brought.
    Anyone(String),
    /// The holder of a key.
    Holder(Arc<Key>),
}

/// A key in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    scopes: Vec<OwnScope>,
    priority_cap: Priority,
    rights: Vec<Right>,
    pub(crate) new_runs_per_minute: u32,
}

/// What a key does not own. The caller reads this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the key `{key}` has {own}, so it cannot claim `{kind}={name}`")]
    Foreign { key: String, own: String, kind: ScopeKind, name: String },
    #[error("the key `{key}` has no {kind} and not the right `claim`, so it cannot claim `{kind}={name}`")]
    NoRight { key: String, kind: ScopeKind, name: String },
    #[error("the key `{key}` does not have the right `override-tier`: leave `x-tollgate-tier` out")]
    Tier { key: String },
}

impl Key {
    pub(super) fn new(document: &KeyDocument, new_runs_per_minute: u32) -> Self {
        Self {
            name: document.name.clone(),
            scopes: document.scopes.clone(),
            priority_cap: document.priority_cap,
            rights: document.rights.clone(),
            new_runs_per_minute: document.new_runs_per_minute.unwrap_or(new_runs_per_minute),
        }
    }

    fn of_kind(&self, kind: ScopeKind) -> impl Iterator<Item = &OwnScope> {
        self.scopes.iter().filter(move |scope| scope.kind == kind)
    }

    /// Whether a name of that kind is within its own scopes; of a kind that it has none of, every name is.
    pub(super) fn reaches(&self, kind: ScopeKind, name: Option<&str>) -> bool {
        let mut own = self.of_kind(kind).peekable();
        own.peek().is_none() || name.is_some_and(|name| own.any(|scope| scope.covers(name)))
    }
}

/// Headers in which a caller proves who it is: to us where there are keys, else to the provider.
const CREDENTIALS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    header::COOKIE,
];

impl Caller {
    /// The name of its scope.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anyone(name) => name,
            Self::Holder(key) => &key.name,
        }
    }

    /// Whether it has a right. Without keys there is nobody to tell apart, and a success takes the admin token.
    pub(crate) fn may(&self, right: Right) -> bool {
        match self {
            Self::Anyone(_) => right != Right::Verify,
            Self::Holder(key) => key.rights.contains(&right),
        }
    }

    /// Whether it may claim a scope.
    pub(crate) fn claim(&self, kind: ScopeKind, name: &str) -> Result<(), ClaimError> {
        let Self::Holder(key) = self else { return Ok(()) };
        let (holder, name) = (key.name.clone(), name.to_owned());
        let own: Vec<String> = match kind {
            ScopeKind::Key if name == holder => return Ok(()),
            ScopeKind::Key => vec![format!("key={holder}")],
            _ => key.of_kind(kind).map(ToString::to_string).collect(),
        };
        if own.is_empty() {
            let may = self.may(Right::Claim);
            return if may { Ok(()) } else { Err(ClaimError::NoRight { key: holder, kind, name }) };
        }
        if kind != ScopeKind::Key && key.reaches(kind, Some(&name)) {
            return Ok(());
        }
        Err(ClaimError::Foreign { key: holder, own: own.join(", "), kind, name })
    }

    /// The name of a kind that holds where a request says nothing.
    pub(crate) fn own(&self, kind: ScopeKind) -> Option<&str> {
        match self {
            Self::Anyone(_) => None,
            Self::Holder(key) => key.of_kind(kind).find_map(OwnScope::exact),
        }
    }

    /// The highest priority that it gets.
    pub(crate) fn priority_cap(&self) -> Priority {
        match self {
            Self::Anyone(_) => Priority::High,
            Self::Holder(key) => key.priority_cap,
        }
    }

    pub(crate) fn override_tier(&self) -> Result<(), ClaimError> {
        if self.may(Right::OverrideTier) {
            return Ok(());
        }
        Err(ClaimError::Tier { key: self.name().to_owned() })
    }

    /// Takes away what must not go to a provider: a key of ours opens nothing there, and would lie in its logs.
    pub(crate) fn keep_secrets(&self, headers: &mut HeaderMap) {
        if let Self::Holder(_) = self {
            for name in CREDENTIALS {
                headers.remove(name);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn holder(scopes: &[&str], rights: &[Right]) -> Caller {
        Caller::Holder(Arc::new(Key {
            name: "ci".to_owned(),
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            priority_cap: Priority::Normal,
            rights: rights.to_vec(),
            new_runs_per_minute: 2,
        }))
    }

    #[test]
    fn a_key_claims_its_own_and_nothing_else() {
        let caller = holder(&["team=red", "project=shop", "project=web-*"], &[]);
        for (kind, name, may) in [
            (ScopeKind::Team, "red", true),
            (ScopeKind::Team, "blue", false),
            (ScopeKind::Project, "shop", true),
            (ScopeKind::Project, "web-2", true),
            (ScopeKind::Project, "other", false),
            (ScopeKind::User, "ada", false),
            (ScopeKind::Key, "ci", true),
            (ScopeKind::Key, "boss", false),
        ] {
            assert_eq!(caller.claim(kind, name).is_ok(), may, "{kind}={name}");
        }
        assert_eq!((caller.own(ScopeKind::Team), caller.own(ScopeKind::Project)), (Some("red"), Some("shop")));
        let told = caller.claim(ScopeKind::Team, "blue").unwrap_err().to_string();
        assert_eq!(told, "the key `ci` has team=red, so it cannot claim `team=blue`");
    }

    #[test]
    fn the_right_to_claim_opens_kinds_that_the_key_has_none_of() {
        let caller = holder(&["team=red"], &[Right::Claim]);
        assert!(caller.claim(ScopeKind::User, "ada").is_ok());
        assert!(caller.claim(ScopeKind::Team, "blue").is_err());
        assert!(caller.claim(ScopeKind::Key, "boss").is_err());
        assert!(caller.override_tier().is_err());
        assert!(holder(&[], &[Right::OverrideTier]).override_tier().is_ok());
    }

    #[test]
    fn credentials_go_to_a_provider_only_where_there_are_no_keys() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "x-api-key", "cookie", "anthropic-version"] {
            headers.insert(name, http::HeaderValue::from_static("x"));
        }
        let mut passed = headers.clone();
        Caller::Anyone("anonymous".to_owned()).keep_secrets(&mut passed);
        assert_eq!(passed, headers);
        holder(&[], &[]).keep_secrets(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["anthropic-version"]);
    }
}
