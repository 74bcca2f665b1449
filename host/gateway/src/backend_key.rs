//! The key that a backend is called with: from the environment, or from a file that is read again when it changes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tollgate_core::config::Api;

/// The key of one backend, if it has one of its own.
#[derive(Debug)]
pub(crate) struct BackendKey {
    api: Api,
    file: Option<PathBuf>,
    value: ArcSwapOption<HeaderValue>,
    seen: Mutex<Option<Stamp>>,
}

/// What tells one state of the file from another.
type Stamp = (SystemTime, u64);

/// The largest file that is taken for a key, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// What is wrong with a backend's key.
#[derive(Debug, thiserror::Error)]
pub enum BackendKeyError {
    /// It is not in the environment.
    #[error(
        "takes its key from `${variable}`, which is not set: set it, or drop `key_env` to pass the caller's own key on"
    )]
    NotSet {
        /// Where it should be.
        variable: String,
    },
    /// The file cannot be read.
    #[error("takes its key from `{file}`, which cannot be read: {why}")]
    Unread {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// It is nothing that a header can hold.
    #[error("takes its key from `{from}`, where there is none: one line of visible characters")]
    NoKey {
        /// Where.
        from: String,
    },
}

impl BackendKey {
    pub(crate) fn new(api: Api, variable: Option<&str>, file: Option<PathBuf>) -> Result<Self, BackendKeyError> {
        let seen = file.as_deref().and_then(stamp);
        let value = match (&file, variable) {
            (Some(file), _) => Some(read(api, file)?),
            (None, Some(variable)) => {
                let missing = || BackendKeyError::NotSet { variable: variable.to_owned() };
                let key = env::var(variable).ok().filter(|key| !key.is_empty()).ok_or_else(missing)?;
                Some(header(api, &key, &format!("${variable}"))?)
            }
            (None, None) => None,
        };
        Ok(Self { api, file, value: ArcSwapOption::from_pointee(value), seen: Mutex::new(seen) })
    }

    pub(crate) fn value(&self) -> Option<HeaderValue> {
        self.value.load().as_deref().cloned()
    }

    /// Reads the file again where it has changed; nothing where it has not.
    pub(crate) fn look(&self) -> Option<Result<(), BackendKeyError>> {
        let file = self.file.as_deref()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(file);
        if *seen == now {
            return None;
        }
        *seen = now;
        Some(read(self.api, file).map(|value| self.value.store(Some(value.into()))))
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(api: Api, file: &Path) -> Result<HeaderValue, BackendKeyError> {
    let unread = |why: String| BackendKeyError::Unread { file: file.to_owned(), why };
    let metadata = fs::metadata(file).map_err(|error| unread(error.to_string()))?;
    if metadata.len() > MAX_BYTES {
        return Err(unread(format!("it has more than {MAX_BYTES} bytes")));
    }
    let text = fs::read_to_string(file).map_err(|error| unread(error.to_string()))?;
    header(api, text.trim(), &file.display().to_string())
}

fn header(api: Api, key: &str, from: &str) -> Result<HeaderValue, BackendKeyError> {
    let missing = || BackendKeyError::NoKey { from: from.to_owned() };
    if key.is_empty() {
        return Err(missing());
    }
    let text = if api == Api::Openai { format!("Bearer {key}") } else { key.to_owned() };
    let mut value = HeaderValue::from_str(&text).map_err(|_| missing())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_file_is_read_again_and_what_is_none_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let new = || BackendKey::new(Api::Openai, None, Some(file.clone()));
        assert!(new().unwrap_err().to_string().contains("cannot be read"));
        fs::write(&file, "\n").unwrap();
        assert!(new().unwrap_err().to_string().contains("where there is none"));
        fs::write(&file, "sk-1\n").unwrap();
        let key = new().unwrap();
        let value = || key.value().unwrap().to_str().unwrap().to_owned();
        assert!(key.look().is_none());
        assert_eq!(value(), "Bearer sk-1");
        fs::write(&file, "sk-second").unwrap();
        assert!(key.look().is_some_and(|read| read.is_ok()));
        assert_eq!(value(), "Bearer sk-second");
        fs::write(&file, "two\nlines").unwrap();
        assert!(key.look().is_some_and(|read| read.is_err()) && key.look().is_none());
        assert_eq!(value(), "Bearer sk-second");
        fs::write(&file, "x".repeat(20_000)).unwrap();
        assert!(key.look().is_some_and(|read| read.is_err()));
    }

    #[test]
    fn a_key_that_is_not_set_is_named() {
        let error = BackendKey::new(Api::Anthropic, Some("TOLLGATE_NO_SUCH_VARIABLE"), None).unwrap_err();
        assert!(error.to_string().contains("`$TOLLGATE_NO_SUCH_VARIABLE`, which is not set"));
        assert!(BackendKey::new(Api::Anthropic, None, None).unwrap().value().is_none());
    }
}
