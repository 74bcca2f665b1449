//! Configures a policy the way a host does: the document is checked against the policy's own schema first.

use std::fmt;

use serde_json::Value;

use crate::Policy;
use crate::export::configured;

/// A configuration as a test gives it: TOML text, or a JSON value.
pub trait Configuration {
    /// The document the host would hand over.
    ///
    /// # Errors
    /// When the text is not TOML.
    fn document(self) -> Result<Value, Refused>;
}

/// TOML, as in the host's configuration file.
impl Configuration for &str {
    fn document(self) -> Result<Value, Refused> {
        toml::from_str(self).map_err(|error| Refused { problems: vec![error.to_string()] })
    }
}

impl Configuration for Value {
    fn document(self) -> Result<Value, Refused> {
        Ok(self)
    }
}

/// Why a policy is not activated with a configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    problems: Vec<String>,
}

/// One problem a line.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

/// As it is displayed, so that an `unwrap` in a test can be read.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refused {}

/// The JSON Schema of a policy's configuration, as the plugin describes it.
#[must_use]
pub fn schema<P: Policy>() -> Value {
    schemars::schema_for!(P::Config).to_value()
}

/// Configures a policy as a host would: against its schema, then by itself.
///
/// # Errors
/// When the schema or the policy refuses the document.
///
/// # Panics
/// When the schema itself is not one.
pub fn configure<P: Policy>(configuration: impl Configuration) -> Result<P, Refused> {
    let document = configuration.document()?;
    let validator = jsonschema::validator_for(&schema::<P>()).expect("the derived schema is a JSON Schema");
    let problems: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if !problems.is_empty() {
        return Err(Refused { problems });
    }
    configured(&document.to_string()).map_err(|problem| Refused { problems: vec![problem] })
}

/// A policy with a configuration that it takes.
///
/// # Panics
/// When it does not take it.
#[must_use]
#[track_caller]
pub fn policy<P: Policy>(configuration: impl Configuration) -> P {
    configure(configuration).unwrap_or_else(|refused| panic!("the configuration is refused: {refused}"))
}

/// A policy as it ships: nothing is configured.
///
/// # Panics
/// When it does not take an empty configuration.
#[must_use]
#[track_caller]
pub fn shipped<P: Policy>() -> P {
    policy("")
}
