//! What one operation writes, in a form that does not depend on the book's memory.

use serde::{Deserialize, Serialize};
use tollgate_core::Remembered;

use crate::book::{Effects, EntryKind};
use crate::calls::{Call, Outcome};

/// What one operation writes: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// One more than that of the batch before.
    pub sequence: u64,
    /// Windows that were opened; their accounts may be new.
    pub opened: Vec<WindowOpened>,
    /// The ledger's lines.
    pub lines: Vec<Line>,
    /// Thresholds that were crossed.
    pub crossed: Vec<WindowCrossed>,
    /// What is known about the call that was settled.
    pub call: Option<Call>,
    /// What people changed, or what is remembered of a task.
    pub note: Option<Note>,
}

/// A window that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowOpened {
    /// In which account.
    pub account: [u8; 16],
    /// Of which budget.
    pub budget: String,
    /// Budget and names.
    pub label: String,
    /// When it begins.
    pub start_ms: u64,
    /// When it ends; `u64::MAX` where it does not.
    pub end_ms: u64,
    /// What the one before left to it, in nanodollars.
    pub carried: u64,
    /// Thresholds it takes over.
    pub crossed: u16,
}

/// One line: it moves the same money, in nanodollars, in every account it is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at_ms: u64,
    /// What: a place in [`EntryKind::ALL`].
    pub kind: u8,
    /// Whose.
    pub reservation: [u8; 16],
    /// Newly held.
    pub hold: u64,
    /// No longer held.
    pub release: u64,
    /// Newly spent.
    pub spend: u64,
    /// Taken back.
    pub refund: u64,
    /// When an open reservation expires or is taken for lost.
    pub deadline_ms: u64,
    /// Accounts and the beginnings of their windows.
    pub charges: Vec<([u8; 16], u64)>,
}

impl Line {
    /// What the line says happened; nothing for a number that is no kind.
    #[must_use]
    pub fn entry_kind(&self) -> Option<EntryKind> {
        EntryKind::ALL.get(usize::from(self.kind)).copied()
    }
}

/// The thresholds of a window that were crossed so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCrossed {
    /// In which account.
    pub account: [u8; 16],
    /// When the window begins.
    pub start_ms: u64,
    /// A bit for each threshold.
    pub crossed: u16,
}

/// What is taken down beside money. A variant's place is its number in the journal: new ones go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// A limit that a person changed.
    Limit {
        /// When.
        at_ms: u64,
        /// Whose.
        budget: String,
        /// Limit and ceiling before, in nanodollars.
        before: (u64, u64),
        /// And now.
        after: (u64, u64),
        /// Who changed it.
        author: String,
        /// Why.
        reason: String,
    },
    /// An approval.
    Approval {
        /// When.
        at_ms: u64,
        /// What was approved.
        approval: Approval,
    },
    /// An approval was taken back.
    Revocation {
        /// When.
        at_ms: u64,
        /// Which: [`Approval::id`].
        approval: [u8; 16],
        /// Who took it back.
        author: String,
        /// Why.
        reason: String,
    },
    /// What the history remembers.
    Memory {
        /// Each as it is now.
        rows: Vec<Remembered>,
    },
    /// What somebody said became of a task.
    Outcome {
        /// All of it.
        outcome: Outcome,
    },
}

/// An approval in storage; the fields are those of [`crate::book::Raise`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented where they are used")]
pub struct Approval {
    pub id: [u8; 16],
    pub beneficiary: String,
    pub budget: Option<String>,
    pub amount: u64,
    pub until_ms: u64,
    pub author: String,
    pub reason: String,
}

impl Batch {
    /// What an operation did.
    #[must_use]
    pub fn of(sequence: u64, effects: &Effects, call: Option<Call>) -> Self {
        let opened = effects.opened.iter().map(|opened| WindowOpened {
            account: opened.account.to_bytes(),
            budget: opened.budget.to_string(),
            label: opened.label.to_string(),
            start_ms: opened.balance.bounds.start_ms,
            end_ms: opened.balance.bounds.end_ms,
            carried: opened.balance.carried.as_u64(),
            crossed: opened.balance.crossed,
        });
        let lines = effects.entries.iter().map(|entry| Line {
            at_ms: entry.at_ms,
            kind: EntryKind::ALL
                .iter()
                .position(|kind| *kind == entry.kind)
                .and_then(|place| u8::try_from(place).ok())
                .expect("ALL has every kind"),
            reservation: entry.reservation.0.to_be_bytes(),
            hold: entry.change.hold.as_u64(),
            release: entry.change.release.as_u64(),
            spend: entry.change.spend.as_u64(),
            refund: entry.change.refund.as_u64(),
            deadline_ms: entry.expires_ms,
            charges: entry
                .path
                .accounts()
                .iter()
                .zip(&entry.windows)
                .map(|(account, start)| (account.id.to_bytes(), *start))
                .collect(),
        });
        let crossed = effects.crossed.iter().map(|(account, start_ms, crossed)| WindowCrossed {
            account: account.to_bytes(),
            start_ms: *start_ms,
            crossed: *crossed,
        });
        Self {
            sequence,
            opened: opened.collect(),
            lines: lines.collect(),
            crossed: crossed.collect(),
            call,
            note: None,
        }
    }
}
