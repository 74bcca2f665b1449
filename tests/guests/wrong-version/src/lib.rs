//! Was built for a track of the contract that does not exist yet.

wit_bindgen::generate!({
    inline: "
        package tollgate:policy@0.2.0;

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

struct WrongVersion;

impl plugin::Guest for WrongVersion {
    fn describe() -> String {
        "from the future".to_owned()
    }

    fn configure(_json: String) -> Result<(), String> {
        Ok(())
    }
}

impl budget::Guest for WrongVersion {
    fn evaluate(_estimated_cost: u64) -> bool {
        true
    }
}

export!(WrongVersion);
