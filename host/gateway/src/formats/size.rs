//! What bounds the input of a request: its bytes where all of it is text, else nothing but what the model takes.

use serde_json::Value;
use tollgate_ledger::estimate::InputSize;

use super::document::Document;

/// What content can hold whose tokens its bytes do not bound.
const UNBOUNDED: [&str; 12] = [
    "image",
    "image_url",
    "input_image",
    "document",
    "file",
    "input_file",
    "input_audio",
    "container_upload",
    "search_result",
    // Of responses: what the server has kept, and pictures of a screen.
    "item_reference",
    "computer_call_output",
    "computer_screenshot",
];

/// Members with which the server puts more into the context than was sent: what it searched for, and what it has kept.
const HELD_BY_SERVER: [&str; 6] =
    ["mcp_servers", "web_search_options", "container", "previous_response_id", "conversation", "prompt"];

/// Tools that the caller runs itself.
const RUN_BY_CALLER: [&str; 4] = ["function", "custom", "local_shell", "apply_patch"];

/// A token is at least a byte of text, so the body's length bounds the input where all of it is text.
pub(super) fn input_size(document: &Document) -> InputSize {
    let value = |name: &str| document.read::<Value>(name).ok().flatten();
    let unbounded_content =
        ["messages", "system", "input"].iter().any(|name| value(name).is_some_and(|content| holds_unbounded(&content)));
    let tools: Option<Vec<Value>> = document.read("tools").ok().flatten();
    let server_tools = tools.into_iter().flatten().any(|tool| {
        let kind = tool.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| !RUN_BY_CALLER.contains(&kind))
    });
    // One that is `null` is as if it were not there.
    let held_by_server = HELD_BY_SERVER.iter().any(|name| value(name).is_some());
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
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_bytes_do_not_bound_is_unknown() {
        for (body, bounded) in [
            (r#"{"messages":[{"role":"user","content":"an image"}]}"#, true),
            (r#"{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}"#, true),
            (r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}"#, false),
            (r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image"}]}]}]}"#, false),
            (r#"{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#, false),
            (r#"{"tools":[{"type":"function","function":{}},{"name":"x","input_schema":{}}]}"#, true),
            (r#"{"input":"hello","instructions":"be brief","previous_response_id":null}"#, true),
            (r#"{"input":"hello","previous_response_id":"resp_1"}"#, false),
            (r#"{"input":"hello","conversation":{"id":"conv_1"}}"#, false),
            (r#"{"input":"hello","prompt":{"id":"pmpt_1"}}"#, false),
            (r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#, false),
            (r#"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]}"#, false),
            (r#"{"input":"x","tools":[{"type":"file_search","vector_store_ids":["v"]}]}"#, false),
            (r#"{"input":"x","tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"}]}"#, true),
            (r#"{"input":[[1,2,3],[4]]}"#, true),
        ] {
            let document = Document::parse(Bytes::from_static(body.as_bytes())).unwrap();
            let expected = if bounded { InputSize::Bytes(body.len() as u64) } else { InputSize::Unknown };
            assert_eq!(input_size(&document), expected, "{body}");
        }
    }
}
