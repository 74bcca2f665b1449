//! Calls two counters by the same name.

use plain_policy::{Description, Guest, counter, description};

struct SameCounters;

impl Guest for SameCounters {
    fn describe() -> Description {
        let counters = vec![counter("failures".to_owned()), counter("failures".to_owned())];
        Description { counters, ..description() }
    }
}

plain_policy::export!(SameCounters as budget);
