//! Has a schema that anything passes, and refuses what passed it.

use plain_policy::{Description, Guest, description};

struct LyingSchema;

impl Guest for LyingSchema {
    fn describe() -> Description {
        Description { configuration_schema: "true".to_owned(), ..description() }
    }

    fn configure(_: &str) -> Result<(), String> {
        Err("`ceiling` is missing".to_owned())
    }
}

plain_policy::export!(LyingSchema as budget);
