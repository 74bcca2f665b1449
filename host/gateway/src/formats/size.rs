//! What bounds the input of a request: its bytes where all of it is text, else nothing but what the model takes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
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
    let unbounded_content = ["messages", "system", "input"]
        .iter()
        .any(|name| document.read::<Content>(name).ok().flatten().is_some_and(|content| content.holds_unbounded));
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

/// What is looked for in content, of which nothing is kept: an agent's context is long.
#[derive(Clone, Copy, Default)]
struct Content {
    /// A text that is one of [`UNBOUNDED`].
    is_word: bool,
    /// An object in it has such a word for its `type`.
    holds_unbounded: bool,
}

/// The name of a member: whether it is `type`.
struct IsType(bool);

impl<'de> Deserialize<'de> for IsType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = IsType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<IsType, E> {
                Ok(IsType(name == "type"))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentReader)
    }
}

struct ContentReader;

impl<'de> Visitor<'de> for ContentReader {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("content")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content { is_word: UNBOUNDED.contains(&text), holds_unbounded: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Content, A::Error> {
        let mut found = Content::default();
        while let Some(value) = values.next_element::<Content>()? {
            found.holds_unbounded |= value.holds_unbounded;
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Content, A::Error> {
        let mut found = Content::default();
        while let Some(IsType(is_type)) = members.next_key()? {
            let value: Content = members.next_value()?;
            found.holds_unbounded |= value.holds_unbounded || (is_type && value.is_word);
        }
        Ok(found)
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
