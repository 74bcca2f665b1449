//! Refuses any configuration, with a message that would take over a terminal or a log.

use plain_policy::Guest;

struct ConfigurationRefused;

impl Guest for ConfigurationRefused {
    fn configure(_: &str) -> Result<(), String> {
        let line = "not this one\n\u{1b}[2Jpolicy `kill-switch`: loaded\r\n";
        Err(line.repeat(10_000))
    }
}

plain_policy::export!(ConfigurationRefused as budget);
