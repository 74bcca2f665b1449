//! OpenAI's chat completions on the wire.

use http::StatusCode;
use serde_json::{Value, json};

use super::exchange::{Exchange, Frame};

/// When every answer was made: an answer has no clock, so that the same request gets the same bytes.
const CREATED: u64 = 1_767_225_600;

pub(super) fn whole(exchange: &Exchange) -> Value {
    json!({
        "id": exchange.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": exchange.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": exchange.text(), "refusal": null, "annotations": [] },
            "logprobs": null,
            "finish_reason": finish_reason(exchange),
        }],
        "usage": usage(exchange),
        "service_tier": exchange.tier,
        "system_fingerprint": null,
    })
}

/// The chunks of a stream; those before the last have `usage: null` where it was asked for.
pub(super) fn frames(exchange: &Exchange, with_usage: bool) -> Vec<Frame> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": exchange.id,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": exchange.model,
            "service_tier": exchange.tier,
            "system_fingerprint": null,
            "choices": choices,
        });
        if let (true, Some(chunk)) = (with_usage, chunk.as_object_mut()) {
            chunk.insert("usage".to_owned(), usage.unwrap_or(Value::Null));
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, reason: Option<&str>| json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason }]);
    let plain = |text: String| Frame { text, is_token: false, tells_usage: false };
    let mut frames =
        vec![plain(chunk(choice(json!({ "role": "assistant", "content": "", "refusal": null }), None), None))];
    frames.extend(exchange.words.iter().map(|word| Frame {
        text: chunk(choice(json!({ "content": word }), None), None),
        is_token: true,
        tells_usage: false,
    }));
    frames.push(plain(chunk(choice(json!({}), Some(finish_reason(exchange))), None)));
    if with_usage {
        frames.push(Frame { text: chunk(json!([]), Some(usage(exchange))), is_token: false, tells_usage: true });
    }
    frames.push(plain("data: [DONE]\n\n".to_owned()));
    frames
}

pub(super) fn error(status: StatusCode, message: &str) -> Value {
    let (kind, code) = match status.as_u16() {
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

pub(super) fn error_frame() -> String {
    format!("data: {}\n\n", error(StatusCode::INTERNAL_SERVER_ERROR, "the model stopped answering"))
}

fn usage(exchange: &Exchange) -> Value {
    let usage = &exchange.usage;
    let prompt = usage.uncached_input + usage.cache_read;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

const fn finish_reason(exchange: &Exchange) -> &'static str {
    if exchange.at_limit { "length" } else { "stop" }
}
