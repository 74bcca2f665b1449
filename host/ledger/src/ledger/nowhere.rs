//! Storage of a ledger that keeps nothing.

use tollgate_core::{Memory, Remembered};

use crate::book::{AccountId, AccountState, Raise, ReservationId};
use crate::store::{
    Archive, Batch, Journal, LimitChange, Revoked, Store, StoreError, StoredAccount, StoredReservation,
    StoredResolution,
};

/// Takes everything and has nothing.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Store for Nowhere {
    fn commit(&mut self, _: &[Batch]) -> Result<(), StoreError> {
        Ok(())
    }

    fn applied(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

impl Journal for Nowhere {
    fn append(&mut self, _: &Batch, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn read_after(&mut self, _: u64) -> Result<Vec<Batch>, StoreError> {
        Ok(Vec::new())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Archive for Nowhere {
    fn account(&mut self, _: AccountId) -> Result<Option<AccountState>, StoreError> {
        Ok(None)
    }

    fn charged_lately(&mut self, _: u32) -> Result<Vec<StoredAccount>, StoreError> {
        Ok(Vec::new())
    }

    fn resolved(&mut self, _: ReservationId) -> Result<Option<StoredResolution>, StoreError> {
        Ok(None)
    }

    fn open_reservations(&mut self) -> Result<Vec<StoredReservation>, StoreError> {
        Ok(Vec::new())
    }

    fn raises(&mut self, _: u64) -> Result<Vec<(Raise, Revoked)>, StoreError> {
        Ok(Vec::new())
    }

    fn remembered(&mut self, _: Memory) -> Result<Vec<Remembered>, StoreError> {
        Ok(Vec::new())
    }

    fn limits(&mut self) -> Result<Vec<LimitChange>, StoreError> {
        Ok(Vec::new())
    }
}
