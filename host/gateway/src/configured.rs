//! What a configuration means beside its policies: budgets, counters and rules for the ledger, backends, prices, records. It is
//! looked at before any of it is loaded, so that a mistake leaves everything as it was, and taken over in the moment in which
//! its generation serves.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use tollgate_core::{Configuration, Hosting};
use tollgate_ledger::book::{BudgetError, Budgets};
use tollgate_ledger::prices::PriceTable;
use tollgate_runtime::NotAccepted;

use crate::Gateway;
use crate::serving::{self, Simulated};
use crate::upstream::BackendError;

/// Why a configuration is not one for this gateway, though its policies may be good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotUsable {
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("cannot read the prices in `{file}`: {why}")]
    Prices { file: PathBuf, why: String },
}

/// Looks at a configuration that is to be loaded.
pub(crate) fn check(
    configuration: &Configuration,
    simulated: &Simulated,
    price_file: Option<&Path>,
) -> Result<(), NotAccepted> {
    let check = || -> Result<(), NotUsable> {
        Budgets::new(configuration.budgets.clone())?;
        serving::check(configuration, simulated)?;
        price_file.map_or(Ok(()), |file| prices(file).map(drop))
    };
    check().map_err(NotAccepted::from)
}

/// The built-in prices, under those of a file.
fn prices(file: &Path) -> Result<PriceTable, NotUsable> {
    let failed = |why: String| NotUsable::Prices { file: file.to_owned(), why };
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let table = PriceTable::builtin().with_layer(&file.display().to_string(), &text);
    table.map_err(|error| failed(error.to_string()))
}

/// Takes over what the running generation's configuration says. A dispatch sees the backends of before or those of now; what
/// is reserved and sent ends where it began.
pub(crate) fn take_over(gateway: &Gateway) {
    // Two at once could each take over a part; the one that comes last sees what runs last.
    let _one_at_a_time = gateway.taking_over.lock().unwrap_or_else(PoisonError::into_inner);
    let configuration = gateway.host.configuration();
    let told = |error: &dyn std::fmt::Display| {
        gateway.log.line(&format!("a part of the configuration is not in force: {error}"));
    };
    if let Err(error) = gateway.accounts.reconfigure(&configuration, &gateway.host) {
        told(&error);
    }
    if let Some(file) = &gateway.settings.price_file {
        match prices(file) {
            Ok(prices) => gateway.prices.store(prices.into()),
            Err(error) => told(&error),
        }
    }
    gateway.keys.take_over(configuration.keys);
    if let Err(error) = gateway.upstream.reconfigure(&gateway.host) {
        told(&error);
    }
    if let Err(error) = gateway.records.switch(configuration.records, &gateway.host) {
        told(&error);
    }
    tell_unpriced(gateway);
}

/// A model without a price is offered by nobody; whoever wonders why finds it here.
pub(crate) fn tell_unpriced(gateway: &Gateway) {
    let (serving, prices) = (gateway.upstream.serving(), gateway.prices.load());
    for backend in serving.catalogue.backends().iter().filter(|backend| backend.hosting == Hosting::Remote) {
        for model in &backend.models {
            let name = gateway.host.symbols().display(*model);
            if prices.lookup(&name).price().is_none() {
                gateway.log.line(&format!("`{name}` has no price, so nothing is sent to it: add one with `--prices`"));
            }
        }
    }
}
