//! What the providers answer without a model that writes: embeddings, counts of tokens, lists.

use http::StatusCode;
use serde_json::{Value, json};

use super::exchange::Exchange;

/// The dimensions of every embedding: enough to look like one.
const DIMENSIONS: u64 = 8;
/// The most texts of one request, as OpenAI has it.
const MAX_TEXTS: usize = 2_048;

/// An embedding of each text, the same for the same request.
pub(super) fn embeddings(exchange: &Exchange, asked: &Value) -> Value {
    let texts = match &asked["input"] {
        Value::Array(texts) if !texts.first().is_some_and(Value::is_number) => texts.len().clamp(1, MAX_TEXTS),
        _ => 1,
    };
    let number = |at: u64| exchange.seed.rotate_left(u32::try_from(at % 64).unwrap_or(0)) % 1_000;
    let data: Vec<_> = (0..texts as u64)
        .map(|index| {
            let embedding: Vec<_> =
                (0..DIMENSIONS).map(|at| json!(format!("0.{:03}", number(at + index)).parse::<f64>().ok())).collect();
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    let tokens = exchange.usage.uncached_input;
    json!({
        "object": "list", "data": data, "model": exchange.model, "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}

/// Anthropic's count of what a request would take in.
pub(super) fn count(exchange: &Exchange) -> Value {
    json!({ "input_tokens": exchange.usage.input().unwrap_or(u64::MAX) })
}

/// What is asked for with GET.
pub(super) fn list(path: &str) -> (StatusCode, Value) {
    match path {
        "/v1/models" => (StatusCode::OK, json!({ "object": "list", "data": [], "has_more": false })),
        "/v1/files" => (StatusCode::OK, json!({ "object": "list", "data": [], "has_more": false })),
        _ => (StatusCode::NOT_FOUND, json!({ "error": { "message": format!("there is no {path}") } })),
    }
}
