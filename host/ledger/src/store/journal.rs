//! The journal: batches in the order they were made, in two files that take turns.
//!
//! A record is its length and checksum (32 bits each, little endian) and the batch in postcard's format. A record that was cut off ends the reading of
//! its file: whoever wrote it had no answer yet. A file is emptied when the store has all of it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Batch, StoreError};

/// Takes batches down before the operation that made them answers.
pub trait Journal: Send {
    /// Appends a batch: it survives the process, and the power where the store has it too. `applied` is the last batch
    /// that the store has.
    ///
    /// # Errors
    /// When it could not be written.
    fn append(&mut self, batch: &Batch, applied: u64) -> Result<(), StoreError>;

    /// Takes a batch in that is appended with the next one, before it: until then it does not survive.
    ///
    /// # Errors
    /// When it cannot be written.
    fn append_later(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Every batch later than `applied`, in order, without a gap.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_after(&mut self, applied: u64) -> Result<Vec<Batch>, StoreError>;

    /// Empties it: the store has everything.
    ///
    /// # Errors
    /// When it cannot be emptied.
    fn clear(&mut self) -> Result<(), StoreError>;
}

/// A file this long is followed by the other.
const TURN_BYTES: u64 = 8 << 20;

/// A journal of two files.
#[derive(Debug)]
pub struct JournalFiles {
    files: [JournalFile; 2],
    active: usize,
    /// What is to be written.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct JournalFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    last: u64,
}

impl JournalFiles {
    /// Opens `journal-0` and `journal-1` in a folder, or makes them.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let open = |name| {
            let path = folder.join(name);
            let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
            let file = opened.map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
            Ok::<_, StoreError>(JournalFile { path, file, bytes: 0, last: 0 })
        };
        Ok(Self { files: [open("journal-0")?, open("journal-1")?], active: 0, buffer: Vec::new() })
    }
}

impl JournalFile {
    fn failed(&self, source: std::io::Error) -> StoreError {
        StoreError::File { path: self.path.display().to_string(), source }
    }

    fn empty(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(|source| self.failed(source))?;
        (self.bytes, self.last) = (0, 0);
        Ok(())
    }
}

impl Journal for JournalFiles {
    fn append(&mut self, batch: &Batch, applied: u64) -> Result<(), StoreError> {
        let other = 1_usize.saturating_sub(self.active);
        let [first, second] = &mut self.files;
        let (active, resting) = if self.active == 0 { (first, second) } else { (second, first) };
        let target = if active.bytes >= TURN_BYTES && resting.last <= applied {
            resting.empty()?;
            self.active = other;
            resting
        } else {
            active
        };
        encode(batch, &mut self.buffer)?;
        target.file.write_all(&self.buffer).map_err(|source| target.failed(source))?;
        target.bytes = target.bytes.saturating_add(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
        target.last = batch.sequence;
        self.buffer.clear();
        Ok(())
    }

    fn append_later(&mut self, batch: &Batch) -> Result<(), StoreError> {
        encode(batch, &mut self.buffer)
    }

    fn read_after(&mut self, applied: u64) -> Result<Vec<Batch>, StoreError> {
        let mut batches = Vec::new();
        for journal in &mut self.files {
            let mut bytes = Vec::new();
            journal.file.seek(SeekFrom::Start(0)).map_err(|source| journal.failed(source))?;
            journal.file.read_to_end(&mut bytes).map_err(|source| journal.failed(source))?;
            decode_all(&bytes, &mut batches)?;
        }
        Ok(in_order(batches, applied))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.files.iter_mut().try_for_each(JournalFile::empty)
    }
}

/// Those after `applied`, up to the first gap: what comes after one rests on something that is lost.
pub(super) fn in_order(mut batches: Vec<Batch>, applied: u64) -> Vec<Batch> {
    batches.retain(|batch| batch.sequence > applied);
    batches.sort_by_key(|batch| batch.sequence);
    let mut next = applied;
    batches
        .into_iter()
        .take_while(|batch| {
            next = next.saturating_add(1);
            batch.sequence == next
        })
        .collect()
}

/// Adds the record of a batch to what is there.
fn encode(batch: &Batch, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 8]);
    *buffer = postcard::to_extend(batch, std::mem::take(buffer))?;
    let record = buffer.get_mut(start..).unwrap_or_default();
    let (head, body) = record.split_at_mut_checked(8).ok_or(postcard::Error::SerializeBufferFull)?;
    let length = u32::try_from(body.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    let (length_place, check_place) = head.split_at_mut(4);
    length_place.copy_from_slice(&length.to_le_bytes());
    check_place.copy_from_slice(&checksum(body).to_le_bytes());
    Ok(())
}

/// Reads records up to the end, or to one that was cut off.
fn decode_all(mut bytes: &[u8], batches: &mut Vec<Batch>) -> Result<(), StoreError> {
    while let Some((length, rest)) = bytes.split_first_chunk::<4>()
        && let Some((check, rest)) = rest.split_first_chunk::<4>()
        && let Ok(length) = usize::try_from(u32::from_le_bytes(*length))
        && let Some((body, rest)) = rest.split_at_checked(length)
        && checksum(body) == u32::from_le_bytes(*check)
    {
        // It is as it was written: one that cannot be read is no end, and what comes after it was promised, too.
        batches.push(postcard::from_bytes(body)?);
        bytes = rest;
    }
    Ok(())
}

/// FNV-1a: against torn writes, not against people.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Nanodollars, Usage};

    use super::*;
    use crate::calls::{Call, CallStatus};
    use crate::store::batch::{Approval, Note};

    fn batches() -> Vec<Batch> {
        let word = || Some("word".to_owned());
        let call = Call {
            reservation: [7; 16],
            started_ms: 1,
            duration_ms: 2,
            run: "run".to_owned(),
            task: "task".to_owned(),
            work_item: word(),
            user: word(),
            task_type: word(),
            stage: word(),
            model: word(),
            tier: word(),
            attempt: Some(3),
            status: CallStatus::Rejected,
            productive: Some(true),
            usage: Some(Usage { output: 9, ..Usage::default() }),
            cost: Nanodollars::new(1_234_567_890),
            estimated: true,
            lines_production: Some(-4),
            lines_test: Some(5),
            size: word(),
            trace_id: word(),
        };
        let approval = Approval {
            id: [1; 16],
            beneficiary: "run=7".to_owned(),
            budget: word(),
            amount: 50,
            until_ms: 1_000,
            author: "ada".to_owned(),
            reason: "release day".to_owned(),
        };
        vec![
            Batch { sequence: 1, call: Some(Call::default()), ..Batch::default() },
            Batch { sequence: 2, call: Some(call), ..Batch::default() },
            Batch { sequence: 3, note: Some(Note::Approval { at_ms: 5, approval }), ..Batch::default() },
            Batch { sequence: 4, ..Batch::default() },
        ]
    }

    #[test]
    fn what_is_known_about_calls_comes_back_from_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = JournalFiles::open(folder.path()).unwrap();
        for batch in batches() {
            journal.append(&batch, 0).unwrap();
        }
        // The last waits for another one that never came.
        journal.append_later(&Batch { sequence: 5, ..Batch::default() }).unwrap();
        let mut again = JournalFiles::open(folder.path()).unwrap();
        assert_eq!(again.read_after(0).unwrap(), batches());
        assert_eq!(again.read_after(2).unwrap(), batches()[2..]);
        journal.append(&Batch { sequence: 6, ..Batch::default() }, 0).unwrap();
        let late: Vec<_> = again.read_after(4).unwrap().iter().map(|batch| batch.sequence).collect();
        assert_eq!(late, [5, 6]);
    }

    #[test]
    fn a_record_of_an_earlier_build_is_read_as_it_was_meant() {
        let mut bytes = vec![3, 0, 0, 0, 0, 1, 1, 5];
        bytes.extend_from_slice(&[1; 16]);
        bytes.extend_from_slice(b"\x05run=7\x01\x04word\x32\xe8\x07\x03ada\x0brelease day");
        assert_eq!(postcard::from_bytes::<Batch>(&bytes).unwrap(), batches()[2]);
    }

    #[test]
    fn a_record_that_was_cut_off_ends_the_reading_and_one_that_cannot_be_read_is_an_error() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        encode(&batches()[0], &mut first).unwrap();
        encode(&batches()[1], &mut second).unwrap();
        let mut found = Vec::new();
        decode_all(&[&*first, &second[..second.len() - 1]].concat(), &mut found).unwrap();
        assert_eq!(found, batches()[..1]);
        // Whole, by its checksum, and of a form that this build does not know.
        let mut strange = [&3_u32.to_le_bytes()[..], &checksum(&[9, 9, 9]).to_le_bytes(), &[9, 9, 9]].concat();
        strange.extend_from_slice(&second);
        assert!(matches!(decode_all(&strange, &mut found), Err(StoreError::Record(_))));
    }
}
