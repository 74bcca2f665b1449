//! The open reservations of the database, brought up to date once for a whole group: most reservations begin and end in the same one, and
//! are never written there at all.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::sqlite::stored;
use super::{Line, StoreError};
use crate::book::EntryKind;

/// What a group of batches changes, by reservation: in its order, so that neighbours are found in the same page.
#[derive(Debug, Default)]
pub(super) struct HeldChanges(BTreeMap<[u8; 16], HeldChange>);

#[derive(Clone, Copy, Debug)]
enum HeldChange {
    /// It began in this group and goes on.
    Begun { charge_set: i64, amount: u64, sent: bool, deadline_ms: u64 },
    /// It was there before, and holds more or was sent.
    Changed { more: u64, sent_until_ms: Option<u64> },
    /// It was there before, and has ended.
    Ended,
}

impl HeldChanges {
    /// Takes in a line of the ledger.
    pub(super) fn take(&mut self, kind: EntryKind, line: &Line, charge_set: i64) {
        let unchanged = HeldChange::Changed { more: 0, sent_until_ms: None };
        match kind {
            EntryKind::Reserve | EntryKind::Dispatch => {
                let (amount, sent, deadline_ms) = (line.hold, kind == EntryKind::Dispatch, line.deadline_ms);
                self.0.insert(line.reservation, HeldChange::Begun { charge_set, amount, sent, deadline_ms });
            }
            EntryKind::Extend => match self.0.entry(line.reservation).or_insert(unchanged) {
                HeldChange::Begun { amount: held, .. } | HeldChange::Changed { more: held, .. } => {
                    *held = held.saturating_add(line.hold);
                }
                HeldChange::Ended => {}
            },
            EntryKind::Sent => match self.0.entry(line.reservation).or_insert(unchanged) {
                HeldChange::Begun { sent, deadline_ms, .. } => (*sent, *deadline_ms) = (true, line.deadline_ms),
                HeldChange::Changed { sent_until_ms, .. } => *sent_until_ms = Some(line.deadline_ms),
                HeldChange::Ended => {}
            },
            EntryKind::Post | EntryKind::Estimate | EntryKind::Void | EntryKind::Expire => {
                match self.0.get(&line.reservation) {
                    Some(HeldChange::Begun { .. }) => self.0.remove(&line.reservation),
                    _ => self.0.insert(line.reservation, HeldChange::Ended),
                };
            }
            EntryKind::Correct | EntryKind::Overrun => {}
        }
    }

    /// Writes what has changed.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut begin = transaction.prepare_cached("INSERT INTO held VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut change = transaction.prepare_cached(
            "UPDATE held SET amount = amount + ?2, sent = max(sent, ?3 IS NOT NULL), deadline_ms = coalesce(?3, deadline_ms)
             WHERE reservation = ?1",
        )?;
        let mut end = transaction.prepare_cached("DELETE FROM held WHERE reservation = ?1")?;
        for (reservation, changed) in &self.0 {
            match *changed {
                HeldChange::Begun { charge_set, amount, sent, deadline_ms } => {
                    begin.execute(params![reservation, charge_set, stored(amount), sent, stored(deadline_ms)])?
                }
                HeldChange::Changed { more, sent_until_ms } => {
                    change.execute(params![reservation, stored(more), sent_until_ms.map(stored)])?
                }
                HeldChange::Ended => end.execute([reservation])?,
            };
        }
        Ok(())
    }
}
