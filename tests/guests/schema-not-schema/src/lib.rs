//! Describes its configuration with JSON that is no schema.

use plain_policy::{Description, Guest, description};

struct SchemaNotSchema;

impl Guest for SchemaNotSchema {
    fn describe() -> Description {
        Description { configuration_schema: r#"{ "type": "confection" }"#.to_owned(), ..description() }
    }
}

plain_policy::export!(SchemaNotSchema as budget);
