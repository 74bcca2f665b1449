//! A request to the admin listener, read within bounds: parameters, query, body. What cannot be read is the caller's mistake, and
//! is told with what to write instead.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, Request, header};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tollgate_core::form;

use super::tokens::Holder;
use crate::Gateway;
use crate::formats::{NextAction, Problem};
use crate::http::{BodyError, read_body};

/// The largest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;
/// The longest value of a query or a path, in bytes.
const MAX_VALUE_BYTES: usize = 1_024;

/// A request whose sender is known and may ask for it.
pub(crate) struct Ask {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) holder: Holder,
    parameters: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Incoming,
}

impl Ask {
    /// Reads everything but the body.
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        holder: Holder,
        parameters: &[String],
        known: &[&str],
        request: Request<Incoming>,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let parameters = parameters.iter().map(|segment| decode(segment, "the path")).collect::<Result<_, _>>()?;
        let query = parts.uri.query().map_or_else(|| Ok(Vec::new()), |query| read_query(query, known))?;
        Ok(Self { gateway: Arc::clone(gateway), holder, parameters, query, headers: parts.headers, body })
    }

    /// The segment of the path that its route leaves open.
    pub(crate) fn parameter(&self) -> &str {
        self.parameters.first().map(String::as_str).unwrap_or_default()
    }

    /// The text of a member of the query.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A member of the query that is something.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| text.parse().map_err(|error| wrong_value(name, text, &error));
        self.text(name).map(read).transpose()
    }

    /// A member of the query that is a number up to `most`; what it is where nothing is said.
    pub(crate) fn count(&self, name: &str, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = text.parse::<usize>().ok().filter(|count| plain && (1..=most).contains(count));
        count.ok_or_else(|| wrong_value(name, text, &format!("write a number from 1 to {most}")))
    }

    /// The body, which is a JSON document.
    pub(crate) async fn body<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let json = self.headers.get(header::CONTENT_TYPE).is_none_or(is_json);
        if !json {
            let detail = "the body has to be JSON: send `content-type: application/json`";
            return Err(Problem::new(415, "unsupported-media-type", detail, NextAction::ChangeRequest));
        }
        let bytes = read_body(self.body, MAX_BODY_BYTES, self.gateway.settings.bounds.body_time).await;
        let bytes = bytes.map_err(|error| match error {
            BodyError::TooLarge { .. } => {
                Problem::new(413, "body-too-large", error.to_string(), NextAction::ChangeRequest)
            }
            BodyError::TooSlow { .. } => Problem::new(408, "body-too-slow", error.to_string(), NextAction::Stop),
            BodyError::Broken => Problem::bad_request("body-broken", error.to_string()),
        })?;
        // A request without a body says nothing that could be wrong.
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
        form::from_json(bytes).map_err(|error| Problem::bad_request("invalid-request", error.to_string()))
    }
}

pub(crate) fn wrong_value(name: &str, value: &str, problem: &dyn Display) -> Problem {
    let shown: String = value.chars().take(64).collect();
    Problem::bad_request("invalid-query", format!("`{name}={shown}`: {problem}"))
}

fn is_json(kind: &http::HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn read_query(query: &str, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    let mut read: Vec<(String, String)> = Vec::new();
    for member in query.split('&').filter(|member| !member.is_empty()) {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        let (name, value) = (decode(&name.replace('+', " "), "the query")?, value.replace('+', " "));
        if !known.contains(&name.as_str()) {
            let names = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            let shown: String = name.chars().take(64).collect();
            let detail = format!("`{shown}` is not a part of this query: it may have {names}");
            return Err(Problem::bad_request("invalid-query", detail));
        }
        if read.iter().any(|(other, _)| *other == name) {
            return Err(Problem::bad_request("invalid-query", format!("`{name}` is there twice: say it once")));
        }
        let value = decode(&value, &format!("`{name}`"))?;
        read.push((name, value));
    }
    Ok(read)
}

/// Text from its percent-encoding.
fn decode(encoded: &str, place: &str) -> Result<String, Problem> {
    let wrong = |problem: &str| Problem::bad_request("invalid-encoding", format!("{place} {problem}"));
    if encoded.len() > MAX_VALUE_BYTES {
        return Err(wrong(&format!("has a value of more than {MAX_VALUE_BYTES} bytes")));
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(wrong("has a `%` that is not followed by two hexadecimal digits"));
        };
        bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 once it is decoded"))?;
    if text.contains(char::is_control) { Err(wrong("has a control character")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_is_encoded_or_refused() {
        let read = |query| read_query(query, &["a", "b c"]);
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(read("a=x%3D+%c3%a4&b+c").unwrap(), pairs(&[("a", "x= ä"), ("b c", "")]));
        assert_eq!(read("&&").unwrap(), pairs(&[]));
        let long = format!("a={}", "x".repeat(MAX_VALUE_BYTES + 1));
        for (query, says) in [
            ("a=%", "two hexadecimal digits"),
            ("a=%g0", "two hexadecimal digits"),
            ("a=%+1", "two hexadecimal digits"),
            ("a=%ff", "not UTF-8"),
            ("a=%00", "control character"),
            ("a=1&a=2", "twice"),
            ("c=1", "may have a, b c"),
            (&long, "more than 1024 bytes"),
        ] {
            let problem = read(query).unwrap_err();
            assert!(problem.status == 400 && problem.detail.contains(says), "{query}: {problem:?}");
        }
    }
}
