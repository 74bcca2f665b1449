//! TLS on both sides: listeners that prove who they are, backends that have to, and the command line's way to the admin listener.
//!
//! | to know | open |
//! |---|---|
//! | how a listener proves who it is, and how its files are changed | `listener.rs` |
//! | whom a backend has to be vouched for by | `connector.rs` |
//! | how a command knows its own gateway | `pin.rs` |

mod connector;
mod listener;
mod pin;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

pub(crate) use connector::{Connector, connector};
pub(crate) use listener::{Acceptor, Looked};
pub(crate) use pin::pinned;

/// What TLS cannot be spoken with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or is none.
    #[error("`{path}`: {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing in it.
    #[error("`{path}` has no {what} in PEM: it should begin with `-----BEGIN {mark}-----`")]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// How that begins.
        mark: &'static str,
    },
    /// The two do not belong together.
    #[error("`{key}` is not the key of the certificate in `{certificate}`: {problem}")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        problem: String,
    },
    /// Nobody would be believed.
    #[error("the system has no root certificates ({problem}): install them, or say `ca_file`")]
    NoRoots {
        /// Why.
        problem: String,
    },
}

/// The files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead from it to a root, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// The one cryptography of this process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Every certificate of a file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |error: pem::Error| match error {
        pem::Error::NoItemsFound => TlsError::Empty { path: path.to_owned(), what: "certificate", mark: "CERTIFICATE" },
        error => TlsError::File { path: path.to_owned(), problem: told(&error) },
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(file)?.collect();
    let found = found.map_err(file)?;
    if found.is_empty() { Err(file(pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// In the words of the system where it is about a file.
fn told(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
