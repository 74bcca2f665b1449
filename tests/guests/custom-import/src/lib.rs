//! Sends what it sees to an interface that its author would like the host to have.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

wit_bindgen::generate!({
    inline: "
        package tollgate:custom-import;

        world extra {
            import acme:telemetry/log;
        }

        package acme:telemetry {
            interface log {
                line: func(text: string);
            }
        }
    ",
    generate_all,
});

struct CustomImport;

impl Guest for CustomImport {
    fn budget(facts: BudgetFacts) -> BudgetVerdict {
        acme::telemetry::log::line(&format!("{} nanodollars", facts.estimated_cost));
        BudgetVerdict::Proceed
    }
}

plain_policy::export!(CustomImport as budget);
