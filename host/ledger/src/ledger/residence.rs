//! Bringing into memory what lies in storage, without keeping others waiting for the disk.

use std::sync::{MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::Ledger;
use super::inner::{Inner, charged};
use crate::book::{AccountState, Path, PathAccount, ReservationId, Resolved};
use crate::store::{Archive, StoreError};

impl Ledger {
    pub(super) fn archive(&self) -> MutexGuard<'_, Box<dyn Archive>> {
        // What reads can be read again, whatever happened to who read before.
        self.archive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, with every account of a path in memory. What is missing is read without the lock: others go on, and may
    /// fetch the same account meanwhile. Only one that came, changed and left again in between would be stale, so
    /// whenever accounts have left it is read again.
    pub(super) fn resident(&self, path: &Path) -> Result<MutexGuard<'_, Inner>, StoreError> {
        loop {
            let mut inner = self.lock();
            let missing: SmallVec<[PathAccount; 4]> = inner.book.missing(path).cloned().collect();
            if missing.is_empty() {
                return Ok(inner);
            }
            self.make_room(&mut inner, missing.len());
            let evictions = inner.evictions;
            drop(inner);
            let fetched = self.fetch(missing)?;
            let mut inner = self.lock();
            if inner.evictions != evictions {
                continue;
            }
            for (account, state) in fetched {
                // Another thread may have brought it in meanwhile, and then knows better.
                let _ = inner.book.admit(&account, state);
                self.board.show(&inner.book, std::iter::once(account.id));
            }
            return Ok(inner);
        }
    }

    /// The lock, with what storage knows about a reservation that the book has forgotten, and its accounts.
    pub(super) fn recall(&self, id: ReservationId) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.lock();
        let (known, path) = (inner.book.knows(id), inner.book.path_of(id));
        let inner = if known {
            inner
        } else {
            drop(inner);
            let stored = self.archive().resolved(id)?;
            let mut inner = self.lock();
            if let Some(stored) = stored
                && !inner.book.knows(id)
            {
                let (path, windows) = charged(&stored.charges);
                inner.book.admit_resolved(id, Resolved { resolution: stored.resolution, path, windows });
            }
            inner
        };
        match path.or_else(|| inner.book.path_of(id)) {
            Some(path) => {
                drop(inner);
                self.resident(&path)
            }
            None => Ok(inner),
        }
    }

    fn fetch(
        &self,
        missing: SmallVec<[PathAccount; 4]>,
    ) -> Result<Vec<(PathAccount, Option<AccountState>)>, StoreError> {
        let mut archive = self.archive();
        missing
            .into_iter()
            .map(|account| {
                let state = archive.account(account.id)?;
                Ok((account, state))
            })
            .collect()
    }

    /// Lets idle accounts go once there would be more than should stay: a tenth at a time, since all are looked at.
    fn make_room(&self, inner: &mut Inner, coming: usize) {
        let keep = inner.resident_accounts;
        if inner.book.resident().saturating_add(coming) <= keep {
            return;
        }
        let committed = self.writer.committed();
        inner.dirty.retain(|_, sequence| *sequence > committed);
        let dirty = &inner.dirty;
        let target = keep.saturating_sub(coming.max(keep / 10));
        let gone = inner.book.evict(target, |id| !dirty.contains_key(&id));
        inner.evictions = inner.evictions.saturating_add(u64::try_from(gone.len()).unwrap_or(u64::MAX));
        self.board.show(&inner.book, gone.into_iter());
    }
}
