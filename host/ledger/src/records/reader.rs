//! Reads records back. A file that was cut off ends where it was cut; one that is damaged ends where it is damaged; both are
//! told, and the next file is read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmp_serde::decode::Error as Decode;
use serde::Deserialize;

use super::files;
use super::form::{DecisionRecord, Entry, Header, Lost, PolicySet, VERSION};

/// The most that is read of one file: far more than a recorder writes to one.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A decision with what stands before it in its file.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The record.
    pub decision: DecisionRecord,
    /// Who wrote it.
    pub header: Arc<Header>,
    /// The policies that decided.
    pub policies: Arc<PolicySet>,
}

/// What is found in the files.
#[derive(Debug)]
pub enum Item {
    /// A decision.
    Decision(Box<Recorded>),
    /// Decisions that were not written.
    Lost(Lost),
    /// The rest of a file that cannot be read.
    Problem(Problem),
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The process that wrote it was killed, or its disk was full.
    #[error("`{file}` was cut off: its last {bytes} bytes are no whole record")]
    Cut {
        /// Which.
        file: PathBuf,
        /// How many bytes are left over.
        bytes: usize,
    },
    /// It is not what a recorder writes.
    #[error("`{file}` is damaged from byte {at} on, and its last {bytes} bytes are passed over: {what}")]
    Damaged {
        /// Which.
        file: PathBuf,
        /// Where.
        at: u64,
        /// How many bytes are left over.
        bytes: usize,
        /// How.
        what: String,
    },
    /// Written by a later Tollgate.
    #[error("`{file}` has version {version} of the records, and this build reads version {VERSION}: use the later one")]
    Version {
        /// Which.
        file: PathBuf,
        /// What it says.
        version: u32,
    },
    /// It cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The folder cannot be read.
    #[error("cannot read the records in `{folder}`: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody recorded anything there.
    #[error("there are no records in `{folder}`: `tollgate demo --records <FOLDER>` writes some")]
    None {
        /// Which.
        folder: PathBuf,
    },
}

/// Everything in the records of a folder, in the order in which it was written.
///
/// # Errors
/// When the folder cannot be read or holds none.
pub fn read(folder: &Path) -> Result<Records, ReadError> {
    let error = |source| ReadError::Folder { folder: folder.to_owned(), source };
    let files = files::list(folder).map_err(error)?;
    if files.is_empty() {
        return Err(ReadError::None { folder: folder.to_owned() });
    }
    Ok(Records { folder: folder.to_owned(), files: files.into(), open: None })
}

/// Yields what the files hold. One file is in memory at a time.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    files: VecDeque<PathBuf>,
    open: Option<OpenFile>,
}

/// A file that is being read.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where `bytes` starts in the file, and how much of it was understood.
    start: u64,
    at: usize,
    header: Arc<Header>,
    policies: Arc<PolicySet>,
    /// Nothing more of it can be understood.
    ended: bool,
}

impl Records {
    /// What was written since: to be called when the iterator has ended. Whether there is anything new to read; an entry that
    /// is only half there is left until it is whole.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn look_again(&mut self) -> io::Result<bool> {
        let later = |path: &PathBuf| self.open.as_ref().is_none_or(|open| *path > open.path);
        self.files = files::list(&self.folder)?.into_iter().filter(later).collect();
        let grown = match self.open.as_mut().map(OpenFile::refill) {
            None => false,
            // It was deleted for its age before it was read to its end.
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
            Some(grown) => grown?,
        };
        Ok(grown || !self.files.is_empty())
    }
}

impl Iterator for Records {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.open.as_mut().and_then(OpenFile::next) {
                return Some(item);
            }
            // A file that another follows gets nothing more, so what is half there stays half.
            let cut = self.open.as_mut().filter(|_| !self.files.is_empty()).and_then(OpenFile::cut);
            if let Some(problem) = cut {
                return Some(Item::Problem(problem));
            }
            let path = self.files.pop_front()?;
            match OpenFile::open(path) {
                Ok(open) => self.open = Some(open),
                Err(problem) => return Some(Item::Problem(problem)),
            }
        }
    }
}

impl Records {
    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Only the latest files, at most so many. Each tells the policies of its decisions anew.
    #[must_use]
    pub fn latest(mut self, files: usize) -> Self {
        let surplus = self.files.len().saturating_sub(files);
        self.files.drain(..surplus);
        self
    }

    /// What was cut off at the end of the last file. Only whoever does not follow it knows that nothing will come.
    #[must_use]
    pub fn cut(mut self) -> Option<Problem> {
        self.open.as_mut().and_then(OpenFile::cut)
    }
}

impl OpenFile {
    fn open(path: PathBuf) -> Result<Self, Problem> {
        let mut open = Self {
            path,
            bytes: Vec::new(),
            start: 0,
            at: 0,
            header: Arc::default(),
            policies: Arc::default(),
            ended: false,
        };
        match open.refill() {
            Ok(_) => Ok(open),
            Err(source) => Err(Problem::Read { file: open.path, source }),
        }
    }

    /// Reads what was not read yet. Whether there was any.
    fn refill(&mut self) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        let read = self.start.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX));
        file.seek(SeekFrom::Start(read))?;
        self.start = self.start.saturating_add(u64::try_from(self.at).unwrap_or(u64::MAX));
        self.bytes.drain(..self.at.min(self.bytes.len()));
        self.at = 0;
        Ok(file.take(MAX_FILE_BYTES).read_to_end(&mut self.bytes)? > 0 && !self.ended)
    }

    /// The next that is whole.
    fn next(&mut self) -> Option<Item> {
        while !self.ended {
            let rest = self.rest();
            let mut unread = rest;
            if unread.is_empty() {
                return None;
            }
            let entry = Entry::deserialize(&mut rmp_serde::Deserializer::new(&mut unread));
            let length = rest.len().saturating_sub(unread.len());
            match entry {
                Ok(entry) => {
                    self.at = self.at.saturating_add(length);
                    if let Some(item) = self.take_in(entry) {
                        return Some(item);
                    }
                }
                Err(error) if is_end(&error) => return None,
                Err(error) => return Some(Item::Problem(self.damaged(error.to_string()))),
            }
        }
        None
    }

    fn take_in(&mut self, entry: Entry) -> Option<Item> {
        match entry {
            Entry::Header(header) if header.version > VERSION => {
                self.ended = true;
                Some(Item::Problem(Problem::Version { file: self.path.clone(), version: header.version }))
            }
            Entry::Header(header) => {
                self.header = Arc::new(header);
                None
            }
            _ if self.header.version == 0 => {
                Some(Item::Problem(self.damaged("it does not begin with a header".to_owned())))
            }
            Entry::Policies(policies) => {
                self.policies = Arc::new(policies);
                None
            }
            Entry::Lost(lost) => Some(Item::Lost(lost)),
            Entry::Decision(decision) => Some(Item::Decision(Box::new(Recorded {
                decision: *decision,
                header: Arc::clone(&self.header),
                policies: Arc::clone(&self.policies),
            }))),
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn damaged(&mut self, what: String) -> Problem {
        self.ended = true;
        let at = self.start.saturating_add(u64::try_from(self.at).unwrap_or(u64::MAX));
        Problem::Damaged { file: self.path.clone(), at, bytes: self.rest().len(), what }
    }

    /// What is left of it that is no whole entry.
    fn cut(&mut self) -> Option<Problem> {
        let bytes = self.rest().len();
        let was_open = !std::mem::replace(&mut self.ended, true);
        (was_open && bytes > 0).then(|| Problem::Cut { file: self.path.clone(), bytes })
    }
}

/// Whether the bytes ended before the entry did.
fn is_end(error: &Decode) -> bool {
    let (Decode::InvalidMarkerRead(cause) | Decode::InvalidDataRead(cause)) = error else {
        return false;
    };
    cause.kind() == io::ErrorKind::UnexpectedEof
}
