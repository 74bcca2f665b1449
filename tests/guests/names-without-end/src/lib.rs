//! Interns other names in every instance, until the table that all plugins share is full.

use plain_policy::{Guest, facts};

struct NamesWithoutEnd;

impl Guest for NamesWithoutEnd {
    /// The number of a new symbol tells how many names there were: what one instance learned is handed on to the
    /// next through the host's own table.
    fn configure(_: &str) -> Result<(), String> {
        let mut known = 1;
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
