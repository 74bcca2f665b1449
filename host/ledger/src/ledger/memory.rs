//! What the history remembers, over restarts: restored when the ledger is opened, and written by the writer of everything else.
//!
//! The failed attempts of a task are in the journal before [`Ledger::outcome`] returns. The rest (rates, counters, routes, what runs
//! cost) is gathered and written by [`Ledger::sweep`], about once a second, so that no decision waits for it: a killed
//! process loses at most what was counted since.

use std::convert::Infallible;
use std::sync::Arc;

use tollgate_core::{History, Memory, Remembered, Symbols};

use super::Ledger;
use crate::store::{Note, StoreError};

/// The most that one batch of the journal says: the ledger's lock is held while it is written.
const ROWS: usize = 256;
/// What was untouched for so long is not restored, but dropped from storage.
const FORGOTTEN_MS: u64 = 90 * 24 * 3_600_000;

impl Ledger {
    /// The same ledger with a history of its own, as [`Ledger::with_history`], that goes on from what storage remembers. Names are
    /// kept there as the host of `symbols` resolves them, so the host has to have taken its configuration in before.
    ///
    /// # Errors
    /// Storage's.
    pub fn remembering(mut self, history: History, symbols: Arc<Symbols>, now_ms: u64) -> Result<Self, StoreError> {
        let since_ms = now_ms.saturating_sub(FORGOTTEN_MS);
        let mut over = Vec::new();
        for memory in Memory::ALL {
            let (rows, old): (Vec<_>, Vec<_>) =
                self.archive().remembered(memory)?.into_iter().partition(|row| row.touched_ms >= since_ms);
            over.extend(old.into_iter().map(|row| Remembered { state: None, ..row }));
            history.restore(rows, &symbols);
        }
        history.note_changes();
        (self.history, self.symbols) = (history, Some(symbols));
        over.chunks(ROWS).for_each(|rows| self.save(rows.to_vec()));
        Ok(self)
    }

    /// Writes down what has changed of a task.
    pub(super) fn save_tasks(&self) {
        if self.symbols.is_some() {
            self.save(self.history.take_task_changes(ROWS));
        }
    }

    /// Writes down what has changed.
    pub(super) fn save_history(&self) {
        let Some(symbols) = &self.symbols else {
            return;
        };
        loop {
            let rows = self.history.take_changes(ROWS, symbols);
            if rows.is_empty() {
                return;
            }
            self.save(rows);
        }
    }

    fn save(&self, rows: Vec<Remembered>) {
        if !rows.is_empty() {
            // What could not be written is said by the next operation on money.
            let _ = self.note::<Infallible>(&mut self.lock(), Some(Note::Memory { rows }));
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // A panic under the lock has to end as it would without a ledger.
        if !self.inner.is_poisoned() {
            self.save_history();
        }
    }
}

#[cfg(test)]
mod tests;
