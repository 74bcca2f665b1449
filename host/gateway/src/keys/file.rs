//! The file of the keys in the data folder: readable by its owner only, changed by one command at a time, never half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_core::Priority;

use super::document::{KeyDocument, OwnScope, Right, SECRET_PREFIX, SecretDocument, SecretHash, is_name};

const FILE: &str = "keys.json";
const LOCK: &str = "keys.lock";
/// What the lock says once there was a key.
const MADE: &str = "keys were made in this folder\n";
/// The version of the file's form.
const VERSION: u32 = 1;
/// The most keys, revoked ones included.
pub(crate) const MAX_KEYS: usize = 10_000;
/// The most secrets of a key that hold at once.
const MAX_SECRETS: usize = 4;
/// The largest file that is read, in bytes: so many keys with a few scopes each.
const MAX_BYTES: u64 = 64 << 20;

/// The keys of a data folder.
#[derive(Clone, Debug)]
pub struct KeyFile {
    folder: PathBuf,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// See [`KeyDocument::name`].
    pub name: String,
    /// See [`KeyDocument::scopes`].
    pub scopes: Vec<OwnScope>,
    /// See [`KeyDocument::priority_cap`].
    pub priority_cap: Priority,
    /// See [`KeyDocument::rights`].
    pub rights: Vec<Right>,
    /// See [`KeyDocument::new_runs_per_minute`].
    pub new_runs_per_minute: Option<u32>,
}

/// Why the keys were not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk.
    #[error("`{path}`: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("`{path}` is damaged: {problem}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Others may change it.
    #[error("`{path}` can be written by others, who could make keys of their own: say `chmod 600`")]
    Writable {
        /// Which file.
        path: PathBuf,
    },
    /// A name that cannot be taken.
    #[error("`{name}` cannot name a key: 1 to 256 visible characters, without `=` and `,`")]
    Name {
        /// Which.
        name: String,
    },
    /// There is one.
    #[error(
        "there is a key `{name}` already, or was: records know it by that name, so call the new one something else"
    )]
    Exists {
        /// Which.
        name: String,
    },
    /// There is none.
    #[error("there is no key `{name}`: `tollgate keys list` tells those there are")]
    Unknown {
        /// Which.
        name: String,
    },
    /// It was revoked.
    #[error("the key `{name}` is revoked: make another one")]
    Revoked {
        /// Which.
        name: String,
    },
    /// It was rotated too often.
    #[error("the key `{name}` has {MAX_SECRETS} secrets that hold: wait until one ends, or rotate with `--overlap 0s`")]
    TooManySecrets {
        /// Which.
        name: String,
    },
    /// No more fit.
    #[error("there are {MAX_KEYS} keys already")]
    TooMany,
    /// A number that cannot be meant.
    #[error("a key that may begin no run can do nothing: say at least 1")]
    NoRuns,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    keys: Vec<KeyDocument>,
}

impl KeyFile {
    /// The keys of a data folder, which need not be there yet.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { folder: data.to_owned() }
    }

    /// Every key, in the order in which they were made; none where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or trusted.
    pub fn read(&self) -> Result<Vec<KeyDocument>, KeyFileError> {
        let path = self.path();
        let io = |source| KeyFileError::Io { path: path.clone(), source };
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.none_yet(),
            metadata => metadata.map_err(io)?,
        };
        if metadata.mode() & 0o022 != 0 {
            return Err(KeyFileError::Writable { path });
        }
        let damaged = |problem: String| KeyFileError::Damaged { path: path.clone(), problem };
        if metadata.len() > MAX_BYTES {
            return Err(damaged(format!("it has more than {MAX_BYTES} bytes")));
        }
        let text = fs::read(&path).map_err(io)?;
        let contents: Contents = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if contents.version != VERSION {
            return Err(damaged(format!("it has version {}, and this build reads {VERSION}", contents.version)));
        }
        Ok(contents.keys)
    }

    /// No keys, where none were ever made: a file that is gone must not open the door at the next start.
    fn none_yet(&self) -> Result<Vec<KeyDocument>, KeyFileError> {
        let lock = self.folder.join(LOCK);
        if fs::metadata(&lock).is_ok_and(|lock| lock.len() > 0) {
            let problem = format!(
                "it is gone, and keys were made here: bring it back, or remove `{}` where none shall be needed",
                lock.display()
            );
            return Err(KeyFileError::Damaged { path: self.path(), problem });
        }
        Ok(Vec::new())
    }

    /// Makes a key, and gives its secret: nobody can tell it again.
    ///
    /// # Errors
    /// When the name is taken or none, or the file cannot be written.
    pub fn create(&self, new: NewKey, now_ms: u64) -> Result<String, KeyFileError> {
        if !is_name(&new.name) || new.name.contains(['=', ',']) || new.name.trim() != new.name {
            return Err(KeyFileError::Name { name: new.name });
        }
        if new.new_runs_per_minute == Some(0) {
            return Err(KeyFileError::NoRuns);
        }
        self.change(|keys| {
            if keys.iter().any(|key| key.name == new.name) {
                return Err(KeyFileError::Exists { name: new.name });
            }
            if keys.len() >= MAX_KEYS {
                return Err(KeyFileError::TooMany);
            }
            let (secret, document) = new_secret(now_ms);
            let NewKey { name, scopes, priority_cap, rights, new_runs_per_minute } = new;
            let (created_ms, revoked_ms, secrets) = (now_ms, None, vec![document]);
            keys.push(KeyDocument {
                name,
                scopes,
                priority_cap,
                rights,
                new_runs_per_minute,
                created_ms,
                revoked_ms,
                secrets,
            });
            Ok(secret)
        })
    }

    /// Gives a key another secret; those it has hold for as long as `overlap` says.
    ///
    /// # Errors
    /// When there is no such key, or the file cannot be written.
    pub fn rotate(&self, name: &str, overlap: Duration, now_ms: u64) -> Result<String, KeyFileError> {
        self.change(|keys| {
            let key = find(keys, name)?;
            if key.revoked_ms.is_some() {
                return Err(KeyFileError::Revoked { name: name.to_owned() });
            }
            let end = now_ms.saturating_add(u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX));
            for secret in &mut key.secrets {
                secret.expires_ms = Some(secret.expires_ms.map_or(end, |earlier| earlier.min(end)));
            }
            key.secrets.retain(|secret| secret.is_live(now_ms));
            if key.secrets.len() >= MAX_SECRETS {
                return Err(KeyFileError::TooManySecrets { name: name.to_owned() });
            }
            let (secret, document) = new_secret(now_ms);
            key.secrets.push(document);
            Ok(secret)
        })
    }

    /// Takes a key's secrets away; its name stays taken. Whether it had any.
    ///
    /// # Errors
    /// When there is no such key, or the file cannot be written.
    pub fn revoke(&self, name: &str, now_ms: u64) -> Result<bool, KeyFileError> {
        self.change(|keys| {
            let key = find(keys, name)?;
            key.secrets.clear();
            let held = key.revoked_ms.is_none();
            key.revoked_ms.get_or_insert(now_ms);
            Ok(held)
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Reads, changes and writes, while no other command does.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<KeyDocument>) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyFileError::Io { path, source }
        };
        fs::create_dir_all(&self.folder).map_err(io(&self.folder))?;
        let lock = self.folder.join(LOCK);
        let mut held = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock).map_err(io(&lock))?;
        // Until it is closed at the end of this function.
        held.lock().map_err(io(&lock))?;
        let mut keys = self.read()?;
        let made = change(&mut keys)?;
        let text = serde_json::to_string_pretty(&Contents { version: VERSION, keys });
        let path = self.path();
        let text = text.map_err(|error| KeyFileError::Io { path: path.clone(), source: error.into() })?;
        replace(&self.folder, &path, &text).map_err(io(&path))?;
        if held.metadata().is_ok_and(|held| held.len() == 0) {
            held.write_all(MADE.as_bytes()).map_err(io(&lock))?;
        }
        Ok(made)
    }
}

fn find<'a>(keys: &'a mut [KeyDocument], name: &str) -> Result<&'a mut KeyDocument, KeyFileError> {
    let found = keys.iter_mut().find(|key| key.name == name);
    found.ok_or_else(|| KeyFileError::Unknown { name: name.to_owned() })
}

fn new_secret(now_ms: u64) -> (String, SecretDocument) {
    let secret = format!("{SECRET_PREFIX}{:032x}{:032x}", crate::random_id(), crate::random_id());
    let sha256 = SecretHash::of(secret.as_bytes());
    (secret, SecretDocument { sha256, created_ms: now_ms, expires_ms: None })
}

/// A reader sees what was there before or all of this; so does whoever comes after a power cut.
fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let next = path.with_extension("json.next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn new(name: &str) -> NewKey {
        let scopes = vec!["team=red".parse().unwrap()];
        let rights = vec![Right::Claim];
        NewKey { name: name.to_owned(), scopes, priority_cap: Priority::Normal, rights, new_runs_per_minute: None }
    }

    #[test]
    fn the_secret_is_nowhere_in_the_file_and_the_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::of(folder.path());
        let secret = file.create(new("ci"), 5).unwrap();
        assert!(secret.starts_with("tg_") && secret.len() == 67);
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains(&secret[3..]) && text.contains(&SecretHash::of(secret.as_bytes()).to_string()));
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        let keys = file.read().unwrap();
        assert_eq!((keys[0].name.as_str(), keys[0].scopes[0].to_string().as_str()), ("ci", "team=red"));
    }

    #[test]
    fn a_file_that_is_gone_is_no_folder_without_keys() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::of(folder.path());
        assert!(file.revoke("nobody", 1).is_err());
        assert!(file.read().unwrap().is_empty(), "none was ever made");
        file.create(new("ci"), 5).unwrap();
        fs::remove_file(file.path()).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("it is gone") && error.contains("keys.lock"), "{error}");
    }

    #[test]
    fn an_old_secret_holds_for_the_overlap_and_no_longer_than_it_was_said_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::of(folder.path());
        file.create(new("ci"), 0).unwrap();
        file.rotate("ci", Duration::from_millis(100), 10).unwrap();
        file.rotate("ci", Duration::from_millis(1_000), 20).unwrap();
        let ends = || file.read().unwrap()[0].secrets.iter().map(|secret| secret.expires_ms).collect::<Vec<_>>();
        assert_eq!(ends(), [Some(110), Some(1_020), None]);
        file.rotate("ci", Duration::from_millis(1_000), 30).unwrap();
        let error = file.rotate("ci", Duration::from_secs(9), 40).unwrap_err();
        assert!(error.to_string().contains("--overlap 0s"), "{error}");
        file.rotate("ci", Duration::ZERO, 50).unwrap();
        assert_eq!(ends(), [None]);
    }

    #[test]
    fn a_revoked_key_keeps_its_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::of(folder.path());
        file.create(new("ci"), 0).unwrap();
        assert!(file.revoke("ci", 7).unwrap());
        assert!(!file.revoke("ci", 8).unwrap(), "again changes nothing");
        let key = file.read().unwrap().remove(0);
        assert_eq!((key.secrets.len(), key.revoked_ms), (0, Some(7)));
        assert!(matches!(file.create(new("ci"), 9), Err(KeyFileError::Exists { .. })));
        assert!(matches!(file.rotate("ci", Duration::ZERO, 9), Err(KeyFileError::Revoked { .. })));
        assert!(matches!(file.revoke("cd", 9), Err(KeyFileError::Unknown { .. })));
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::of(folder.path());
        assert!(file.read().unwrap().is_empty());
        for name in ["", "a=b", "a,b", " a", "a\n"] {
            assert!(matches!(file.create(new(name), 0), Err(KeyFileError::Name { .. })), "{name:?}");
        }
        file.create(new("ci"), 0).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(file.read(), Err(KeyFileError::Writable { .. })));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "{}", r#"{"version":2,"keys":[]}"#, r#"{"version":1,"keys":[{"name":"x"}]}"#] {
            fs::write(file.path(), text).unwrap();
            assert!(matches!(file.create(new("x"), 0), Err(KeyFileError::Damaged { .. })), "{text}");
        }
    }

    #[test]
    fn two_who_change_it_at_once_both_have_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::of(folder.path());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || file.create(new(&format!("k{number}")), 0).unwrap());
            }
        });
        assert_eq!(file.read().unwrap().len(), 8);
    }
}
