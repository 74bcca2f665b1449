//! The journal: batches in the order they were made, in two files that take turns.
//!
//! A record is its length and checksum (32 bits each, little endian) and the batch in postcard's format. A length of zero is the end,
//! and a record that was cut off is one, too: whoever wrote it had no answer yet. A file begins anew when the store has all of it.

mod file;

use std::path::Path;

use super::{Batch, StoreError};
use file::JournalFile;

/// Takes batches down before the operation that made them answers.
pub trait Journal: Send {
    /// Appends a batch: it survives the process, and the power where the store has it too. `applied` is the last batch
    /// that the store has.
    ///
    /// # Errors
    /// When it could not be written.
    fn append(&mut self, batch: &Batch, applied: u64) -> Result<(), StoreError>;

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

/// A journal of two files.
#[derive(Debug)]
pub struct JournalFiles {
    files: [JournalFile; 2],
    active: usize,
    /// The record being written; kept for its room.
    buffer: Vec<u8>,
}

impl JournalFiles {
    /// Opens `journal-0` and `journal-1` in a folder, or makes them. Nobody else may change them while they are open: whoever calls
    /// this holds the lock of the folder.
    ///
    /// # Errors
    /// When they cannot be opened, or have no room on the disk.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let files = [JournalFile::open(folder.join("journal-0"))?, JournalFile::open(folder.join("journal-1"))?];
        Ok(Self { files, active: 0, buffer: Vec::new() })
    }
}

impl Journal for JournalFiles {
    fn append(&mut self, batch: &Batch, applied: u64) -> Result<(), StoreError> {
        self.buffer.clear();
        encode(batch, &mut self.buffer)?;
        let [first, second] = &mut self.files;
        let (active, resting) = if self.active == 0 { (first, second) } else { (second, first) };
        if !active.has_room(self.buffer.len()) && resting.last() <= applied {
            resting.begin_anew();
            self.active = 1_usize.saturating_sub(self.active);
            resting.append(&self.buffer, batch.sequence)?;
        } else {
            active.append(&self.buffer, batch.sequence)?;
        }
        Ok(())
    }

    fn read_after(&mut self, applied: u64) -> Result<Vec<Batch>, StoreError> {
        let mut batches = Vec::new();
        for file in &self.files {
            for body in records(file.bytes()) {
                // It is as it was written: one that cannot be read is no end, and what comes after it was promised, too.
                batches.push(postcard::from_bytes(body)?);
            }
        }
        Ok(in_order(batches, applied))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.files.iter_mut().try_for_each(JournalFile::clear)
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

/// The bodies of records, up to the end or to one that was cut off.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (check, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length > 0)?;
        let (body, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        let check = u32::from_le_bytes(*check);
        (checksum(body) == check || earlier_checksum(body) == check).then_some(body)
    })
}

/// XXH32 with seed 0, some bytes at a time and without tables: against torn writes, not against people.
fn checksum(bytes: &[u8]) -> u32 {
    xxhash_rust::xxh32::xxh32(bytes, 0)
}

/// FNV-1a, what earlier builds wrote.
fn earlier_checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Nanodollars, Remembered, Usage};

    use super::*;
    use crate::calls::{Call, CallStatus, Outcome};
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
        let outcome = Outcome {
            at_ms: 7,
            run: "run".to_owned(),
            task: "task".to_owned(),
            status: CallStatus::Success,
            productive: Some(false),
            lines_production: Some(-4),
            lines_test: None,
            author: "key".to_owned(),
        };
        vec![
            Batch { sequence: 1, call: Some(Call::default()), ..Batch::default() },
            Batch { sequence: 2, call: Some(call), ..Batch::default() },
            Batch { sequence: 3, note: Some(Note::Approval { at_ms: 5, approval }), ..Batch::default() },
            Batch { sequence: 4, note: Some(Note::Outcome { outcome }), ..Batch::default() },
        ]
    }

    #[test]
    fn what_is_known_about_calls_comes_back_from_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = JournalFiles::open(folder.path()).unwrap();
        for batch in batches() {
            journal.append(&batch, 0).unwrap();
        }
        let mut again = JournalFiles::open(folder.path()).unwrap();
        assert_eq!(again.read_after(0).unwrap(), batches());
        assert_eq!(again.read_after(2).unwrap(), batches()[2..]);
    }

    fn sequences(batches: &[Batch]) -> Vec<u64> {
        batches.iter().map(|batch| batch.sequence).collect()
    }

    /// One that takes a third of a file.
    fn large(sequence: u64) -> Batch {
        let rows = vec![Remembered {
            memory: tollgate_core::Memory::ALL[0],
            key: "k".to_owned(),
            touched_ms: 1,
            state: Some("x".repeat(file::TURN_BYTES / 3)),
        }];
        Batch { sequence, note: Some(Note::Memory { rows }), ..Batch::default() }
    }

    #[test]
    fn files_take_turns_and_what_was_there_before_is_no_part_of_a_turn() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = JournalFiles::open(folder.path()).unwrap();
        for sequence in 1..=6 {
            journal.append(&large(sequence), sequence - 1).unwrap();
        }
        // The third turn is in the first file again, and shorter than the first was.
        journal.append(&Batch { sequence: 7, ..Batch::default() }, 6).unwrap();
        let mut again = JournalFiles::open(folder.path()).unwrap();
        assert_eq!(sequences(&again.read_after(4).unwrap()), [5, 6, 7]);
        assert_eq!(sequences(&again.read_after(6).unwrap()), [7]);
        again.clear().unwrap();
        assert_eq!(JournalFiles::open(folder.path()).unwrap().read_after(0).unwrap(), []);
    }

    #[test]
    fn a_store_that_lags_makes_a_file_longer_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = JournalFiles::open(folder.path()).unwrap();
        for sequence in 1..=12 {
            journal.append(&large(sequence), 0).unwrap();
        }
        let length = |name| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(length("journal-0") + length("journal-1") > 12 * file::TURN_BYTES as u64 / 3);
        let mut again = JournalFiles::open(folder.path()).unwrap();
        assert_eq!(sequences(&again.read_after(0).unwrap()), (1..=12).collect::<Vec<_>>());
        again.clear().unwrap();
        assert_eq!(length("journal-0") + length("journal-1"), 2 * file::TURN_BYTES as u64);
    }

    #[test]
    fn records_with_the_checksum_of_earlier_builds_are_read() {
        let mut record = Vec::new();
        encode(&batches()[1], &mut record).unwrap();
        let (head, body) = record.split_at_mut(8);
        head[4..].copy_from_slice(&earlier_checksum(body).to_le_bytes());
        assert_eq!(records(&record).count(), 1);
        record[8] ^= 1;
        assert_eq!(records(&record).count(), 0);
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
        let folder = tempfile::tempdir().unwrap();
        let found = |bytes: &[u8]| {
            std::fs::write(folder.path().join("journal-0"), bytes).unwrap();
            JournalFiles::open(folder.path()).unwrap().read_after(0)
        };
        assert_eq!(found(&[&*first, &second[..second.len() - 2]].concat()).unwrap(), batches()[..1]);
        // Whole, by its checksum, and of a form that this build does not know.
        let mut strange = [&3_u32.to_le_bytes()[..], &checksum(&[9, 9, 9]).to_le_bytes(), &[9, 9, 9]].concat();
        strange.extend_from_slice(&second);
        assert!(matches!(found(&strange), Err(StoreError::Record(_))));
    }
}
