//! Returns a string of eight megabytes.

use plain_policy::{Description, Guest, description};

struct HugeString;

impl Guest for HugeString {
    fn describe() -> Description {
        Description { summary: "x".repeat(8 << 20), ..description() }
    }
}

plain_policy::export!(HugeString as budget);
