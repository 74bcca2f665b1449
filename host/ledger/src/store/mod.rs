//! Where the ledger lies: a journal that survives the process, and an embedded SQLite database that survives the power.
//!
//! Every operation of the book makes a [`Batch`]. It is appended to the [`Journal`] before the operation answers, without
//! waiting for the disk: what was appended survives `kill -9`. One writer thread commits batches to the [`Store`] in
//! groups, each synced; a post is acknowledged after its group. When the ledger is opened, batches that the journal has
//! and the store does not are committed first.
//!
//! [`Store`] and [`Journal`] are the seam for crash tests; [`Sqlite`] and [`JournalFiles`] are the real ones.

mod batch;
mod held;
mod journal;
mod schema;
mod sqlite;
mod verify;
mod writer;

use tollgate_core::{Memory, Remembered};

use crate::book::{AccountId, AccountState, Raise, ReservationId};

pub use batch::{Approval, Batch, Line, Note, WindowCrossed, WindowOpened};
pub use journal::{Journal, JournalFiles};
pub use schema::SCHEMA_VERSION;
pub use sqlite::Sqlite;
pub use verify::{Difference, Verification};
pub(crate) use writer::{Writer, WriterError};

/// Why storage did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("the ledger's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file.
    #[error("the ledger's file `{path}`: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A record that cannot be written or read.
    #[error("a record of the ledger's journal: {0}")]
    Record(#[from] postcard::Error),
    /// Written by a later version of Tollgate.
    #[error("the ledger has format {found}, this build knows up to {SCHEMA_VERSION}: use a newer Tollgate")]
    Newer {
        /// Its format.
        found: i64,
    },
    /// Written by an earlier version of Tollgate, which has it still.
    #[error(
        "the ledger has format {found} and a running process has it, this build reads {SCHEMA_VERSION}: ask with the Tollgate that is running"
    )]
    Earlier {
        /// Its format.
        found: i64,
    },
    /// A value that does not fit its type: the file was damaged or changed by hand.
    #[error("the ledger's database holds a value that cannot be: {what}")]
    Damaged {
        /// Which.
        what: &'static str,
    },
    /// The journal could not be written before.
    #[error("the ledger's journal could not be written before: nothing more is taken down until it is opened again")]
    Stopped,
    /// The test's power is out.
    #[error("the power is out")]
    PowerLoss,
}

impl StoreError {
    /// Whether there was no room on the disk, which may change.
    pub(crate) fn is_full_disk(&self) -> bool {
        match self {
            Self::Database(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::File { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

/// A database of accounts, entries and calls.
pub trait Store: Send {
    /// Writes the batches, in order, atomically, and returns when they are on the disk.
    ///
    /// # Errors
    /// When that cannot be promised; nothing more is written then.
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError>;

    /// The number of the last batch it has.
    ///
    /// # Errors
    /// When it cannot be read.
    fn applied(&mut self) -> Result<u64, StoreError>;
}

/// What is read from storage while the ledger runs.
pub trait Archive: Send {
    /// An account that left memory, with the windows that still count at `now_ms` (see [`AccountState`]).
    ///
    /// # Errors
    /// When it cannot be read.
    fn account(&mut self, id: AccountId) -> Result<Option<AccountState>, StoreError>;

    /// The accounts of the last entries, so many of these at most: those that are spent from.
    ///
    /// # Errors
    /// When they cannot be read.
    fn charged_lately(&mut self, entries: u32) -> Result<Vec<StoredAccount>, StoreError>;

    /// How a reservation ended, and what it was charged to.
    ///
    /// # Errors
    /// When it cannot be read.
    fn resolved(&mut self, id: ReservationId) -> Result<Option<StoredResolution>, StoreError>;

    /// All open reservations.
    ///
    /// # Errors
    /// When they cannot be read.
    fn open_reservations(&mut self) -> Result<Vec<StoredReservation>, StoreError>;

    /// The approvals that end after `now_ms`, and whether each was taken back.
    ///
    /// # Errors
    /// When they cannot be read.
    fn raises(&mut self, now_ms: u64) -> Result<Vec<(Raise, Revoked)>, StoreError>;

    /// What the history remembers of one kind.
    ///
    /// # Errors
    /// When it cannot be read.
    fn remembered(&mut self, memory: Memory) -> Result<Vec<Remembered>, StoreError>;

    /// The limits that were changed at run time, in the order of the changes.
    ///
    /// # Errors
    /// When they cannot be read.
    fn limits(&mut self) -> Result<Vec<LimitChange>, StoreError>;
}

/// Whether an approval was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It was.
    Yes,
    /// It stands.
    No,
}

/// A limit that was changed at run time; limit and ceiling, in nanodollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// Of which budget.
    pub budget: String,
    /// What they were.
    pub before: (u64, u64),
    /// What they became.
    pub after: (u64, u64),
}

/// An account by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    /// Which one.
    pub id: AccountId,
    /// Its budget.
    pub budget: String,
    /// What it is called.
    pub label: String,
}

/// An account that something is charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCharge {
    /// The account.
    pub account: AccountId,
    /// Of which budget.
    pub budget: String,
    /// Budget and names.
    pub label: String,
    /// In which window.
    pub start_ms: u64,
}

/// An open reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReservation {
    /// Which.
    pub id: ReservationId,
    /// What it holds, in nanodollars.
    pub held: u64,
    /// Whether the dispatch went.
    pub sent: bool,
    /// When it expires, or is taken for lost.
    pub deadline_ms: u64,
    /// Where it is charged.
    pub charges: Vec<StoredCharge>,
}

/// A reservation that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResolution {
    /// How.
    pub resolution: crate::book::Resolution,
    /// Where it is charged.
    pub charges: Vec<StoredCharge>,
}
