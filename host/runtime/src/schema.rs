//! How much work a plugin's configuration schema can make of itself. It comes from the plugin, which is not
//! trusted, and checking it is bounded by no fuel: sixty definitions that each refer to the next one twice are
//! small to write and take for ever to follow.

use std::collections::HashMap;

use serde_json::Value;

/// The most subschemas there are once every reference is written out; the shipped policies have some hundreds.
const MOST_SUBSCHEMAS: u64 = 100_000;

/// Refuses a schema that grows past its bound when its references are followed, or that refers to anything but
/// its own definitions by their place. A definition that refers to itself is fine: the configuration, which is the
/// operator's, says how often it is followed.
pub(crate) fn check_size(schema: &Value) -> Result<(), String> {
    let mut sizes = Sizes { root: schema, known: HashMap::new() };
    match sizes.of(schema)? {
        0..=MOST_SUBSCHEMAS => Ok(()),
        _ => {
            Err(format!("a configuration schema of more than {MOST_SUBSCHEMAS} parts once its references are followed"))
        }
    }
}

struct Sizes<'s> {
    root: &'s Value,
    /// What each reference leads to; nothing while it is being followed.
    known: HashMap<&'s str, Option<u64>>,
}

impl<'s> Sizes<'s> {
    fn of(&mut self, schema: &'s Value) -> Result<u64, String> {
        let mut size = 1_u64;
        match schema {
            Value::Array(parts) => {
                for part in parts {
                    size = size.saturating_add(self.of(part)?);
                }
            }
            Value::Object(keys) => {
                for (key, value) in keys {
                    let more = match (key.as_str(), value) {
                        ("$dynamicRef" | "$recursiveRef", _) => {
                            return Err(format!("a configuration schema with `{key}`: use `$ref`"));
                        }
                        // It would be what references below it are relative to.
                        ("$id", Value::String(_)) if !std::ptr::eq(schema, self.root) => {
                            return Err("a configuration schema with an `$id` inside: leave it out".to_owned());
                        }
                        ("$ref", Value::String(reference)) => self.behind(reference)?,
                        _ => self.of(value)?,
                    };
                    size = size.saturating_add(more);
                }
            }
            _ => {}
        }
        Ok(size)
    }

    fn behind(&mut self, reference: &'s str) -> Result<u64, String> {
        if let Some(known) = self.known.get(reference) {
            return Ok(known.unwrap_or(1));
        }
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let Some(target) = target else {
            let reference = crate::instance::one_line(reference);
            return Err(format!(
                "a configuration schema that refers to `{reference}`: refer to its own definitions, as in `#/$defs/limit`"
            ));
        };
        self.known.insert(reference, None);
        let size = self.of(target)?;
        self.known.insert(reference, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ordinary_schemas_pass() {
        let tree = json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": { "type": "object", "properties": { "left": { "$ref": "#/$defs/node" } } } }
        });
        for schema in [json!(true), json!({}), json!({ "$ref": "#" }), tree] {
            assert_eq!(check_size(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn references_that_double_are_counted_and_not_followed() {
        let mut definitions = serde_json::Map::new();
        for number in 0..64 {
            let next = json!({ "$ref": format!("#/$defs/{}", number + 1) });
            definitions.insert(number.to_string(), json!({ "anyOf": [next, next] }));
        }
        definitions.insert("64".to_owned(), json!(false));
        let schema = json!({ "$ref": "#/$defs/0", "$defs": definitions });
        assert!(check_size(&schema).is_err_and(|error| error.contains("100000 parts")));
    }

    #[test]
    fn references_elsewhere_are_refused() {
        for reference in ["http://localhost/schema.json", "other.json", "#anchor", "#/$defs/missing"] {
            assert!(check_size(&json!({ "items": { "$ref": reference } })).is_err(), "{reference}");
        }
        assert!(check_size(&json!({ "$dynamicRef": "#x" })).is_err());
        assert!(check_size(&json!({ "items": { "$id": "other", "$ref": "#" } })).is_err());
    }
}
