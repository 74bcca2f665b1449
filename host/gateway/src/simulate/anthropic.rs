//! Anthropic's messages on the wire.

use http::StatusCode;
use serde_json::{Value, json};

use super::exchange::{Exchange, Frame};

pub(super) fn whole(exchange: &Exchange) -> Value {
    json!({
        "id": exchange.id,
        "type": "message",
        "role": "assistant",
        "model": exchange.model,
        "content": [{ "type": "text", "text": exchange.text() }],
        "stop_reason": stop_reason(exchange),
        "stop_sequence": null,
        "usage": usage(exchange, exchange.usage.output),
    })
}

/// The events of a stream: the input is told at the beginning, the output at the end, cumulative.
pub(super) fn frames(exchange: &Exchange, with_usage: bool) -> Vec<Frame> {
    let event = |body: Value| {
        let kind = body["type"].as_str().unwrap_or_default();
        Frame { text: format!("event: {kind}\ndata: {body}\n\n"), is_token: false, tells_usage: false }
    };
    let mut message = json!({
        "id": exchange.id, "type": "message", "role": "assistant", "model": exchange.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(exchange, 1),
    });
    let mut last = json!({
        "type": "message_delta", "delta": { "stop_reason": stop_reason(exchange), "stop_sequence": null },
        "usage": { "output_tokens": exchange.usage.output },
    });
    if !with_usage {
        for event in [&mut message, &mut last] {
            event.as_object_mut().map(|event| event.remove("usage"));
        }
    }
    let mut frames = vec![
        event(json!({ "type": "message_start", "message": message })),
        event(json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } })),
        event(json!({ "type": "ping" })),
    ];
    frames.extend(exchange.words.iter().map(|word| {
        let delta =
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } });
        Frame { is_token: true, ..event(delta) }
    }));
    frames.push(event(json!({ "type": "content_block_stop", "index": 0 })));
    frames.push(Frame { tells_usage: with_usage, ..event(last) });
    frames.push(event(json!({ "type": "message_stop" })));
    frames
}

pub(super) fn error(status: StatusCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

pub(super) fn error_frame() -> String {
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "overloaded" } });
    format!("event: error\ndata: {error}\n\n")
}

fn usage(exchange: &Exchange, output: u64) -> Value {
    let usage = &exchange.usage;
    json!({
        "input_tokens": usage.uncached_input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": output,
        "service_tier": "standard",
    })
}

const fn stop_reason(exchange: &Exchange) -> &'static str {
    if exchange.at_limit { "max_tokens" } else { "end_turn" }
}
