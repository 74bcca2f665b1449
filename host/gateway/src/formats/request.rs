//! What a request for a model asks for, and the few changes the gateway makes to it.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tollgate_ledger::estimate::InputSize;
use tollgate_ledger::prices::ServiceTier;

use crate::identity::Told;

use super::document::{Document, DocumentError};
use super::endpoint::Endpoint;
use super::meter::UsageChunk;
use super::size::input_size;

/// The most names that a caller's metadata may give.
const MAX_METADATA: usize = 32;

/// A request for a model, read and not yet changed.
#[derive(Clone, Debug)]
pub(crate) struct ModelRequest {
    pub(crate) endpoint: Endpoint,
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
    #[error(
        "`background` cannot be metered: what it costs is told only to whoever asks for the answer later; leave it out"
    )]
    Background,
}

impl ModelRequest {
    /// Reads a body of that kind.
    pub(crate) fn parse(endpoint: Endpoint, body: Bytes) -> Result<Self, RequestError> {
        let document = Document::parse(body)?;
        let form = |name, what| move |_| RequestError::Form { name, what };
        let model: String = document
            .read("model")
            .map_err(form("model", "a string"))?
            .ok_or(RequestError::Missing { name: "model" })?;
        let stream = document.read("stream").map_err(form("stream", "true or false"))?.unwrap_or(false);
        let stream = stream && endpoint.writes();
        let count = |name| document.read::<u64>(name).map_err(form(name, "a whole number, at least 0"));
        let max_tokens = match endpoint {
            Endpoint::ChatCompletions => count("max_completion_tokens")?.or(count("max_tokens")?),
            Endpoint::Responses => count("max_output_tokens")?,
            Endpoint::Messages => count("max_tokens")?,
            Endpoint::Embeddings | Endpoint::CountTokens => Some(0),
        };
        let answers = if endpoint == Endpoint::ChatCompletions { count("n")?.unwrap_or(1).max(1) } else { 1 };
        let background: Option<bool> = document.read("background").map_err(form("background", "true or false"))?;
        if background == Some(true) {
            return Err(RequestError::Background);
        }
        let metadata: Value = document.read("metadata").map_err(form("metadata", "an object"))?.unwrap_or(Value::Null);
        let metadata = metadata.as_object().into_iter().flatten().take(MAX_METADATA);
        let metadata: Vec<_> =
            metadata.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
        let named = |wanted: &str| metadata.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let user: Option<String> = document.read("user").map_err(form("user", "a string"))?;
        let tier: Option<String> = document.read("service_tier").map_err(form("service_tier", "a string"))?;
        let options: Option<Map<String, Value>> =
            document.read("stream_options").map_err(form("stream_options", "an object"))?;
        let asked = options.as_ref().and_then(|options| options.get("include_usage")).and_then(Value::as_bool);
        Ok(Self {
            endpoint,
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

    /// What it says of who asks.
    pub(crate) fn told(&self) -> Told<'_> {
        Told { metadata: &self.metadata, user: self.user.as_deref() }
    }

    /// The body as it came, for a hash of the whole of it.
    pub(crate) const fn body(&self) -> &Bytes {
        self.document.source()
    }

    /// Whether the client sees the chunk with the usage of a stream.
    pub(crate) fn usage_chunk(&self) -> UsageChunk {
        let may_be_hidden = self.endpoint == Endpoint::ChatCompletions;
        if may_be_hidden && !self.asked_for_usage { UsageChunk::Hidden } else { UsageChunk::Shown }
    }

    /// The body for a model: what the caller sent, with only what a decision changed.
    pub(crate) fn body_for(&self, model: &str, output_cap: Option<u32>) -> Bytes {
        let mut edits = Vec::new();
        if model != self.model {
            edits.push(("model", json!(model).to_string()));
        }
        let cap = output_cap.map(u64::from).filter(|cap| self.max_tokens.is_none_or(|asked| asked > *cap));
        if let (Some(member), Some(cap)) = (self.output_limit_member(), cap) {
            edits.push((member, cap.to_string()));
        }
        if self.stream && self.usage_chunk() == UsageChunk::Hidden {
            let asking = match self.document.read::<Map<String, Value>>("stream_options").ok().flatten() {
                Some(mut options) => {
                    options.insert("include_usage".to_owned(), true.into());
                    Value::from(options).to_string()
                }
                None => r#"{"include_usage":true}"#.to_owned(),
            };
            edits.push(("stream_options", asking));
        }
        self.document.with(&edits)
    }

    /// What the caller uses to limit the output; `max_tokens` of OpenAI is the older word, which other servers know alone.
    fn output_limit_member(&self) -> Option<&'static str> {
        let has = |name| self.document.raw(name).is_some();
        match self.endpoint {
            Endpoint::ChatCompletions if has("max_tokens") && !has("max_completion_tokens") => Some("max_tokens"),
            Endpoint::ChatCompletions => Some("max_completion_tokens"),
            Endpoint::Responses => Some("max_output_tokens"),
            Endpoint::Messages => Some("max_tokens"),
            Endpoint::Embeddings | Endpoint::CountTokens => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(endpoint: Endpoint, text: &str) -> Result<ModelRequest, RequestError> {
        ModelRequest::parse(endpoint, Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_request_that_needs_no_change_goes_as_it_came() {
        let text = "{\"model\": \"gpt-5-mini\",  \"new_field\": {\"x\": 1.0}, \"messages\":[]}";
        let request = parse(Endpoint::ChatCompletions, text).unwrap();
        assert_eq!(request.body_for("gpt-5-mini", None), text);
        assert_eq!(request.body_for("gpt-5.2", None), text.replace("gpt-5-mini", "gpt-5.2"));
    }

    #[test]
    fn a_stream_is_asked_for_its_usage_and_other_options_stay() {
        let request = parse(
            Endpoint::ChatCompletions,
            r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}"#,
        )
        .unwrap();
        assert_eq!(request.usage_chunk(), UsageChunk::Hidden);
        let expected =
            r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#;
        assert_eq!(request.body_for("m", None), expected);
        let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
        let request = parse(Endpoint::ChatCompletions, asked).unwrap();
        assert_eq!(
            (request.usage_chunk(), request.body_for("m", None).as_ref()),
            (UsageChunk::Shown, asked.as_bytes())
        );
        let anthropic = r#"{"model":"m","stream":true,"max_tokens":5}"#;
        assert_eq!(parse(Endpoint::Messages, anthropic).unwrap().body_for("m", None), anthropic);
    }

    #[test]
    fn a_cap_only_ever_lowers_what_was_asked_for() {
        for (endpoint, body, expected) in [
            (Endpoint::ChatCompletions, r#"{"model":"m","max_tokens":100}"#, r#"{"model":"m","max_tokens":10}"#),
            (Endpoint::ChatCompletions, r#"{"model":"m"}"#, r#"{"max_completion_tokens":10,"model":"m"}"#),
            (
                Endpoint::ChatCompletions,
                r#"{"model":"m","max_completion_tokens":9}"#,
                r#"{"model":"m","max_completion_tokens":9}"#,
            ),
            (Endpoint::Messages, r#"{"max_tokens":11,"model":"m"}"#, r#"{"max_tokens":10,"model":"m"}"#),
            (Endpoint::Responses, r#"{"model":"m"}"#, r#"{"max_output_tokens":10,"model":"m"}"#),
            (Endpoint::Embeddings, r#"{"model":"m"}"#, r#"{"model":"m"}"#),
            (Endpoint::CountTokens, r#"{"model":"m","max_tokens":99}"#, r#"{"model":"m","max_tokens":99}"#),
        ] {
            assert_eq!(parse(endpoint, body).unwrap().body_for("m", Some(10)), expected);
        }
    }

    #[test]
    fn a_mistake_names_the_member() {
        for (body, says) in [
            (r#"{"messages":[]}"#, "`model` is missing"),
            (r#"{"model":7}"#, "`model` must be a string"),
            (r#"{"model":"m","max_tokens":-1}"#, "`max_output_tokens` must be a whole number"),
            (r#"{"model":"m","stream":"yes"}"#, "`stream` must be true or false"),
            (r#"{"model":"m","background":true}"#, "`background` cannot be metered"),
            (r#"{"model":"m","stream":true,"stream_options":7}"#, "`stream_options` must be an object"),
            ("nonsense", "not a JSON object"),
        ] {
            let error =
                parse(Endpoint::Responses, &body.replace("max_tokens", "max_output_tokens")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn names_are_taken_from_metadata() {
        let request = parse(Endpoint::Messages, r#"{"model":"m","metadata":{"user_id":"ada","n":7}}"#).unwrap();
        assert_eq!((request.user.as_deref(), request.metadata.len()), (Some("ada"), 1));
    }
}
