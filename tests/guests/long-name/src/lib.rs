//! Interns a name of a hundred thousand bytes.

use plain_policy::{Guest, facts};

struct LongName;

impl Guest for LongName {
    fn configure(_: &str) -> Result<(), String> {
        facts::intern(&"x".repeat(100_000));
        Ok(())
    }
}

plain_policy::export!(LongName as budget);
