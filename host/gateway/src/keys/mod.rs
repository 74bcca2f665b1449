//! Keys of Tollgate's own: who may ask, and what each may claim.
//!
//! | to know | open |
//! |---|---|
//! | how keys are written down, made, rotated and revoked | `document.rs`, `file.rs` |
//! | what a caller may claim | `caller.rs` |
//! | whose a run is, and how many new ones a key may begin | `runs.rs` |
//!
//! Where any key exists, or the configuration requires them, a request without a valid one is refused. That never turns back while
//! the gateway runs: neither a file that is gone nor the last key that is revoked opens the door.

mod caller;
mod document;
mod file;
mod runs;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, header};
use tollgate_core::config::KeyRules;

use caller::Key;
#[cfg(test)]
pub(crate) use caller::tests::holder;
pub(crate) use caller::{Caller, ClaimError};
use document::SECRET_PREFIX;
pub(crate) use document::is_name;
pub use document::{KeyDocument, OwnScope, OwnScopeError, Right, SecretDocument, SecretHash};
pub use file::{KeyFile, KeyFileError, NewKey};
pub(crate) use runs::{RunError, Runs};

/// Where a key can be given beside the caller's own key for its provider.
const KEY_HEADER: &str = "x-tollgate-key";

/// The keys of a gateway.
pub(crate) struct Keys {
    file: KeyFile,
    /// Never taken back.
    required: AtomicBool,
    new_runs_per_minute: AtomicU32,
    ring: ArcSwap<Ring>,
    seen: Mutex<Option<Stamp>>,
    pub(crate) runs: Runs,
}

/// The keys as they were last read.
#[derive(Debug, Default)]
struct Ring {
    /// With the moment at which a secret ends, in milliseconds since the Unix epoch.
    by_secret: HashMap<SecretHash, (Arc<Key>, u64)>,
    keys: usize,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified_ns: (i64, i64),
    length: u64,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("this gateway takes keys of its own: send one as your provider's key, or as `x-tollgate-key`")]
    Missing,
    #[error("this key is not valid here: it was revoked, has ended, or is another gateway's")]
    Invalid,
}

/// What became of the file.
#[derive(Debug)]
pub(crate) enum Looked {
    Same,
    Changed {
        keys: usize,
    },
    /// What was read before holds on.
    Failed(KeyFileError),
}

impl Keys {
    /// The keys of a data folder.
    pub(crate) fn open(data: &Path, rules: KeyRules) -> Result<Self, KeyFileError> {
        let file = KeyFile::of(data);
        let seen = stamp(&file);
        let ring = Ring::new(&file.read()?, rules.new_runs_per_minute);
        Ok(Self {
            file,
            required: rules.required.into(),
            new_runs_per_minute: rules.new_runs_per_minute.into(),
            ring: ArcSwap::from_pointee(ring),
            seen: Mutex::new(seen),
            runs: Runs::default(),
        })
    }

    /// Takes over what another configuration says; that keys are required is not taken back.
    pub(crate) fn take_over(&self, rules: KeyRules) {
        self.required.fetch_or(rules.required, Ordering::Relaxed);
        self.new_runs_per_minute.store(rules.new_runs_per_minute, Ordering::Relaxed);
        // The next look reads the keys again, with the new bound.
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a request without a valid key is refused.
    pub(crate) fn in_force(&self) -> bool {
        self.required.load(Ordering::Relaxed) || self.ring.load().keys > 0
    }

    /// How many there are, revoked ones included.
    pub(crate) fn count(&self) -> usize {
        self.ring.load().keys
    }

    /// Who sends a request.
    pub(crate) fn caller(&self, headers: &HeaderMap, now_ms: u64) -> Result<Caller, AccessError> {
        let ring = self.ring.load();
        let given = secrets(headers);
        let given = || given.iter().flatten().copied();
        if let Some(key) = given().find_map(|secret| ring.key_of(secret, now_ms)) {
            return Ok(Caller::Holder(key));
        }
        // A key of ours that is not known here must not be passed on to a provider, whatever is configured.
        let ours = given().any(|secret| secret.starts_with(SECRET_PREFIX.as_bytes()));
        match given().next() {
            _ if !ours && !self.required.load(Ordering::Relaxed) && ring.keys == 0 => {
                Ok(Caller::Anyone(name_of_foreign(given().next())))
            }
            None => Err(AccessError::Missing),
            Some(_) => Err(AccessError::Invalid),
        }
    }

    /// Looks whether the file has changed, and takes up what it says.
    pub(crate) fn look(&self) -> Looked {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.file);
        if *seen == now {
            return Looked::Same;
        }
        let read = self.file.read();
        *seen = now;
        match read {
            Ok(keys) if keys.len() < self.ring.load().keys => Looked::Failed(KeyFileError::Damaged {
                path: self.file.path(),
                problem: "keys are gone from it, which no command does; those that were read before hold on".to_owned(),
            }),
            Ok(keys) => {
                let ring = Ring::new(&keys, self.new_runs_per_minute.load(Ordering::Relaxed));
                self.ring.store(Arc::new(ring));
                Looked::Changed { keys: keys.len() }
            }
            Err(error) => Looked::Failed(error),
        }
    }
}

impl Ring {
    fn new(documents: &[KeyDocument], new_runs_per_minute: u32) -> Self {
        let mut ring = Self { by_secret: HashMap::new(), keys: documents.len() };
        for document in documents.iter().filter(|document| document.revoked_ms.is_none()) {
            let key = Arc::new(Key::new(document, new_runs_per_minute));
            for secret in &document.secrets {
                let ends_ms = secret.expires_ms.unwrap_or(u64::MAX);
                ring.by_secret.insert(secret.sha256, (Arc::clone(&key), ends_ms));
            }
        }
        ring
    }

    /// Found by its hash, so that how long it takes says nothing about a secret.
    fn key_of(&self, secret: &[u8], now_ms: u64) -> Option<Arc<Key>> {
        if self.by_secret.is_empty() || !secret.starts_with(SECRET_PREFIX.as_bytes()) {
            return None;
        }
        let (key, ends_ms) = self.by_secret.get(&SecretHash::of(secret))?;
        (now_ms < *ends_ms).then(|| Arc::clone(key))
    }
}

/// What a request proves itself by, in the places where SDKs put their key.
fn secrets(headers: &HeaderMap) -> [Option<&[u8]>; 3] {
    let [own, bare, bearer] = [headers.get(KEY_HEADER), headers.get("x-api-key"), headers.get(header::AUTHORIZATION)]
        .map(|value| value.map(HeaderValue::as_bytes));
    [own, bare, bearer.map(|value| value.strip_prefix(b"Bearer ").unwrap_or(value))]
}

/// What a provider's key is called here: the beginning of its SHA-256, which says nothing about it.
fn name_of_foreign(secret: Option<&[u8]>) -> String {
    let Some(secret) = secret else { return "anonymous".to_owned() };
    let hash = SecretHash::of(secret).to_string();
    format!("key-{}", hash.get(..12).unwrap_or_default())
}

fn stamp(file: &KeyFile) -> Option<Stamp> {
    let metadata = fs::metadata(file.path()).ok()?;
    let modified_ns = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { inode: metadata.ino(), modified_ns, length: metadata.len() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_core::Priority;

    use super::*;

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            scopes: Vec::new(),
            priority_cap: Priority::Normal,
            rights: Vec::new(),
            new_runs_per_minute: None,
        }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn name(keys: &Keys, headers: &HeaderMap, now_ms: u64) -> Result<String, AccessError> {
        keys.caller(headers, now_ms).map(|caller| caller.name().to_owned())
    }

    #[test]
    fn without_keys_the_callers_own_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path(), KeyRules::default()).unwrap();
        assert_eq!(name(&keys, &headers("x-api-key", "secret"), 0).as_deref(), Ok("key-2bb80d537b1d"));
        assert_eq!(name(&keys, &headers("authorization", "Bearer secret"), 0).as_deref(), Ok("key-2bb80d537b1d"));
        assert_eq!(name(&keys, &HeaderMap::new(), 0).as_deref(), Ok("anonymous"));
        let ours = headers("x-api-key", "tg_0123");
        assert_eq!(name(&keys, &ours, 0), Err(AccessError::Invalid), "a key of ours never goes to a provider");
        let required = KeyRules { required: true, ..KeyRules::default() };
        let keys = Keys::open(folder.path(), required).unwrap();
        assert_eq!(name(&keys, &HeaderMap::new(), 0), Err(AccessError::Missing));
        assert_eq!(name(&keys, &headers("x-api-key", "secret"), 0), Err(AccessError::Invalid));
    }

    #[test]
    fn a_change_is_taken_up_and_the_door_never_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, keys) = (KeyFile::of(folder.path()), Keys::open(folder.path(), KeyRules::default()).unwrap());
        assert!(matches!(keys.look(), Looked::Same) && !keys.in_force());
        let first = file.create(new("ci"), 0).unwrap();
        assert!(matches!(keys.look(), Looked::Changed { keys: 1 }) && keys.in_force());
        assert_eq!(name(&keys, &HeaderMap::new(), 0), Err(AccessError::Missing));
        for header in ["authorization", "x-api-key", "x-tollgate-key"] {
            assert_eq!(name(&keys, &headers(header, &first), 0).as_deref(), Ok("ci"), "{header}");
        }
        let second = file.rotate("ci", Duration::from_millis(50), 100).unwrap();
        assert!(matches!(keys.look(), Looked::Changed { .. }));
        let by = |secret: &str, now_ms| name(&keys, &headers("x-api-key", secret), now_ms).is_ok();
        assert_eq!((by(&first, 149), by(&first, 150), by(&second, 150)), (true, false, true));
        file.revoke("ci", 200).unwrap();
        assert!(matches!(keys.look(), Looked::Changed { .. }));
        assert!(!by(&second, 200) && keys.in_force(), "the last one that is revoked opens nothing");
        fs::remove_file(file.path()).unwrap();
        assert!(matches!(keys.look(), Looked::Failed(_)) && matches!(keys.look(), Looked::Same));
        assert!(keys.in_force());
        fs::write(file.path(), "{").unwrap();
        assert!(matches!(keys.look(), Looked::Failed(KeyFileError::Damaged { .. })) && keys.in_force());
    }

    #[test]
    fn another_configuration_bounds_runs_anew_and_takes_no_requirement_back() {
        let folder = tempfile::tempdir().unwrap();
        let (file, required) = (KeyFile::of(folder.path()), KeyRules { required: true, ..KeyRules::default() });
        let secret = file.create(new("ci"), 0).unwrap();
        let keys = Keys::open(folder.path(), required).unwrap();
        keys.take_over(KeyRules { required: false, new_runs_per_minute: 7 });
        assert!(matches!(keys.look(), Looked::Changed { keys: 1 }) && keys.required.load(Ordering::Relaxed));
        let Ok(Caller::Holder(key)) = keys.caller(&headers("x-api-key", &secret), 0) else { panic!("a key in force") };
        assert_eq!(key.new_runs_per_minute, 7);
    }
}
