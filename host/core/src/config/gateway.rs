//! What an operator writes about the gateway itself.

use serde::Deserialize;

use super::{Configuration, ConfigurationError};

/// What the gateway lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayRules {
    /// Routes that cannot be metered and go through all the same, with everything below them: `"/v1/files"`. What they cost is in no
    /// budget.
    pub unmetered_routes: Vec<String>,
}

impl GatewayRules {
    /// The route among these that a path is, or lies below.
    #[must_use]
    pub fn unmetered<'a>(&'a self, path: &str) -> Option<&'a str> {
        let covers = |route: &&String| {
            path.strip_prefix(route.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.unmetered_routes.iter().find(covers).map(String::as_str)
    }
}

impl Configuration {
    pub(super) fn check_gateway_rules(&self) -> Result<(), ConfigurationError> {
        let names_a_route = |route: &str| {
            let below = route.strip_prefix("/v1/").unwrap_or_default();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/');
            !below.is_empty()
                && !below.starts_with('/')
                && below.bytes().all(plain)
                && !below.contains("//")
                && !below.ends_with('/')
        };
        let routes = &self.gateway.unmetered_routes;
        routes.iter().find(|route| !names_a_route(route)).map_or(Ok(()), |route| {
            let advice = "name a route below `/v1/`, such as \"/v1/files\", without an end of `/`";
            Err(ConfigurationError::OutOfRange { key: "gateway.unmetered_routes", value: route.clone(), advice })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_covers_what_lies_below_it_and_not_its_neighbours() {
        let rules = GatewayRules { unmetered_routes: vec!["/v1/files".to_owned()] };
        for (path, covered) in
            [("/v1/files", true), ("/v1/files/f_1/content", true), ("/v1/filesystem", false), ("/v1", false)]
        {
            assert_eq!(rules.unmetered(path).is_some(), covered, "{path}");
        }
    }

    #[test]
    fn everything_is_no_route() {
        for route in ["", "/", "/v1", "/v1/", "/v1/files/", "/v1//x", "/v1/../x", "/tollgate/v1/outcomes", "v1/files"] {
            let text = format!("version = 1\n[gateway]\nunmetered_routes = [\"{route}\"]");
            let message = Configuration::parse(&text).map_err(|error| error.to_string());
            assert!(message.as_ref().is_err_and(|message| message.contains("below `/v1/`")), "{route}: {message:?}");
        }
    }
}
