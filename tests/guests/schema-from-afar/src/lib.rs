//! Has a schema that refers to another, to be fetched from somewhere.

use plain_policy::{Description, Guest, description};

struct SchemaFromAfar;

impl Guest for SchemaFromAfar {
    fn describe() -> Description {
        let configuration_schema = r#"{ "$ref": "http://localhost:9/schema.json" }"#.to_owned();
        Description { configuration_schema, ..description() }
    }
}

plain_policy::export!(SchemaFromAfar as budget);
