//! How much text there is in a delta, counted as it is read: nothing of it is kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text, as it is written where it has no escapes.
#[derive(Default, serde::Deserialize)]
pub(super) struct Word<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Bytes of every text but the words that say what something is.
#[derive(Clone, Copy, Default)]
pub(super) struct TextBytes(pub(super) u64);

impl<'de> Deserialize<'de> for TextBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = TextBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a delta")
    }

    fn visit_bool<E>(self, _: bool) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_unit<E>(self) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_str<E>(self, text: &str) -> Result<TextBytes, E> {
        Ok(TextBytes(text.len() as u64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<TextBytes, A::Error> {
        let mut bytes = 0_u64;
        while let Some(TextBytes(more)) = values.next_element()? {
            bytes = bytes.saturating_add(more);
        }
        Ok(TextBytes(bytes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<TextBytes, A::Error> {
        let mut bytes = 0_u64;
        while let Some(Word(name)) = members.next_key()? {
            if matches!(&*name, "role" | "type" | "id") {
                members.next_value::<IgnoredAny>()?;
            } else {
                let TextBytes(more) = members.next_value()?;
                bytes = bytes.saturating_add(more);
            }
        }
        Ok(TextBytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_counted_wherever_it_is_and_words_that_name_are_not() {
        for (delta, bytes) in [
            (r#""Hello""#, 5),
            (r#"{"role":"assistant","content":"Hel\u006co"}"#, 5),
            (r#"{"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#, 3),
            (r#"{"content":null,"index":7,"score":0.5,"last":true}"#, 0),
        ] {
            assert_eq!(serde_json::from_str::<TextBytes>(delta).unwrap().0, bytes, "{delta}");
        }
    }
}
