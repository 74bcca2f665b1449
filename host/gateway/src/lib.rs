//! Tollgate before your models: ingress, provider formats, metering, settlement. The only crate that knows HTTP.
//!
//! | to know | open |
//! |---|---|
//! | what a client can ask for | `front.rs` |
//! | how a request becomes an answer | `dispatch.rs`, one function |
//! | what is read from and changed in a request, what an answer used | `formats/` |
//! | who asks, and what they may claim | `identity.rs`, `keys/` |
//! | what is asked of the ledger | `accounts.rs` |
//! | what a decision means for a caller | `verdict.rs` |
//! | where it goes, and what it needs to go | `upstream.rs` |
//! | how a stream is metered and cut | `stream.rs` |
//! | how a switch reaches what is under way | `bell.rs` |
//! | what operators can do | `admin.rs` |
//! | what it tells of itself | [`telemetry`] |
//! | how it can be tried without a key | [`SimulatedProvider`], [`agents`] |
#![warn(missing_docs)]

mod accounts;
mod admin;
pub mod agents;
mod answer;
mod approvals;
mod attended;
mod backend_key;
mod bell;
mod call;
mod carried;
mod checks;
mod client;
mod clock;
mod configured;
mod dispatch;
mod formats;
mod front;
mod gateway;
mod happened;
mod http;
mod identity;
mod ingress;
mod keys;
mod looking;
mod outcomes;
mod pool;
mod private_file;
mod records;
mod review;
mod room;
mod serving;
mod sessions;
mod settle;
mod simulate;
mod stream;
mod switches;
pub mod telemetry;
mod times;
mod tls;
mod unmetered;
mod untold;
mod upstream;
mod verdict;
mod workers;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub use admin::audit::{AUDIT_FILE, AuditEntry};
pub use admin::tokens::{Role, RoleError, TokenDocument, TokenError, Tokens};
pub use admin::{Approve, Beneficiary, CreateToken, Deny, KillRequest, RollBack, SetLimit, UnkillRequest};
pub use approvals::{ApprovalDocument, ApprovalState, Verdict};
pub use backend_key::BackendKeyError;
pub use client::{AdminClient, AdminError};
use gateway::Gateway;
pub use gateway::{GatewayError, LogLine, Running, Settings};
pub use http::Bounds;
pub use keys::{
    KeyDocument, KeyFile, KeyFileError, NewKey, OwnScope, OwnScopeError, Right, SecretDocument, SecretHash,
};
pub use records::{NamesOf, RECORDS_FOLDER, policy_set};
pub use review::{About as FoundAbout, Found, review};
pub use simulate::{BillLine, Billed, Received, Script, SimulatedProvider};
pub use switches::{Evidence, RestoreError, SwitchDocument};
pub use times::Times;
pub use tls::{TlsError, TlsFiles};
pub use upstream::BackendError;

/// A number that no other process gives, in the order of time: what is stored by it is stored beside what was stored before, and
/// not all over a file. It can be guessed.
pub(crate) fn ordered_id(now_ms: u64) -> u128 {
    static PROCESS: LazyLock<u128> = LazyLock::new(|| random_id() & LOW);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    const LOW: u128 = (1 << 40) - 1;
    let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed)) & LOW;
    u128::from(now_ms) << 80 | *PROCESS << 40 | count
}

/// A number that nobody can guess.
///
/// # Panics
/// When the system gives no randomness: without it no reservation has a name of its own.
#[must_use]
pub fn random_id() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    u128::from_ne_bytes(bytes)
}
