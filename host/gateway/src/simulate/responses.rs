//! OpenAI's responses on the wire.

use serde_json::{Value, json};

use super::exchange::{Exchange, Frame};

/// When every answer was made; see chat completions.
const CREATED: u64 = 1_767_225_600;

pub(super) fn whole(exchange: &Exchange) -> Value {
    response(exchange, if exchange.at_limit { "incomplete" } else { "completed" }, Some(&exchange.text()))
}

/// The events of a stream, each with its number; the last one says how the answer ended and what it used.
pub(super) fn frames(exchange: &Exchange, with_usage: bool) -> Vec<Frame> {
    let mut number = 0_u64;
    let mut event = |kind: &str, mut body: Value| {
        body["type"] = kind.into();
        body["sequence_number"] = number.into();
        number += 1;
        Frame { text: format!("event: {kind}\ndata: {body}\n\n"), is_token: false, tells_usage: false }
    };
    let item = item_id(exchange);
    let place = |more: Value| {
        let mut place = json!({ "item_id": item, "output_index": 0, "content_index": 0 });
        place.as_object_mut().into_iter().for_each(|place| place.extend(more.as_object().cloned().unwrap_or_default()));
        place
    };
    let begun = response(exchange, "in_progress", None);
    let empty = json!({ "type": "message", "id": item, "status": "in_progress", "role": "assistant", "content": [] });
    let mut frames = vec![
        event("response.created", json!({ "response": begun })),
        event("response.in_progress", json!({ "response": begun })),
        event("response.output_item.added", json!({ "output_index": 0, "item": empty })),
        event("response.content_part.added", place(json!({ "part": part("") }))),
    ];
    for word in &exchange.words {
        let delta = event("response.output_text.delta", place(json!({ "delta": word, "logprobs": [] })));
        frames.push(Frame { is_token: true, ..delta });
    }
    let mut last = whole(exchange);
    let output = last["output"][0].clone();
    if !with_usage {
        last["usage"] = Value::Null;
    }
    frames.push(event("response.output_text.done", place(json!({ "text": exchange.text(), "logprobs": [] }))));
    frames.push(event("response.content_part.done", place(json!({ "part": part(&exchange.text()) }))));
    frames.push(event("response.output_item.done", json!({ "output_index": 0, "item": output })));
    let kind = if exchange.at_limit { "response.incomplete" } else { "response.completed" };
    frames.push(Frame { tells_usage: with_usage, ..event(kind, json!({ "response": last })) });
    frames
}

pub(super) fn error_frame() -> String {
    let error = json!({
        "type": "error", "code": "server_error", "message": "the model stopped answering", "param": null, "sequence_number": 99,
    });
    format!("event: error\ndata: {error}\n\n")
}

fn response(exchange: &Exchange, status: &str, text: Option<&str>) -> Value {
    let output = text.map(|text| {
        json!([{
            "type": "message", "id": item_id(exchange), "status": "completed", "role": "assistant", "content": [part(text)],
        }])
    });
    let reason = (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
    json!({
        "id": exchange.id,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": reason,
        "instructions": null,
        "metadata": {},
        "model": exchange.model,
        "output": output.clone().unwrap_or_else(|| json!([])),
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "service_tier": exchange.tier,
        "store": false,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": output.map(|_| usage(exchange)),
    })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text })
}

fn item_id(exchange: &Exchange) -> String {
    exchange.id.replacen("resp", "msg", 1)
}

fn usage(exchange: &Exchange) -> Value {
    let usage = &exchange.usage;
    let input = usage.uncached_input + usage.cache_read;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": usage.cache_read },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": input + usage.output,
    })
}
