//! Wants to read a thousand tags.

use plain_policy::{Description, Guest, description};

struct TooManyTags;

impl Guest for TooManyTags {
    fn describe() -> Description {
        Description { tags: (0..1_000).map(|number| format!("tag {number}")).collect(), ..description() }
    }
}

plain_policy::export!(TooManyTags as budget);
