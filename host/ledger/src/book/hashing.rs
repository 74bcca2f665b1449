//! Hashing for names that are already spread.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::budget::AccountId;
use super::entry::ReservationId;

/// Account names are halves of a SHA-256 and reservation names are chosen by the host, so one multiplication spreads them; a
/// keyed hash would cost more than the rest of a reservation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let folded = product ^ (product >> 64);
        self.0 = u64::try_from(folded & u128::from(u64::MAX)).unwrap_or(0);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0));
        self.write_u64(u64::try_from(value >> 64).unwrap_or(0));
    }
}

pub(super) type ById<T> = HashMap<AccountId, T, BuildHasherDefault<Fold>>;
pub(super) type ByReservation<T> = HashMap<ReservationId, T, BuildHasherDefault<Fold>>;
