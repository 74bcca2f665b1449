//! Wants nine counters kept.

use plain_policy::{Description, Guest, counter, description};

struct TooManyCounters;

impl Guest for TooManyCounters {
    fn describe() -> Description {
        let counters = (0..9).map(|number| counter(format!("counter {number}"))).collect();
        Description { counters, ..description() }
    }
}

plain_policy::export!(TooManyCounters as budget);
