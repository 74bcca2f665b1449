//! One file of the journal, written through a mapping of it: what is copied there is the kernel's, so it survives the process as
//! what is written with a call does, and costs none. The room is taken on the disk before, since a disk that is full could not be
//! told of later.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use memmap2::MmapMut;

use super::{StoreError, records};

/// A file that has so many bytes is followed by the other, where the store has all of that one.
pub(super) const TURN_BYTES: usize = 8 << 20;
/// Of a record: length and checksum.
const HEAD: usize = 8;

#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    map: MmapMut,
    /// Where the next record goes.
    end: usize,
    last: u64,
}

impl JournalFile {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let opened = || {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            take_room(&mut file, TURN_BYTES)?;
            Ok((map(&file)?, file))
        };
        let (map, file) = opened().map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        let end = records(&map).fold(0_usize, |end, body| end.saturating_add(HEAD).saturating_add(body.len()));
        Ok(Self { path, file, map, end, last: 0 })
    }

    /// All of it, records first.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The last batch in it.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Whether so many bytes still belong to this turn.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.end.saturating_add(bytes).saturating_add(HEAD) <= self.map.len()
    }

    /// Appends records, of which `last` is the last. The end behind them is there before they are.
    pub(super) fn append(&mut self, records: &[u8], last: u64) -> Result<(), StoreError> {
        if !self.has_room(records.len()) {
            let length = self.map.len().saturating_add(records.len()).saturating_add(TURN_BYTES);
            self.resize(length)?;
        }
        let (_, free) = self.map.split_at_mut(self.end);
        let (place, behind) = free.split_at_mut(records.len());
        if let Some(head) = behind.get_mut(..HEAD) {
            head.fill(0);
        }
        place.copy_from_slice(records);
        self.end = self.end.saturating_add(records.len());
        self.last = last;
        Ok(())
    }

    /// The store has all of it: it begins anew. What stays behind its new end is older than what the store has, whenever it is read.
    pub(super) fn begin_anew(&mut self) {
        if let Some(head) = self.map.get_mut(..HEAD) {
            head.fill(0);
        }
        (self.end, self.last) = (0, 0);
    }

    /// [`Self::begin_anew`], and nothing stays behind.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        self.begin_anew();
        self.map.fill(0);
        if self.map.len() > TURN_BYTES { self.resize(TURN_BYTES) } else { Ok(()) }
    }

    fn resize(&mut self, length: usize) -> Result<(), StoreError> {
        let mut resized = || {
            self.file.set_len(u64::try_from(length).unwrap_or(u64::MAX).min(self.file.metadata()?.len()))?;
            take_room(&mut self.file, length)?;
            map(&self.file)
        };
        self.map = resized().map_err(|source| StoreError::File { path: self.path.display().to_string(), source })?;
        Ok(())
    }
}

/// Makes a file at least so long.
fn take_room(file: &mut File, length: usize) -> std::io::Result<()> {
    let there = file.seek(SeekFrom::End(0))?;
    let missing = length.saturating_sub(usize::try_from(there).unwrap_or(usize::MAX));
    file.write_all(&vec![0; missing])
}

#[expect(unsafe_code, reason = "a mapping changes when its file does, see SAFETY")]
fn map(file: &File) -> std::io::Result<MmapMut> {
    // SAFETY: nobody but us changes the file or its length while it is open, which the lock of its folder promises; we change its
    // length only before we map it anew, and read no byte of the mapping while we write.
    unsafe { MmapMut::map_mut(file) }
}
