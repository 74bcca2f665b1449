//! The gateway from a client's socket to the provider's and the ledger's files: what goes through, what does not, what it costs.

mod admin;
mod agents;
mod approvals;
mod attending;
mod backends;
mod bounds;
mod formats;
mod keys;
mod passing;
mod records;
mod refusing;
mod reloading;
mod robust;
mod site;
mod streams;
mod switches;
mod tls;
