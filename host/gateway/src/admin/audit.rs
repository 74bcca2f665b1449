//! What was changed, by whom, when, and what it was before: one JSON object a line, appended and on the disk before whoever
//! changed it is answered. Nothing is ever taken out of it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use tollgate_ledger::records::rfc3339;

/// Its file, in the data folder.
pub const AUDIT_FILE: &str = "audit.jsonl";
/// The most entries that are read at once, and the most bytes for them.
pub(crate) const MAX_READ: usize = 1_000;
const MAX_READ_BYTES: u64 = 8 << 20;
/// The most entries that wait to be written, of those that nobody waits for.
const MAX_WAITING: usize = 1_024;

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The token's name, or what did it by itself: `policy:kill-switch`, `watcher`.
    pub who: String,
    /// What was done: `switch.engage`, `budget.limit`, …
    pub action: String,
    /// To what.
    pub target: String,
    /// What it was; null where there was nothing.
    pub before: Value,
    /// What it is; null where there is nothing any more.
    pub after: Value,
}

impl AuditEntry {
    pub(crate) fn new(now_ms: u64, who: &str, action: &str, target: impl Into<String>) -> Self {
        Self {
            at: rfc3339(now_ms),
            at_ms: now_ms,
            who: who.to_owned(),
            action: action.to_owned(),
            target: target.into(),
            before: Value::Null,
            after: Value::Null,
        }
    }

    #[must_use]
    pub(crate) fn before(self, before: impl Into<Value>) -> Self {
        Self { before: before.into(), ..self }
    }

    #[must_use]
    pub(crate) fn after(self, after: impl Into<Value>) -> Self {
        Self { after: after.into(), ..self }
    }
}

/// The audit log of a data folder.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    file: Mutex<File>,
    /// Changes that came about by themselves, on a thread that decides and must not wait for the disk.
    waiting: Mutex<Waiting>,
    pub(crate) news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<AuditEntry>,
    dropped: u64,
}

impl Audit {
    /// Opens the log, or begins it. A line that was cut off by the end of a process is ended.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(AUDIT_FILE);
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path)?;
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self { path, file: Mutex::new(file), waiting: Mutex::default(), news: Notify::new() })
    }

    /// Writes entries down, and returns when they are on the disk.
    pub(crate) fn append(&self, entries: &[AuditEntry]) -> io::Result<()> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&lines)?;
        file.sync_data()
    }

    /// Leaves an entry to be written by [`Audit::catch_up`]. Where too many wait, it is counted, and the log says so.
    pub(crate) fn leave(&self, entry: AuditEntry) {
        let mut waiting = self.waiting();
        if waiting.entries.len() < MAX_WAITING {
            waiting.entries.push_back(entry);
        } else {
            waiting.dropped = waiting.dropped.saturating_add(1);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Writes what was left.
    pub(crate) fn catch_up(&self, now_ms: u64) -> io::Result<()> {
        let Waiting { entries, dropped } = std::mem::take(&mut *self.waiting());
        let mut entries: Vec<_> = entries.into();
        if dropped > 0 {
            let lost = AuditEntry::new(now_ms, "audit", "audit.lost", "entries that came too fast").after(dropped);
            entries.push(lost);
        }
        if entries.is_empty() { Ok(()) } else { self.append(&entries) }
    }

    /// The last entries, the earliest of them first.
    pub(crate) fn last(&self, count: usize) -> io::Result<Vec<AuditEntry>> {
        last(&self.path, count)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last(path: &Path, count: usize) -> io::Result<Vec<AuditEntry>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_READ_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
    // What begins in the middle of a line, or was cut off by the end of a process, is none.
    let entries = bytes.split(|byte| *byte == b'\n').rev();
    let mut entries: Vec<AuditEntry> =
        entries.filter_map(|line| serde_json::from_slice(line).ok()).take(count).collect();
    entries.reverse();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(number: u64) -> AuditEntry {
        AuditEntry::new(number, "ada", "switch.engage", "team=red").before(Value::Null).after(number)
    }

    #[test]
    fn what_was_written_is_read_back_after_a_process_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        Audit::open(folder.path()).unwrap().append(&[entry(1), entry(2)]).unwrap();
        let path = folder.path().join(AUDIT_FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"at\":\"2026")).unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        audit.append(&[entry(3)]).unwrap();
        assert_eq!(audit.last(10).unwrap(), [entry(1), entry(2), entry(3)]);
        assert_eq!(audit.last(1).unwrap(), [entry(3)]);
    }

    #[test]
    fn what_comes_too_fast_is_counted_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        for number in 0..=MAX_WAITING as u64 {
            audit.leave(entry(number));
        }
        audit.catch_up(7).unwrap();
        let read = audit.last(MAX_READ).unwrap();
        assert_eq!((read.len(), read.last().map(|entry| entry.after.clone())), (MAX_READ, Some(1.into())));
        audit.catch_up(8).unwrap();
        assert_eq!(audit.last(1).unwrap()[0].at_ms, 7, "nothing is written twice");
    }
}
