//! Interns a million names.

use plain_policy::{Guest, facts};

struct MillionNames;

impl Guest for MillionNames {
    fn configure(_: &str) -> Result<(), String> {
        for number in 0..1_000_000 {
            facts::intern(&number.to_string());
        }
        Ok(())
    }
}

plain_policy::export!(MillionNames as budget);
