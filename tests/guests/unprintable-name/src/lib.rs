//! Has a name that would take over a terminal or a log.

use plain_policy::{Description, Guest, description};

struct UnprintableName;

impl Guest for UnprintableName {
    fn describe() -> Description {
        Description { name: "fine\n\u{1b}[2Jerror: not fine".to_owned(), ..description() }
    }
}

plain_policy::export!(UnprintableName as budget);
