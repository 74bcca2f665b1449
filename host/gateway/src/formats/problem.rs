//! What a caller reads when its request does not go: one problem (RFC 9457) that is also its provider's error object, so that
//! SDKs raise their own exception for it.

use serde_json::{Map, Value, json};
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
    pub(crate) fn body(&self, api: Option<Api>) -> Value {
        let mut body = Map::new();
        let kind = format!("https://tollgate.dev/problems/{}", self.code);
        match api {
            None => {
                body.insert("type".to_owned(), kind.into());
            }
            Some(Api::Openai) => {
                body.insert("type".to_owned(), kind.into());
                let error = json!({ "message": self.detail, "type": openai_type(self.status), "param": null, "code": self.code });
                body.insert("error".to_owned(), error);
            }
            // Its errors are told by `"type": "error"`, so the problem's own type moves aside.
            Some(Api::Anthropic) => {
                body.insert("type".to_owned(), "error".into());
                body.insert("problem".to_owned(), kind.into());
                body.insert("error".to_owned(), json!({ "type": anthropic_type(self.status), "message": self.detail }));
            }
        }
        body.insert("title".to_owned(), self.code.replace('-', " ").into());
        body.insert("status".to_owned(), self.status.into());
        body.insert("detail".to_owned(), self.detail.as_str().into());
        body.insert("next_action".to_owned(), self.next_action().into());
        for (name, value) in &self.more {
            body.insert((*name).to_owned(), value.clone());
        }
        body.into()
    }

    /// The event that ends a stream in the middle; `number` is its place where a format counts them.
    pub(crate) fn event(&self, endpoint: Endpoint, number: u64) -> String {
        let mut body = self.body(Some(endpoint.api()));
        match endpoint {
            Endpoint::ChatCompletions | Endpoint::Embeddings => format!("data: {body}\n\n"),
            // Its error events say all of it at the top; the object beside it is what its SDK looks at.
            Endpoint::Responses => {
                body["problem"] = body["type"].take();
                body["type"] = "error".into();
                body["code"] = self.code.into();
                body["message"] = self.detail.as_str().into();
                body["param"] = Value::Null;
                body["sequence_number"] = number.into();
                format!("event: error\ndata: {body}\n\n")
            }
            Endpoint::Messages | Endpoint::CountTokens => format!("event: error\ndata: {body}\n\n"),
        }
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
    use super::*;

    #[test]
    fn a_problem_is_also_the_providers_error() {
        let problem = Problem::new(429, "budget-exceeded", "team red has spent it", NextAction::RetryAfter(30))
            .with("policy", "budget");
        let openai = problem.body(Some(Api::Openai));
        assert_eq!(openai["error"]["type"], "insufficient_quota");
        assert_eq!(openai["error"]["code"], "budget-exceeded");
        assert_eq!(openai["type"], "https://tollgate.dev/problems/budget-exceeded");
        let anthropic = problem.body(Some(Api::Anthropic));
        assert_eq!((&anthropic["type"], &anthropic["error"]["type"]), (&json!("error"), &json!("rate_limit_error")));
        assert_eq!(anthropic["policy"], "budget");
        assert!(problem.body(None).get("error").is_none());
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
            let event = problem.event(endpoint, 7);
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["error"]["message"], "stopped by ada\nand bob");
            let number = data.get("sequence_number").and_then(Value::as_u64);
            assert_eq!(number, (endpoint == Endpoint::Responses).then_some(7));
            assert!(event.ends_with("\n\n") && event.matches("\n\n").count() == 1);
        }
    }
}
