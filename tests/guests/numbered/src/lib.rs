//! Says the number it is configured with, so that a verdict tells which configuration gave it. Has failures counted.

use std::sync::atomic::{AtomicU32, Ordering};

use plain_policy::{
    BudgetFacts, BudgetVerdict, Description, Guest, RetryCeilingFacts, RetryCeilingVerdict, counter, description,
};

struct Numbered;

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Guest for Numbered {
    fn describe() -> Description {
        let configuration_schema =
            r#"{ "type": "object", "required": ["number"], "properties": { "number": { "type": "integer" } } }"#;
        Description {
            name: "numbered".to_owned(),
            configuration_schema: configuration_schema.to_owned(),
            counters: vec![counter("failures".to_owned())],
            ..description()
        }
    }

    fn configure(json: &str) -> Result<(), String> {
        let digits: String = json.chars().filter(char::is_ascii_digit).collect();
        let number = digits.parse().map_err(|_| format!("`{json}` has no number"))?;
        NUMBER.store(number, Ordering::Relaxed);
        Ok(())
    }

    fn retry_ceiling(_: RetryCeilingFacts) -> RetryCeilingVerdict {
        RetryCeilingVerdict::BackOff(NUMBER.load(Ordering::Relaxed))
    }

    fn budget(_: BudgetFacts) -> BudgetVerdict {
        BudgetVerdict::Slow(NUMBER.load(Ordering::Relaxed))
    }
}

plain_policy::export!(Numbered as retry_ceiling, budget);
