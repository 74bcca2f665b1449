//! What callers say became of their tasks: written down for reports. What decisions learn of it is [`Ledger::outcome`]'s business.

use std::convert::Infallible;

use super::{Ledger, LedgerError, Ticket};
use crate::calls::Outcome;
use crate::store::Note;

impl Ledger {
    /// Writes an outcome down: it survives the process when this returns.
    ///
    /// # Errors
    /// Storage's.
    pub fn note_outcome(&self, outcome: Outcome) -> Result<Ticket<'_>, LedgerError<Infallible>> {
        self.note(&mut self.lock(), Some(Note::Outcome { outcome }))
    }
}
