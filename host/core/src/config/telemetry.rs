//! What an operator writes about where the gateway tells of itself. It is read when the gateway starts.

use serde::Deserialize;

use super::ConfigurationError;

/// Where spans go, and who may read the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryRules {
    /// A collector that takes OTLP over HTTP, as in `http://127.0.0.1:4318`; `/v1/traces` is added. Where nothing is said, what
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, else no spans are made.
    pub otlp_endpoint: Option<String>,
    /// Whether `/metrics` of the admin listener is answered without a token.
    pub open_metrics: bool,
}

impl TelemetryRules {
    pub(super) fn check(&self) -> Result<(), ConfigurationError> {
        let is_address = |endpoint: &str| {
            let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
        };
        match &self.otlp_endpoint {
            Some(endpoint) if !is_address(endpoint) => Err(ConfigurationError::OutOfRange {
                key: "telemetry.otlp_endpoint",
                value: format!("\"{endpoint}\""),
                advice: "write a collector's address, such as \"http://127.0.0.1:4318\"",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Configuration;

    #[test]
    fn an_address_is_one() {
        let parse = |line: &str| Configuration::parse(&format!("version = 1\n[telemetry]\n{line}\n"));
        for line in
            ["", "otlp_endpoint = \"http://127.0.0.1:4318\"", "otlp_endpoint = \"https://x/base\"\nopen_metrics = true"]
        {
            assert!(parse(line).is_ok(), "{line}");
        }
        for (line, says) in [
            ("otlp_endpoint = \"collector:4318\"", "such as \"http://127.0.0.1:4318\""),
            ("otlp_endpoint = \"http://\"", "write a collector's address"),
            ("otlp = \"x\"", "unknown field `otlp`"),
        ] {
            let error = parse(line);
            assert!(error.as_ref().is_err_and(|error| error.to_string().contains(says)), "{line}: {error:?}");
        }
    }
}
