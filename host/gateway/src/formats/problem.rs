//! What a caller reads when its request does not go: one problem (RFC 9457) that is also its provider's error object, so that
//! SDKs raise their own exception for it.

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tollgate_core::config::Api;

use super::endpoint::Endpoint;

/// What the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextAction {
    /// Nothing by trying again.
    Stop,
    /// Change the request.
    ChangeRequest,
    /// Try again, after so many seconds.
    RetryAfter(u64),
    /// Stay away for so many seconds: a switch is there so that nothing comes back by itself.
    StayAwayFor(u64),
    /// Ask a human for an approval.
    AskForApproval,
}

/// The longest `Retry-After` in seconds that the SDKs of both providers keep to.
const LONGEST_RETRY_AFTER: u64 = 60;

/// Why a request does not go.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// A few words with hyphens: `budget-exceeded`.
    pub(crate) code: &'static str,
    /// One line for the caller; never a prompt, a key, or what only an operator may know.
    pub(crate) detail: String,
    pub(crate) next: NextAction,
    /// Machine-readable members beside these: policy, rule, remaining budget, …
    pub(crate) more: Vec<(&'static str, Value)>,
}

impl Problem {
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>, next: NextAction) -> Self {
        Self { status, code, detail: detail.into(), next, more: Vec::new() }
    }

    /// A request that cannot be read or is not allowed as it is.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, code, detail, NextAction::ChangeRequest)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        // An object has no member twice.
        self.more.retain(|(known, _)| *known != name);
        self.more.push((name, value.into()));
        self
    }

    /// In seconds, where trying again can help.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        match self.next {
            NextAction::RetryAfter(seconds) | NextAction::StayAwayFor(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// Whether an SDK that retries by itself may: it would ignore a longer wait and come back at once.
    pub(crate) const fn should_retry(&self) -> bool {
        matches!(self.next, NextAction::RetryAfter(seconds) if seconds <= LONGEST_RETRY_AFTER) && self.status != 409
    }

    /// The body, shaped as the caller's provider shapes errors; a plain problem for a caller of neither.
    pub(crate) fn body(&self, api: Option<Api>) -> Bytes {
        let shape = match api {
            None => Shape::Plain,
            Some(Api::Openai) => Shape::Openai,
            Some(Api::Anthropic) => Shape::Anthropic,
        };
        written(Vec::new(), &Shaped { problem: self, shape }).into()
    }

    /// The event that ends a stream in the middle; `number` is its place where a format counts them.
    pub(crate) fn event(&self, endpoint: Endpoint, number: u64) -> Bytes {
        let (begin, shape) = match endpoint {
            Endpoint::ChatCompletions | Endpoint::Embeddings => ("data: ", Shape::Openai),
            Endpoint::Responses => ("event: error\ndata: ", Shape::OpenaiEvent { number }),
            Endpoint::Messages | Endpoint::CountTokens => ("event: error\ndata: ", Shape::Anthropic),
        };
        let mut event = written(begin.into(), &Shaped { problem: self, shape });
        event.extend_from_slice(b"\n\n");
        event.into()
    }

    const fn next_action(&self) -> &'static str {
        match self.next {
            NextAction::Stop | NextAction::StayAwayFor(_) => "stop",
            NextAction::ChangeRequest => "change-request",
            NextAction::RetryAfter(_) => "retry-later",
            NextAction::AskForApproval => "ask-for-approval",
        }
    }
}

/// Who reads a problem.
#[derive(Clone, Copy)]
enum Shape {
    /// A caller of no provider.
    Plain,
    /// One that looks for OpenAI's error object.
    Openai,
    /// The same among the events of a response: those say all of it at the top, and the object beside it is what the SDK looks at.
    OpenaiEvent { number: u64 },
    /// One that looks for Anthropic's. Its errors are told by `"type": "error"`, so the problem's own type moves aside.
    Anthropic,
}

struct Shaped<'a> {
    problem: &'a Problem,
    shape: Shape,
}

#[derive(Serialize)]
struct OpenaiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: &'static str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

impl Serialize for Shaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { status, code, detail, more, .. } = self.problem;
        let kind = format_args!("https://tollgate.dev/problems/{code}");
        let openai = OpenaiError { message: detail, r#type: openai_type(*status), param: None, code };
        let mut body = serializer.serialize_map(None)?;
        match self.shape {
            Shape::Plain => body.serialize_entry("type", &kind)?,
            Shape::Openai => {
                body.serialize_entry("type", &kind)?;
                body.serialize_entry("error", &openai)?;
            }
            Shape::OpenaiEvent { number } => {
                body.serialize_entry("type", "error")?;
                body.serialize_entry("problem", &kind)?;
                body.serialize_entry("error", &openai)?;
                body.serialize_entry("code", code)?;
                body.serialize_entry("message", detail)?;
                body.serialize_entry("param", &openai.param)?;
                body.serialize_entry("sequence_number", &number)?;
            }
            Shape::Anthropic => {
                body.serialize_entry("type", "error")?;
                body.serialize_entry("problem", &kind)?;
                body.serialize_entry("error", &AnthropicError { r#type: anthropic_type(*status), message: detail })?;
            }
        }
        body.serialize_entry("title", &code.replace('-', " "))?;
        body.serialize_entry("status", status)?;
        body.serialize_entry("detail", detail)?;
        body.serialize_entry("next_action", self.problem.next_action())?;
        for (name, value) in more {
            body.serialize_entry(name, value)?;
        }
        body.end()
    }
}

/// A text that begins so, and a problem behind it.
fn written(mut text: Vec<u8>, problem: &Shaped<'_>) -> Vec<u8> {
    text.reserve(512);
    serde_json::to_writer(&mut text, problem).expect("names and texts are always JSON");
    text
}

const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 | 429 => "insufficient_quota",
        403 => "permission_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

const fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &[u8]) -> Value {
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn a_problem_is_also_the_providers_error() {
        let problem = Problem::new(429, "budget-exceeded", "team red has spent it", NextAction::RetryAfter(30))
            .with("policy", "budget");
        let openai = read(&problem.body(Some(Api::Openai)));
        assert_eq!(openai["error"]["type"], "insufficient_quota");
        assert_eq!(openai["error"]["code"], "budget-exceeded");
        assert_eq!(openai["type"], "https://tollgate.dev/problems/budget-exceeded");
        let anthropic = read(&problem.body(Some(Api::Anthropic)));
        assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&json!("error"), &json!("rate_limit_error")));
        assert_eq!(anthropic["policy"], "budget");
        assert!(read(&problem.body(None)).get("error").is_none());
    }

    #[test]
    fn a_retry_that_cannot_help_is_not_asked_for() {
        let should = |status, next| Problem::new(status, "x", "x", next).should_retry();
        assert!(should(429, NextAction::RetryAfter(60)));
        assert!(!should(429, NextAction::RetryAfter(61)), "an SDK would ignore it and come back at once");
        assert!(!should(503, NextAction::Stop));
        assert!(!should(503, NextAction::StayAwayFor(1)));
        assert!(!should(409, NextAction::RetryAfter(1)));
    }

    #[test]
    fn the_event_that_ends_a_stream_is_well_formed() {
        let problem = Problem::new(503, "switched-off", "stopped by ada\nand bob", NextAction::Stop);
        for endpoint in [Endpoint::ChatCompletions, Endpoint::Responses, Endpoint::Messages] {
            let event = String::from_utf8(problem.event(endpoint, 7).into()).unwrap();
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let data = read(data.as_bytes());
            assert_eq!(data["error"]["message"], "stopped by ada\nand bob");
            let number = data.get("sequence_number").and_then(Value::as_u64);
            assert_eq!(number, (endpoint == Endpoint::Responses).then_some(7));
            assert!(event.ends_with("\n\n") && event.matches("\n\n").count() == 1);
        }
    }
}
