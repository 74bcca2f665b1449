//! Has a small schema that takes for ever to check: each definition asks the next one twice.

use std::fmt::Write;

use plain_policy::{Description, Guest, description};

struct SchemaBomb;

impl Guest for SchemaBomb {
    fn describe() -> Description {
        let mut definitions = String::new();
        for number in 0..64 {
            let next = format!(r##"{{ "$ref": "#/$defs/{}" }}"##, number + 1);
            let _ = write!(definitions, r#""{number}": {{ "anyOf": [{next}, {next}] }}, "#);
        }
        let configuration_schema = format!(r##"{{ "$ref": "#/$defs/0", "$defs": {{ {definitions} "64": false }} }}"##);
        Description { configuration_schema, ..description() }
    }
}

plain_policy::export!(SchemaBomb as budget);
