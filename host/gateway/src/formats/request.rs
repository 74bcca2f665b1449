//! What a request for a model asks for, and the few changes the gateway makes to it.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::config::Api;
use tollgate_ledger::estimate::InputSize;
use tollgate_ledger::prices::ServiceTier;

use super::document::{Document, DocumentError};
use super::meter::UsageChunk;

/// The most names that a caller's metadata may give.
const MAX_METADATA: usize = 32;

/// A request for a model, read and not yet changed.
#[derive(Clone, Debug)]
pub(crate) struct ModelRequest {
    pub(crate) api: Api,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) max_tokens: Option<u64>,
    /// How many answers were asked for.
    pub(crate) answers: u64,
    pub(crate) tier: ServiceTier,
    /// What bounds its input.
    pub(crate) input: InputSize,
    /// Whom the caller says it asks for: `user`, `metadata.user_id`.
    pub(crate) user: Option<String>,
    /// Names that the caller gave it.
    pub(crate) metadata: Vec<(String, String)>,
    asked_for_usage: bool,
    document: Document,
}

/// Why a request was not taken. The caller reads this.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("`{name}` is missing: send it")]
    Missing { name: &'static str },
    #[error("`{name}` must be {what}")]
    Form { name: &'static str, what: &'static str },
}

impl ModelRequest {
    /// Reads a body of that format.
    pub(crate) fn parse(api: Api, body: Bytes) -> Result<Self, RequestError> {
        let document = Document::parse(body)?;
        let form = |name, what| move |_| RequestError::Form { name, what };
        let model: String = document
            .read("model")
            .map_err(form("model", "a string"))?
            .ok_or(RequestError::Missing { name: "model" })?;
        let stream = document.read("stream").map_err(form("stream", "true or false"))?.unwrap_or(false);
        let count = |name| document.read::<u64>(name).map_err(form(name, "a whole number, at least 0"));
        let max_tokens = match api {
            Api::Openai => count("max_completion_tokens")?.or(count("max_tokens")?),
            Api::Anthropic => count("max_tokens")?,
        };
        let answers = if api == Api::Openai { count("n")?.unwrap_or(1).max(1) } else { 1 };
        let metadata: Value = document.read("metadata").map_err(form("metadata", "an object"))?.unwrap_or(Value::Null);
        let metadata = metadata.as_object().into_iter().flatten().take(MAX_METADATA);
        let metadata: Vec<_> =
            metadata.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        let named = |wanted: &str| metadata.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let user: Option<String> = document.read("user").map_err(form("user", "a string"))?;
        let tier: Option<String> = document.read("service_tier").map_err(form("service_tier", "a string"))?;
        let options: Option<Value> = document.read("stream_options").map_err(form("stream_options", "an object"))?;
        let asked = options.as_ref().and_then(|options| options.get("include_usage")).and_then(Value::as_bool);
        Ok(Self {
            api,
            model,
            stream,
            max_tokens,
            answers,
            tier: match tier.as_deref() {
                Some("priority") => ServiceTier::Priority,
                Some("flex") => ServiceTier::Flex,
                _ => ServiceTier::Standard,
            },
            input: input_size(&document),
            user: user.or_else(|| named("user_id")),
            metadata,
            asked_for_usage: asked.unwrap_or(false),
            document,
        })
    }

    /// The body as it came, for a hash of the whole of it.
    pub(crate) const fn body(&self) -> &Bytes {
        self.document.source()
    }

    /// Whether the client sees the chunk with the usage of a stream.
    pub(crate) fn usage_chunk(&self) -> UsageChunk {
        if self.api == Api::Openai && !self.asked_for_usage { UsageChunk::Hidden } else { UsageChunk::Shown }
    }

    /// The body for a model: what the caller sent, with only what a decision changed.
    pub(crate) fn body_for(&self, model: &str, output_cap: Option<u32>) -> Bytes {
        let mut document = self.document.clone();
        if model != self.model {
            document.set("model", &json!(model));
        }
        if let Some(cap) = output_cap.map(u64::from).filter(|cap| self.max_tokens.is_none_or(|asked| asked > *cap)) {
            document.set(self.output_limit_member(), &json!(cap));
        }
        if self.stream && self.usage_chunk() == UsageChunk::Hidden {
            let mut options = self.document.read::<Value>("stream_options").ok().flatten().unwrap_or_else(|| json!({}));
            options["include_usage"] = json!(true);
            document.set("stream_options", &options);
        }
        document.to_bytes()
    }

    /// What the caller uses to limit the output; `max_tokens` of OpenAI is the older word, which other servers know alone.
    fn output_limit_member(&self) -> &'static str {
        let uses_older =
            self.document.raw("max_tokens").is_some() && self.document.raw("max_completion_tokens").is_none();
        if self.api == Api::Anthropic || uses_older { "max_tokens" } else { "max_completion_tokens" }
    }
}

/// What content can hold whose tokens its bytes do not bound, and tools that put more into the context than was sent.
const UNBOUNDED: [&str; 9] = [
    "image",
    "image_url",
    "input_image",
    "document",
    "file",
    "input_file",
    "input_audio",
    "container_upload",
    "search_result",
];

/// A token is at least a byte of text, so the body's length bounds the input where all of it is text.
fn input_size(document: &Document) -> InputSize {
    let unbounded_content = ["messages", "system"]
        .iter()
        .any(|name| document.read::<Value>(name).ok().flatten().is_some_and(|content| holds_unbounded(&content)));
    let tools: Option<Vec<Value>> = document.read("tools").ok().flatten();
    let server_tools = tools.into_iter().flatten().any(|tool| {
        let kind = tool.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| !matches!(kind, "function" | "custom"))
    });
    let held_by_server =
        ["mcp_servers", "web_search_options", "container"].iter().any(|name| document.raw(name).is_some());
    if unbounded_content || server_tools || held_by_server {
        return InputSize::Unknown;
    }
    InputSize::Bytes(document.source().len() as u64)
}

fn holds_unbounded(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(holds_unbounded),
        Value::Object(members) => {
            let kind = members.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| UNBOUNDED.contains(&kind)) || members.values().any(holds_unbounded)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(api: Api, text: &str) -> Result<ModelRequest, RequestError> {
        ModelRequest::parse(api, Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_request_that_needs_no_change_goes_as_it_came() {
        let text = "{\"model\": \"gpt-5-mini\",  \"new_field\": {\"x\": 1.0}, \"messages\":[]}";
        let request = parse(Api::Openai, text).unwrap();
        assert_eq!(request.body_for("gpt-5-mini", None), text);
        assert_eq!(request.body_for("gpt-5.2", None), text.replace("gpt-5-mini", "gpt-5.2"));
    }

    #[test]
    fn a_stream_is_asked_for_its_usage_and_other_options_stay() {
        let request =
            parse(Api::Openai, r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}"#)
                .unwrap();
        assert_eq!(request.usage_chunk(), UsageChunk::Hidden);
        let expected =
            r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#;
        assert_eq!(request.body_for("m", None), expected);
        let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
        let request = parse(Api::Openai, asked).unwrap();
        assert_eq!(
            (request.usage_chunk(), request.body_for("m", None).as_ref()),
            (UsageChunk::Shown, asked.as_bytes())
        );
        let anthropic = r#"{"model":"m","stream":true,"max_tokens":5}"#;
        assert_eq!(parse(Api::Anthropic, anthropic).unwrap().body_for("m", None), anthropic);
    }

    #[test]
    fn a_cap_only_ever_lowers_what_was_asked_for() {
        for (api, body, expected) in [
            (Api::Openai, r#"{"model":"m","max_tokens":100}"#, r#"{"model":"m","max_tokens":10}"#),
            (Api::Openai, r#"{"model":"m"}"#, r#"{"max_completion_tokens":10,"model":"m"}"#),
            (Api::Openai, r#"{"model":"m","max_completion_tokens":9}"#, r#"{"model":"m","max_completion_tokens":9}"#),
            (Api::Anthropic, r#"{"max_tokens":11,"model":"m"}"#, r#"{"max_tokens":10,"model":"m"}"#),
        ] {
            assert_eq!(parse(api, body).unwrap().body_for("m", Some(10)), expected);
        }
    }

    #[test]
    fn what_bytes_do_not_bound_is_unknown() {
        for (body, bounded) in [
            (r#"{"model":"m","messages":[{"role":"user","content":"an image"}]}"#, true),
            (r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}"#, true),
            (r#"{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}"#, false),
            (r#"{"model":"m","messages":[{"content":[{"type":"tool_result","content":[{"type":"image"}]}]}]}"#, false),
            (r#"{"model":"m","tools":[{"type":"web_search_20250305","name":"web_search"}]}"#, false),
            (r#"{"model":"m","tools":[{"type":"function","function":{}},{"name":"x","input_schema":{}}]}"#, true),
        ] {
            let expected = if bounded { InputSize::Bytes(body.len() as u64) } else { InputSize::Unknown };
            assert_eq!(parse(Api::Openai, body).unwrap().input, expected, "{body}");
        }
    }

    #[test]
    fn a_mistake_names_the_member() {
        for (body, says) in [
            (r#"{"messages":[]}"#, "`model` is missing"),
            (r#"{"model":7}"#, "`model` must be a string"),
            (r#"{"model":"m","max_tokens":-1}"#, "`max_tokens` must be a whole number"),
            (r#"{"model":"m","stream":"yes"}"#, "`stream` must be true or false"),
            ("nonsense", "not a JSON object"),
        ] {
            let error = parse(Api::Openai, body).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn names_are_taken_from_metadata() {
        let request = parse(Api::Anthropic, r#"{"model":"m","metadata":{"user_id":"ada","n":7}}"#).unwrap();
        assert_eq!((request.user.as_deref(), request.metadata.len()), (Some("ada"), 1));
    }
}
