//! Uses the names of the contract with types of its own.

wit_bindgen::generate!({
    inline: "
        package tollgate:policy@0.1.0;

        interface plugin {
            describe: func() -> string;
            configure: func(json: string) -> result<_, string>;
        }

        interface budget {
            evaluate: func(estimated-cost: u64) -> bool;
        }

        world budget-policy {
            export plugin;
            export budget;
        }
    ",
});

use exports::tollgate::policy::{budget, plugin};

struct WrongTypes;

impl plugin::Guest for WrongTypes {
    fn describe() -> String {
        "a budget of another kind".to_owned()
    }

    fn configure(_json: String) -> Result<(), String> {
        Ok(())
    }
}

impl budget::Guest for WrongTypes {
    fn evaluate(_estimated_cost: u64) -> bool {
        true
    }
}

export!(WrongTypes);
