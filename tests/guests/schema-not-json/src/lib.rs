//! Describes its configuration with something that is not JSON.

use plain_policy::{Description, Guest, description};

struct SchemaNotJson;

impl Guest for SchemaNotJson {
    fn describe() -> Description {
        Description { configuration_schema: "type: object".to_owned(), ..description() }
    }
}

plain_policy::export!(SchemaNotJson as budget);
