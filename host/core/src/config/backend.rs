//! What an operator writes about backends: where they are, what opens them, and how long they may take.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigurationError;
use crate::{Hosting, Milliseconds};

/// A backend and the models it serves. Files are taken from the configuration's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendConfiguration {
    /// Unique.
    pub name: String,
    /// Names of models.
    pub models: Vec<String>,
    /// Where it runs.
    #[serde(default = "remote")]
    pub hosting: Hosting,
    /// How many dispatches it takes at once; nothing for no bound.
    pub slots: Option<u32>,
    /// Which requests it answers; only the gateway needs it.
    pub api: Option<Api>,
    /// Where it is, as SDKs of its API take it: `https://api.openai.com/v1`, `https://api.anthropic.com`.
    pub url: Option<String>,
    /// The environment variable with the key it is called with; the caller's own key where nothing is said.
    pub key_env: Option<String>,
    /// The file with that key, read again when it changes; not together with `key_env`.
    pub key_file: Option<PathBuf>,
    /// Certificates in PEM that are believed beside the system's, for an `https` address.
    pub ca_file: Option<PathBuf>,
    /// How it is asked whether it is well; it is not asked where nothing is said, and known by its answers alone.
    pub health: Option<HealthCheck>,
    /// How long it may take, where it is not as long as others.
    #[serde(default)]
    pub timeouts: BackendTimes,
}

/// How a backend is asked whether it is well: with GET, at an interval.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// At the root of its address: `"/health"`.
    pub path: String,
    /// From one check to the next. Ten seconds: a backend that is down costs some calls a step aside, no more.
    #[serde(default = "interval")]
    pub interval: Milliseconds,
}

/// How long a backend may take; what is not said is as for every backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendTimes {
    /// To connect.
    pub connect: Option<Milliseconds>,
    /// From sending a request to the first byte of its answer.
    pub first_byte: Option<Milliseconds>,
    /// Between two pieces of a stream.
    pub between_pieces: Option<Milliseconds>,
    /// From the first byte of an answer to its last.
    pub whole: Option<Milliseconds>,
}

/// A provider's API: what a backend answers and what a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// Chat completions, responses and embeddings; many other servers answer some of them.
    Openai,
    /// Messages.
    Anthropic,
}

impl Api {
    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

const fn remote() -> Hosting {
    Hosting::Remote
}

const fn interval() -> Milliseconds {
    Milliseconds::new(10_000)
}

impl BackendConfiguration {
    /// What cannot be meant, if anything is.
    pub(super) fn mistake(&self) -> Option<ConfigurationError> {
        let wrong = |key, value: String, advice| Some(ConfigurationError::OutOfRange { key, value, advice });
        if let (Some(_), Some(file)) = (&self.key_env, &self.key_file) {
            let advice = "a backend has one key: say `key_env` or `key_file`";
            return wrong("backend.key_file", file.display().to_string(), advice);
        }
        if self.slots == Some(0) {
            return wrong(
                "backend.slots",
                "0".to_owned(),
                "a backend without a slot takes nothing: leave the backend out",
            );
        }
        if let Some(health) = &self.health {
            if !health.path.starts_with('/') {
                return wrong("backend.health.path", health.path.clone(), "write a path, such as \"/health\"");
            }
            if health.interval < Milliseconds::new(1_000) {
                let advice = "a backend is asked at most once in a second";
                return wrong("backend.health.interval", health.interval.to_string(), advice);
            }
        }
        let BackendTimes { connect, first_byte, between_pieces, whole } = self.timeouts;
        let none = [connect, first_byte, between_pieces, whole].into_iter().flatten().any(|time| time.as_u64() == 0);
        if none { wrong("backend.timeouts", "0ms".to_owned(), "nothing is answered in no time") } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Configuration;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, says) in [
            ("key_env = \"A\"\nkey_file = \"b\"", "say `key_env` or `key_file`"),
            ("slots = 0", "takes nothing"),
            ("health = { path = \"health\" }", "write a path"),
            ("health = { path = \"/health\", interval = \"10ms\" }", "at most once in a second"),
            ("timeouts = { whole = \"0s\" }", "in no time"),
        ] {
            let text = format!("version = 1\n[[backend]]\nname = \"b\"\nmodels = []\n{text}");
            let message = Configuration::parse(&text).map_err(|error| error.to_string());
            assert!(message.as_ref().is_err_and(|message| message.contains(says)), "{text}: {message:?}");
        }
    }
}
