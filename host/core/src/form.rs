//! Reading what people write, JSON or TOML, so that a mistake of form is told in one line: where it stands, which
//! field it is, and what is allowed there. What a document means is checked by whoever asked for it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What some editors put before a text; it says nothing.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A mistake of form, such as "line 6, column 8: `model.tier`: unknown variant `best`, expected …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters for TOML and in bytes for JSON.
    pub column: usize,
    /// The path of the field, such as `candidates[0].tier`; empty for the document itself.
    pub field: String,
    /// What is wrong with it, without its place.
    pub problem: String,
}

impl FormError {
    /// The field and the problem, for a caller who tells the place in words of its own.
    #[must_use]
    pub fn without_place(&self) -> String {
        if self.field.is_empty() { self.problem.clone() } else { format!("`{}`: {}", self.field, self.problem) }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.without_place())
    }
}

impl std::error::Error for FormError {}

/// Reads one JSON document; a byte order mark before it is passed over.
///
/// # Errors
/// The first mistake of form.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, FormError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize(&mut reader);
    read.map_err(|error| json_error(field(error.path()), error.inner()))
        .and_then(|value| reader.end().map(|()| value).map_err(|error| json_error(String::new(), &error)))
}

/// Reads one TOML document; a byte order mark before it is passed over.
///
/// # Errors
/// The first mistake of form.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, FormError> {
    let text = without_mark(text);
    let reader = toml::Deserializer::parse(text).map_err(|error| toml_error(text, String::new(), &error))?;
    serde_path_to_error::deserialize(reader).map_err(|error| toml_error(text, field(error.path()), error.inner()))
}

/// The path as far as it is known: `?` stands for a field whose name was not read, `.` for the document.
fn field(path: &serde_path_to_error::Path) -> String {
    path.to_string().trim_end_matches(['?', '.']).to_owned()
}

fn json_error(field: String, error: &serde_json::Error) -> FormError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let problem = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
    FormError { line: line.max(1), column: column.max(1), field, problem: reworded(problem, "an object") }
}

pub(crate) fn toml_error(text: &str, field: String, error: &toml::de::Error) -> FormError {
    let (line, column) = place(text, error.span().map_or(0, |span| span.start));
    FormError { line, column, field, problem: reworded(error.message(), "a table") }
}

/// The line and the column, in characters, of a byte; both from 1.
pub(crate) fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let column = before.chars().rev().take_while(|character| *character != '\n').count();
    (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
}

/// A text without the mark that some editors put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// A message in the words of a document instead of those of Rust. Nothing is decided by its text: a message that is
/// worded in another way comes out as it is.
fn reworded(message: &str, structure: &str) -> String {
    let mut message = message.trim_end().replace('\n', "; ");
    if let Some((before, after)) = message.split_once("expected struct ") {
        let rest = after.trim_start_matches(|character: char| character.is_alphanumeric() || character == '_');
        message = format!("{before}expected {structure}{rest}");
    }
    for (rust, plain) in [
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a sequence", "expected a list"),
        ("invalid type: sequence", "invalid type: list"),
        ("expected a map", &format!("expected {structure}")),
        ("expected a boolean", "expected true or false"),
    ] {
        message = message.replace(rust, plain);
    }
    if message.starts_with("duplicate field") {
        message.push_str(": say it once");
    }
    message
}

/// Reads an object and only that: what serde derives for a struct takes a list of its fields' values as well.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// Reads a list of objects.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let values = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|Object(value)| value).collect())
}

/// A value that is written as an object: `from_json::<Object<T>>` refuses a list in its place.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Configuration, DispatchDocument};

    fn dispatch(text: &str) -> String {
        match from_json::<Object<DispatchDocument>>(text.as_bytes()) {
            Ok(_) => "it was read".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_mistake_in_json_names_its_place_its_field_and_what_is_allowed() {
        for (text, says) in [
            ("{", "line 1, column 1: EOF while parsing an object"),
            ("{\n \"colour\": 1}", "line 2, column 9: `colour`: unknown field `colour`, expected one of `now_ms`"),
            (
                r#"{"candidates": [{"model": "a", "backend": "b", "tier": "best"}]}"#,
                "`candidates[0].tier`: unknown variant `best`, expected one of `low`, `middle`, `premium`",
            ),
            (
                r#"{"attempts": {"failed": -1}}"#,
                "`attempts.failed`: invalid value: integer `-1`, expected a whole number",
            ),
            (r#"{"approved": 1}"#, "`approved`: invalid type: integer `1`, expected true or false"),
            (r#"{"stage": "a", "stage": "b"}"#, "duplicate field `stage`: say it once"),
            (r#"{"scopes": {"planet": "x"}}"#, "unknown variant `planet`, expected one of `organisation`, `team`"),
            ("{} {}", "line 1, column 4: trailing characters"),
        ] {
            let said = dispatch(text);
            assert!(said.contains(says), "{text}: {said}");
            assert!(!said.contains("Document") && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        for text in ["[5]", r#"{"spending": [5]}"#, r#"{"attempts": []}"#, r#"{"candidates": [["a", "b"]]}"#] {
            assert!(dispatch(text).contains("expected an object"), "{text}: {}", dispatch(text));
        }
        assert!(dispatch(r#"{"accounts": [["run"]]}"#).contains("`accounts[0]`: invalid type: list"));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(dispatch("\u{feff}{}"), "it was read");
        let table = from_toml::<BTreeMap<String, u32>>("\u{feff}a = 1").map(|table| table["a"]);
        assert_eq!(table, Ok(1));
    }

    #[test]
    fn a_mistake_in_toml_is_one_line() {
        for (text, says) in [
            ("version = 1\nversion = 2", "line 2, column 1: duplicate key"),
            ("version =", "line 1, column 10: "),
            (
                "version = 1\n[limits]\nfuel = \"much\"",
                "line 3, column 8: `limits.fuel`: invalid type: string \"much\", expected a whole number, 0 or more",
            ),
            ("version = 1\nlimits = 3", "line 2, column 10: `limits`: invalid type: integer `3`, expected a table"),
            (
                "version = 1\n[[model]]\nname = \"é\"\ntier = \"best\"",
                "line 4, column 8: `model[0].tier`: unknown variant `best`, expected one of `low`, `middle`, `premium`",
            ),
        ] {
            let said = from_toml::<Configuration>(text).map_or_else(|error| error.to_string(), |_| "read".to_owned());
            assert!(said.starts_with(says), "{text}: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
