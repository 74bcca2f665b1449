//! Who or what made a generation serve.

use std::fmt;
use std::path::PathBuf;

/// Why a generation serves, or was to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The host started with it.
    Start,
    /// A watched file changed.
    Watched(PathBuf),
    /// Someone asked for it: an operator, a program.
    Request(String),
    /// Someone asked to go back to it.
    Rollback(String),
    /// Someone asked to promote it, or it was promoted by itself.
    Promotion(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start of the host"),
            Self::Watched(file) => write!(f, "change of `{}`", file.display()),
            Self::Request(by) => write!(f, "request of {by}"),
            Self::Rollback(by) => write!(f, "rollback by {by}"),
            Self::Promotion(by) => write!(f, "promotion by {by}"),
        }
    }
}
