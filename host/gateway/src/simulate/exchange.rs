//! One simulated answer before it takes a provider's form: its words and what they cost.

use serde_json::Value;
use tollgate_core::{Reference, Usage, config::Api};

use crate::formats::Endpoint;

use super::Billed;
use super::plan::Plan;

/// So many bytes of a request are a token.
const BYTES_PER_TOKEN: u64 = 4;
/// OpenAI caches prefixes from this size on, in tokens.
const CACHED_FROM: u64 = 1_024;
const WORDS: [&str; 12] =
    ["the ", "build ", "passes ", "and ", "every ", "test ", "was ", "run ", "with ", "a ", "warm ", "cache "];

/// A part of a stream.
pub(super) struct Frame {
    pub(super) text: String,
    pub(super) is_token: bool,
    pub(super) tells_usage: bool,
}

/// One answer.
pub(super) struct Exchange {
    pub(super) id: String,
    /// The caller's trace.
    trace: Option<String>,
    pub(super) model: String,
    /// One for each token.
    pub(super) words: Vec<&'static str>,
    pub(super) usage: Usage,
    /// The request's limit cut it.
    pub(super) at_limit: bool,
    /// What it was served at: what was asked for, where that is a tier.
    pub(super) tier: &'static str,
    /// The answer's number.
    pub(super) seed: u64,
}

impl Exchange {
    pub(super) fn plan(
        (endpoint, trace): (Endpoint, Option<String>),
        asked: &Value,
        body: &[u8],
        plan: &Plan,
        cached: impl FnOnce(u64) -> bool,
    ) -> Self {
        let limits = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
        let limit = limits.iter().find_map(|name| asked.get(name)?.as_u64()).filter(|_| plan.keeps_limit);
        let limit = if endpoint.writes() { limit } else { Some(0) };
        let output = limit.map_or(plan.output, |limit| plan.output.min(limit));
        let model = asked.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        let words = (0..output)
            .map(|at| WORDS[usize::try_from((plan.number.wrapping_add(at * 7)) % 12).unwrap_or(0)])
            .collect();
        let prefix = match endpoint {
            Endpoint::ChatCompletions => "chatcmpl",
            Endpoint::Responses => "resp",
            Endpoint::Embeddings => "emb",
            Endpoint::Messages | Endpoint::CountTokens => "msg",
        };
        let tier = match asked.get("service_tier").and_then(Value::as_str) {
            Some("flex") => "flex",
            Some("priority") => "priority",
            _ => "default",
        };
        Self {
            id: format!("{prefix}-{:016x}", plan.number),
            trace,
            usage: Usage { output, ..input(endpoint, asked, body, &model, cached) },
            model,
            words,
            tier,
            seed: plan.number,
            at_limit: limit.is_some_and(|limit| limit < plan.output),
        }
    }

    /// What is billed once so many tokens were written.
    pub(super) fn bill(&self, written: u64, told: bool) -> Billed {
        let usage = Usage { output: self.usage.output.min(written), ..self.usage };
        let (id, model, tier) = (self.id.clone(), self.model.clone(), self.tier.to_owned());
        Billed { id, trace: self.trace.clone(), model, usage, tier, told }
    }

    pub(super) fn text(&self) -> String {
        self.words.concat()
    }
}

/// The input, and what of it was cached: all but the last message, where the request marks something for caching
/// (Anthropic) or it is large enough (OpenAI).
fn input(endpoint: Endpoint, asked: &Value, body: &[u8], model: &str, cached: impl FnOnce(u64) -> bool) -> Usage {
    let tokens = |bytes: usize| (bytes as u64).div_ceil(BYTES_PER_TOKEN);
    let held = ["messages", "input"].iter().find_map(|name| asked.get(name));
    let single = held.filter(|held| !held.is_array()).map(std::slice::from_ref);
    let messages = held.and_then(Value::as_array).map(Vec::as_slice).or(single).unwrap_or_default();
    let (last, before) = messages.split_last().map_or((String::new(), String::new()), |(last, before)| {
        let system = asked.get("system").map(Value::to_string).unwrap_or_default();
        (last.to_string(), format!("{system}{}", before.iter().map(Value::to_string).collect::<String>()))
    });
    let (prefix, rest) = (tokens(before.len()), tokens(last.len()).max(1));
    let name = Reference::of(&format!("{model} {before}")).as_u64();
    let text = String::from_utf8_lossy(body);
    match endpoint.api() {
        Api::Anthropic if prefix > 0 && text.contains("\"cache_control\"") => match cached(name) {
            true => Usage { uncached_input: rest, cache_read: prefix, ..Usage::default() },
            false if text.contains("\"1h\"") => {
                Usage { uncached_input: rest, cache_write_1h: prefix, ..Usage::default() }
            }
            false => Usage { uncached_input: rest, cache_write_5m: prefix, ..Usage::default() },
        },
        Api::Openai if endpoint.writes() && prefix >= CACHED_FROM && cached(name) => {
            Usage { uncached_input: rest, cache_read: prefix, ..Usage::default() }
        }
        _ => Usage { uncached_input: prefix + rest, ..Usage::default() },
    }
}
