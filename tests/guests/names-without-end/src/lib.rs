//! Interns other names in every instance, until the table that all plugins share is full.

use plain_policy::{Guest, facts};

struct NamesWithoutEnd;

impl Guest for NamesWithoutEnd {
    /// The numbers behind that of its first name tell how many names there were: what one instance learned is handed on to
    /// the next through the host's own table. Numbers before it may have gaps, where a configuration was refused.
    fn configure(_: &str) -> Result<(), String> {
        let mut known = facts::intern("filler");
        while facts::resolve(known).is_some() {
            known += 1;
        }
        for number in 0..4_000 {
            facts::intern(&format!("filler {}", known + number));
        }
        Ok(())
    }
}

plain_policy::export!(NamesWithoutEnd as budget);
