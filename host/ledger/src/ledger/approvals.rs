//! Approvals: given, listed and taken back, each written down with who and why.

use super::{Ledger, LedgerError, Ticket};
use crate::book::{Raise, RaiseError};
use crate::store::{Approval, Note};

impl Ledger {
    /// [`Book::approve`](crate::book::Book::approve), written down; in force from the next reservation on, and over a restart.
    ///
    /// # Errors
    /// The book's, or storage's.
    pub fn approve(&self, raise: Raise, now_ms: u64) -> Result<Ticket<'_>, LedgerError<RaiseError>> {
        let approval = Approval {
            id: raise.id.to_be_bytes(),
            beneficiary: raise.beneficiary.to_string(),
            budget: raise.budget.as_deref().map(str::to_owned),
            amount: raise.amount.as_u64(),
            until_ms: raise.until_ms,
            author: raise.author.to_string(),
            reason: raise.reason.to_string(),
        };
        let mut inner = self.lock();
        let news = inner.book.approve(raise, now_ms).map_err(LedgerError::Book)?;
        self.board.show_raises(&inner.book);
        self.note(&mut inner, news.then_some(Note::Approval { at_ms: now_ms, approval }))
    }

    /// Takes an approval back, from the next reservation on; what was reserved by it stays. The same again changes nothing.
    ///
    /// # Errors
    /// When none of that id is in force, or nobody says why; storage's.
    pub fn revoke(
        &self,
        id: u128,
        (author, reason): (&str, &str),
        now_ms: u64,
    ) -> Result<Ticket<'_>, LedgerError<RaiseError>> {
        if author.is_empty() || reason.is_empty() {
            return Err(LedgerError::Book(RaiseError::Anonymous));
        }
        let mut inner = self.lock();
        let news = inner.book.revoke(id, now_ms).map_err(LedgerError::Book)?;
        self.board.show_raises(&inner.book);
        let (author, reason) = (author.to_owned(), reason.to_owned());
        let revocation = Note::Revocation { at_ms: now_ms, approval: id.to_be_bytes(), author, reason };
        self.note(&mut inner, news.then_some(revocation))
    }

    /// The approvals in force, the first to end first. Takes no lock.
    #[must_use]
    pub fn approvals(&self, now_ms: u64) -> Vec<Raise> {
        self.board.approvals(now_ms)
    }
}
