//! What the book says happened: entries for storage, events for people.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate_core::Nanodollars;

use super::account::{Balance, Change};
use super::budget::{AccountId, Path};

/// A reservation's name, chosen by the caller: the same call again means the same reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(pub u128);

/// What happened to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// Money was held.
    Reserve,
    /// More was held for a stream that outgrew it.
    Extend,
    /// The dispatch was sent: from here on, silence costs the whole reservation.
    Sent,
    /// Settled with the real cost.
    Post,
    /// Settled with an estimate.
    Estimate,
    /// The part of a settlement above what was held.
    Overrun,
    /// Released: it was never sent.
    Void,
    /// Released: it was not sent in time.
    Expire,
    /// The real cost came after an estimate.
    Correct,
    /// Money was held for a dispatch that was sent at once: [`EntryKind::Reserve`] and [`EntryKind::Sent`] in one.
    Dispatch,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Reserve,
        Self::Extend,
        Self::Sent,
        Self::Post,
        Self::Estimate,
        Self::Overrun,
        Self::Void,
        Self::Expire,
        Self::Correct,
        Self::Dispatch,
    ];

    /// The word in storage and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Extend => "extend",
            Self::Sent => "sent",
            Self::Post => "post",
            Self::Estimate => "estimate",
            Self::Overrun => "overrun",
            Self::Void => "void",
            Self::Expire => "expire",
            Self::Correct => "correct",
            Self::Dispatch => "dispatch",
        }
    }
}

/// Where each account's window began when the dispatch was reserved, in the order of the path.
pub type Windows = SmallVec<[u64; 4]>;

/// One line of the ledger. It moves the same money in every account of its path.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at_ms: u64,
    /// What.
    pub kind: EntryKind,
    /// Whose.
    pub reservation: ReservationId,
    /// What it moves.
    pub change: Change,
    /// Until when an unsent reservation is held; when one that was sent is taken for lost.
    pub expires_ms: u64,
    /// The accounts.
    pub path: Path,
    /// The window of each.
    pub windows: Windows,
}

/// What an operation did, for whoever stores and tells it. Reused from call to call.
#[derive(Debug, Default)]
pub struct Effects {
    /// Lines to be stored, in order.
    pub entries: Vec<Entry>,
    /// Windows that were opened.
    pub opened: Vec<Opened>,
    /// Windows whose crossed thresholds changed: account, start, bits.
    pub crossed: Vec<(AccountId, u64, u16)>,
    /// What people are told.
    pub events: Vec<Event>,
}

impl Effects {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.opened.clear();
        self.crossed.clear();
        self.events.clear();
    }

    /// Nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.opened.is_empty() && self.crossed.is_empty() && self.events.is_empty()
    }
}

/// A window that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// In which account.
    pub account: AccountId,
    /// Of which budget.
    pub budget: Arc<str>,
    /// Budget and names.
    pub label: Arc<str>,
    /// As it begins.
    pub balance: Balance,
}

/// Something people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Spend has reached a threshold, once for each window.
    Threshold {
        /// When.
        at_ms: u64,
        /// Budget and names.
        account: Arc<str>,
        /// Who answers for the budget.
        owner: Option<Arc<str>>,
        /// In thousandths of the limit.
        threshold_permille: u32,
        /// What was spent.
        spent: Nanodollars,
        /// Of what.
        limit: Nanodollars,
        /// When the window ends.
        window_end_ms: u64,
    },
    /// Overruns have carried spend past the ceiling, once for each window.
    OverCeiling {
        /// When.
        at_ms: u64,
        /// Budget and names.
        account: Arc<str>,
        /// Who answers for the budget.
        owner: Option<Arc<str>>,
        /// What was spent.
        spent: Nanodollars,
        /// The ceiling.
        hard: Nanodollars,
        /// When the window ends.
        window_end_ms: u64,
    },
    /// A dispatch cost more than was held for it.
    Overrun {
        /// When.
        at_ms: u64,
        /// Which.
        reservation: ReservationId,
        /// Above what was held.
        amount: Nanodollars,
    },
}
