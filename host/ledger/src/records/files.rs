//! The folder with the files: one recorder at a time, files of bounded size, a bounded number of them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::form::{Entry, Header};

/// The file that the recorder of a folder holds.
pub const LOCK: &str = "lock";
/// What a file with records is called, around session and number: greater names are later files.
const PREFIX: &str = "decisions-";
const SUFFIX: &str = ".msgpack";

/// Why records cannot be written there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error("cannot write records to `{folder}`: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another recorder has it.
    #[error("another process writes its records to `{folder}`: name a folder of its own for each")]
    InUse {
        /// Which.
        folder: PathBuf,
    },
    /// There is no thread for it.
    #[error("cannot start the thread that writes records: {0}")]
    Thread(io::Error),
}

/// The files with records of a folder, the earliest first.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        let is_record = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        if name.to_str().is_some_and(is_record) {
            files.push(folder.join(name));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Where records are appended.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    header: Header,
    file_bytes: u64,
    keep: usize,
    current: Option<Current>,
    /// Held until the recorder is gone.
    _lock: File,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
}

impl Files {
    pub(super) fn open(folder: &Path, header: Header, file_bytes: u64, keep: usize) -> Result<Self, OpenError> {
        let error = |source| OpenError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(error)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(error)?;
        lock.try_lock().map_err(|problem| match problem {
            TryLockError::WouldBlock => OpenError::InUse { folder: folder.to_owned() },
            TryLockError::Error(source) => error(source),
        })?;
        let mut files = Self { folder: folder.to_owned(), header, file_bytes, keep, current: None, _lock: lock };
        // A folder that cannot be written is told now and not when the first record is lost.
        files.next().map_err(error)?;
        Ok(files)
    }

    /// Whether what is written next goes to a new file, which then needs the policies again.
    pub(super) fn is_due(&self, waiting: usize) -> bool {
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        self.current.as_ref().is_none_or(|current| current.bytes.saturating_add(waiting) >= self.file_bytes)
    }

    /// Begins the next file and deletes the earliest ones that are too many.
    pub(super) fn next(&mut self) -> io::Result<()> {
        self.current = None;
        self.header.file = self.header.file.saturating_add(1);
        let name = format!("{PREFIX}{:016x}-{:06}{SUFFIX}", self.header.session, self.header.file);
        let path = self.folder.join(name);
        let header = encode(&Entry::Header(self.header.clone()))?;
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        if let Err(error) = file.write_all(&header) {
            // On a full disk there would soon be as many empty files as attempts.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.current = Some(Current { file, bytes: u64::try_from(header.len()).unwrap_or(u64::MAX) });
        let files = list(&self.folder)?;
        for file in files.iter().take(files.len().saturating_sub(self.keep)) {
            fs::remove_file(file)?;
        }
        Ok(())
    }

    /// Appends whole entries. After an error the file is left as it is, cut off perhaps, and the next begins another.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Err(io::Error::other("no file is open"));
        };
        let written = current.file.write_all(bytes);
        current.bytes = current.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if written.is_err() {
            self.current = None;
        }
        written
    }
}

/// An entry as it is written: names of fields included, so that any MessagePack reader can tell what is what.
pub(super) fn encode(entry: &Entry) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(entry).map_err(io::Error::other)
}
