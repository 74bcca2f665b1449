//! What a gateway would not open with, all of it, without opening anything: no socket, no ledger.

use std::path::Path;

use tollgate_core::Configuration;
use tollgate_core::config::Api;
use tollgate_ledger::book::Budgets;

use crate::Times;
use crate::serving::Simulated;
use crate::tls::{Acceptor, TlsFiles};
use crate::upstream::Backend;

/// A mistake, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is about.
    pub about: About,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a mistake is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The backend of that name.
    Backend(String),
    /// The budgets, together.
    Budgets,
    /// The listeners' certificate.
    Tls,
}

/// Looks at backends with their keys and certificates, budgets, and the listeners' certificate. With `simulated`, a backend needs
/// no address.
#[must_use]
pub fn review(
    configuration: &Configuration,
    file: Option<&Path>,
    tls: Option<&TlsFiles>,
    simulated: bool,
) -> Vec<Found> {
    let nowhere = |_: Api| simulated.then(|| "http://127.0.0.1:1".to_owned());
    let places = Simulated::new(nowhere).beside(file);
    let backends = configuration.backends.iter().filter_map(|configured| {
        let error = Backend::new(configured, &places, Times::default()).err()?;
        Some(Found { about: About::Backend(configured.name.clone()), message: error.to_string() })
    });
    let mut found: Vec<_> = backends.collect();
    if let Err(error) = Budgets::new(configuration.budgets.clone()) {
        found.push(Found { about: About::Budgets, message: error.to_string() });
    }
    if let Some(Err(error)) = tls.map(|files| Acceptor::new(files.clone())) {
        found.push(Found { about: About::Tls, message: error.to_string() });
    }
    found
}
