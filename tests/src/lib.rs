//! What the suites share: where the built components are, chains in a few lines, a dispatch that passes, and case
//! folders. What is tested lies in `tests/`.

mod built;
mod case;
mod chain;

pub use built::{guest, guests_folder, plugins_folder, tollgate};
pub use case::{Case, CaseError};
pub use chain::{Chain, PolicyEntry, dispatch, marked};
