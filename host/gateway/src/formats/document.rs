//! A JSON object of a caller, of which single members are read and replaced. Every byte that need not change stays as it
//! was sent: numbers keep their digits, members their order, and what the gateway has never heard of passes through.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The most members of the outermost object. Providers know some forty.
const MAX_MEMBERS: usize = 256;

/// As many as most objects have, or a few less.
const EXPECTED_MEMBERS: usize = 8;

/// The outermost object of a body.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    source: Bytes,
    members: Vec<(String, Range<usize>)>,
}

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the body is not a JSON object: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the body has `{name}` twice: a provider could read the other one, so send it once")]
    Twice { name: String },
    #[error("the body has more than {MAX_MEMBERS} members")]
    TooMany,
}

/// The members of an object, each as it is written.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; nothing where it is none.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// A member as it is written; of one that is there twice, the last. One that is `null` is as if it were not there.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().rev().find(|(member, _)| member == name)?;
        Some(value.get()).filter(|text| *text != "null")
    }

    /// A member as a value of that kind; nothing where it is of another.
    pub(super) fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.raw(name)?).ok()
    }
}

impl Document {
    /// Reads the outermost object. A member that is there twice is refused: which one counts differs between readers, and a
    /// decision about one model must not send another.
    pub(crate) fn parse(source: Bytes) -> Result<Self, DocumentError> {
        let Members(found) = serde_json::from_slice(&source)?;
        if found.len() > MAX_MEMBERS {
            return Err(DocumentError::TooMany);
        }
        let start = source.as_ptr().addr();
        let mut members: Vec<(String, Range<usize>)> = Vec::with_capacity(found.len());
        for (name, value) in found {
            if members.iter().any(|(other, _)| *other == name) {
                return Err(DocumentError::Twice { name: name.into_owned() });
            }
            // The value is a part of the source, so this is where it begins.
            let from = value.get().as_ptr().addr() - start;
            members.push((name.into_owned(), from..from + value.get().len()));
        }
        Ok(Self { source, members })
    }

    /// A member as it was sent.
    pub(crate) fn raw(&self, name: &str) -> Option<&[u8]> {
        let (_, range) = self.members.iter().find(|(member, _)| member == name)?;
        self.source.get(range.clone())
    }

    /// A member as a value; nothing where it is absent or `null`.
    pub(crate) fn read<'a, T: serde::Deserialize<'a>>(&'a self, name: &str) -> Result<Option<T>, serde_json::Error> {
        self.raw(name).map_or(Ok(None), serde_json::from_slice::<Option<T>>)
    }

    /// The whole body as it was sent.
    pub(crate) const fn source(&self) -> &Bytes {
        &self.source
    }

    /// The body with members replaced or added, each once; the very bytes that were sent where there are none.
    pub(crate) fn with(&self, edits: &[(&str, String)]) -> Bytes {
        if edits.is_empty() {
            return self.source.clone();
        }
        let mut out = Vec::with_capacity(self.source.len() + 64);
        let open = self.source.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
        out.extend_from_slice(&self.source[..open]);
        let known = |name: &str| self.members.iter().any(|(member, _)| member == name);
        let mut added = edits.iter().filter(|(name, _)| !known(name)).peekable();
        while let Some((name, value)) = added.next() {
            out.extend_from_slice(format!("{}:{value}", serde_json::Value::from(*name)).as_bytes());
            if added.peek().is_some() || !self.members.is_empty() {
                out.push(b',');
            }
        }
        let mut copied = open;
        for (name, range) in &self.members {
            if let Some((_, value)) = edits.iter().find(|(edited, _)| edited == name) {
                out.extend_from_slice(&self.source[copied..range.start]);
                out.extend_from_slice(value.as_bytes());
                copied = range.end;
            }
        }
        out.extend_from_slice(&self.source[copied..]);
        out.into()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(EXPECTED_MEMBERS);
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    members.push((name.0, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Members)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parse(text: &str) -> Result<Document, DocumentError> {
        Document::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn what_need_not_change_keeps_its_bytes() {
        let text =
            "{ \"temperature\" : 1.50, \"model\":\"a\" ,\"seed\":12345678901234567890123,\n\"x\":{\"y\":[1 , 2]} }";
        let document = parse(text).unwrap();
        assert_eq!(document.with(&[]), text, "without a change it is what was sent");
        let changed = document.with(&[("model", json!("b").to_string()), ("max_tokens", json!(7).to_string())]);
        let expected = text.replace("\"a\"", "\"b\"").replacen('{', "{\"max_tokens\":7,", 1);
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        for text in [r#"{"model":"cheap","model":"dear"}"#, r#"{"model":"cheap","m\u006fdel":"dear"}"#] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains("`model` twice"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "7", "{", "{\"a\":}", "{\"a\":1} 2", "\u{feff}{}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let many: String = (0..=MAX_MEMBERS).map(|n| format!("\"m{n}\":0,")).collect();
        let refused = parse(&format!("{{{}}}", many.trim_end_matches(','))).unwrap_err();
        assert!(matches!(refused, DocumentError::TooMany));
    }

    #[test]
    fn an_empty_object_takes_a_member() {
        let changed = parse(" { } ").unwrap().with(&[("model", json!("b").to_string())]);
        assert_eq!(serde_json::from_slice::<Value>(&changed).unwrap(), json!({"model": "b"}));
    }

    proptest! {
        #[test]
        fn a_change_changes_one_member(
            members in proptest::collection::btree_map("[a-z\"\\\\é]{1,6}", any::<i64>(), 0..8), pretty: bool, at in 0_usize..9,
        ) {
            let before = json!(members);
            let text = if pretty { serde_json::to_string_pretty(&before).unwrap() } else { before.to_string() };
            let name = members.keys().nth(at).cloned().unwrap_or_else(|| "new".to_owned());
            let changed = parse(&text).unwrap().with(&[(&name, json!("changed").to_string())]);
            let mut expected = before;
            expected[&name] = json!("changed");
            prop_assert_eq!(serde_json::from_slice::<Value>(&changed).unwrap(), expected);
        }
    }
}
