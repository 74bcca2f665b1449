//! Where `cargo xtask test` left what the suites run. Nothing is built here.

use std::path::PathBuf;

/// The components of the hostile guests.
#[must_use]
pub fn guests_folder() -> PathBuf {
    path("TOLLGATE_GUESTS")
}

/// The components of the shipped policies.
#[must_use]
pub fn plugins_folder() -> PathBuf {
    path("TOLLGATE_PLUGINS")
}

/// The component of one guest.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    guests_folder().join(format!("{name}.wasm"))
}

/// Beside the guests: what several suites load is compiled once.
pub(crate) fn compile_cache() -> PathBuf {
    guests_folder().join("compiled")
}

/// The `tollgate` command.
#[must_use]
pub fn tollgate() -> PathBuf {
    path("TOLLGATE_BIN")
}

#[expect(clippy::panic, reason = "without what it runs a suite can say nothing")]
fn path(variable: &str) -> PathBuf {
    let Some(path) = std::env::var_os(variable) else {
        panic!("{variable} is not set: run `cargo xtask test`, which builds what these tests run");
    };
    PathBuf::from(path)
}
