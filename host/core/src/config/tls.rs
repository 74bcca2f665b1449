//! What an operator writes about TLS on the listeners.

use std::path::PathBuf;

use serde::Deserialize;

/// Files in PEM, taken from the configuration's folder. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfiguration {
    /// The certificate, followed by those that lead from it to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}
