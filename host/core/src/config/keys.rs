//! What an operator writes about keys of Tollgate's own.

use serde::Deserialize;

use super::{Configuration, ConfigurationError};

/// Who may ask. What each key may claim lies with the keys themselves, in the data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRules {
    /// Whether a request without a valid key is refused although there is no key yet; where there is one, it always is.
    pub required: bool,
    /// How many new runs a key may begin in a minute, where the key says nothing itself. 120: an agent's run takes minutes, and one that
    /// begins a new run for each call would get past every ceiling of a run.
    pub new_runs_per_minute: u32,
}

impl Default for KeyRules {
    fn default() -> Self {
        Self { required: false, new_runs_per_minute: 120 }
    }
}

impl Configuration {
    pub(super) fn check_key_rules(&self) -> Result<(), ConfigurationError> {
        if self.keys.new_runs_per_minute > 0 {
            return Ok(());
        }
        let advice = "a key that may begin no run can do nothing: say at least 1, or revoke the key";
        Err(ConfigurationError::OutOfRange { key: "keys.new_runs_per_minute", value: "0".to_owned(), advice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_begin_a_run_at_least() {
        let read = |text: &str| Configuration::parse(&format!("version = 1\n{text}")).map(|read| read.keys);
        assert_eq!(read(""), Ok(KeyRules::default()));
        assert_eq!(read("[keys]\nrequired = true"), Ok(KeyRules { required: true, ..KeyRules::default() }));
        let message = read("[keys]\nnew_runs_per_minute = 0").map_err(|error| error.to_string());
        assert!(message.is_err_and(|message| message.contains("at least 1")));
    }
}
