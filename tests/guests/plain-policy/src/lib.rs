//! The contract without the SDK, whose types would not let a guest misbehave. A guest overrides the one answer it
//! is hostile in; all others are those of a policy that has nothing against anything.
//!
//! By default a guest misbehaves whenever it is asked. Configured with `only_marked = true` it passes the loader's
//! probe and misbehaves in service, on dispatches that carry the [`MARK`].

pub mod lent;

use std::sync::atomic::{AtomicBool, Ordering};

/// Bindings of one part of the contract. Worlds of one interface each, so that a guest of several kinds has its
/// `plugin` interface once.
macro_rules! parts {
    ($($part:ident { $inline:literal, $world:literal })+) => {$(
        #[allow(missing_docs, reason = "generated")]
        pub mod $part {
            wit_bindgen::generate!({
                inline: $inline,
                path: "../../../wit",
                world: $world,
                with: { "tollgate:policy/types@0.1.0": crate::types },
                pub_export_macro: true,
                export_macro_name: "export_part",
                generate_all,
            });
        }
    )+};
}

/// The types that all interfaces share.
pub mod types {
    wit_bindgen::generate!({
        inline: "package tollgate:plain-types; world types { import tollgate:policy/types@0.1.0; }",
        path: "../../../wit",
        world: "tollgate:plain-types/types",
        generate_unused_types: true,
        generate_all,
    });
    pub use tollgate::policy::types::*;
}

parts! {
    plugin {
        "package tollgate:plain-plugin; world plain-plugin { import tollgate:policy/facts@0.1.0; export tollgate:policy/plugin@0.1.0; }",
        "tollgate:plain-plugin/plain-plugin"
    }
    kill_switch {
        "package tollgate:plain-kill-switch; world plain-kill-switch { export tollgate:policy/kill-switch@0.1.0; }",
        "tollgate:plain-kill-switch/plain-kill-switch"
    }
    retry_ceiling {
        "package tollgate:plain-retry-ceiling; world plain-retry-ceiling { export tollgate:policy/retry-ceiling@0.1.0; }",
        "tollgate:plain-retry-ceiling/plain-retry-ceiling"
    }
    routing {
        "package tollgate:plain-routing; world plain-routing { export tollgate:policy/routing@0.1.0; }",
        "tollgate:plain-routing/plain-routing"
    }
    budget {
        "package tollgate:plain-budget; world plain-budget { export tollgate:policy/budget@0.1.0; }",
        "tollgate:plain-budget/plain-budget"
    }
}

pub use budget::exports::tollgate::policy::budget::{Facts as BudgetFacts, Verdict as BudgetVerdict};
pub use kill_switch::exports::tollgate::policy::kill_switch::{
    Cover, Facts as KillSwitchFacts, Trip, Verdict as KillSwitchVerdict,
};
pub use plugin::exports::tollgate::policy::plugin::{Counter, CounterEvent, CounterScope, Description};
pub use plugin::tollgate::policy::facts;
pub use retry_ceiling::exports::tollgate::policy::retry_ceiling::{
    Facts as RetryCeilingFacts, Verdict as RetryCeilingVerdict,
};
pub use routing::exports::tollgate::policy::routing::{Facts as RoutingFacts, Verdict as RoutingVerdict};

/// A number of tokens that no probe and no sane dispatch carries.
pub const MARK: u64 = 666_000_666;

/// Whether only marked dispatches are met with hostility.
static ONLY_MARKED: AtomicBool = AtomicBool::new(false);

/// A guest: whatever it does not override behaves.
pub trait Guest: 'static {
    /// What it says about itself.
    fn describe() -> Description {
        description()
    }

    /// What it does with its configuration.
    fn configure(_json: &str) -> Result<(), String> {
        Ok(())
    }

    /// As a kill switch. The contract tells this kind no number of tokens: what the run costs carries the mark.
    fn kill_switch(_facts: KillSwitchFacts) -> KillSwitchVerdict {
        KillSwitchVerdict::Proceed
    }

    /// As a retry ceiling, on a dispatch whose input carries the mark or on any.
    fn retry_ceiling(_facts: RetryCeilingFacts) -> RetryCeilingVerdict {
        RetryCeilingVerdict::Proceed
    }

    /// As a routing policy, likewise.
    fn routing(_facts: RoutingFacts) -> RoutingVerdict {
        RoutingVerdict::NoOpinion
    }

    /// As a budget, on a dispatch whose output carries the mark or on any.
    fn budget(_facts: BudgetFacts) -> BudgetVerdict {
        BudgetVerdict::Proceed
    }
}

/// A description that nothing is wrong with.
pub fn description() -> Description {
    Description {
        name: "hostile".to_owned(),
        version: "0.1.0".to_owned(),
        summary: "misbehaves in one way".to_owned(),
        configuration_schema: r#"{
            "type": "object",
            "properties": { "only_marked": { "type": "boolean" } },
            "additionalProperties": false
        }"#
        .to_owned(),
        tags: Vec::new(),
        counters: Vec::new(),
    }
}

/// A counter of that name.
pub fn counter(name: String) -> Counter {
    Counter { name, event: CounterEvent::Failure, by: CounterScope::Task, window_seconds: 0 }
}

/// Whether a dispatch with this number is met with hostility.
pub fn hostile_to(mark: u64) -> bool {
    mark == MARK || !ONLY_MARKED.load(Ordering::Relaxed)
}

impl<G: Guest> plugin::exports::tollgate::policy::plugin::Guest for G {
    fn describe() -> Description {
        G::describe()
    }

    fn configure(json: String) -> Result<(), String> {
        ONLY_MARKED.store(json.contains(r#""only_marked":true"#), Ordering::Relaxed);
        G::configure(&json)
    }
}

macro_rules! kinds {
    ($($kind:ident: $facts:ident -> $verdict:ident, $mark:ident, else $behaves:ident;)+) => {$(
        impl<G: Guest> $kind::exports::tollgate::policy::$kind::Guest for G {
            fn evaluate(facts: $facts) -> $verdict {
                if hostile_to(facts.$mark) { G::$kind(facts) } else { $verdict::$behaves }
            }
        }
    )+};
}

kinds! {
    kill_switch: KillSwitchFacts -> KillSwitchVerdict, run_cost, else Proceed;
    retry_ceiling: RetryCeilingFacts -> RetryCeilingVerdict, input_tokens, else Proceed;
    routing: RoutingFacts -> RoutingVerdict, input_tokens, else NoOpinion;
    budget: BudgetFacts -> BudgetVerdict, output_tokens, else Proceed;
}

/// Exports a guest as a plugin of the kinds that are named.
#[macro_export]
macro_rules! export {
    ($guest:ident as $($kind:ident),*) => {
        $crate::plugin::export_part!($guest with_types_in $crate::plugin);
        $($crate::$kind::export_part!($guest with_types_in $crate::$kind);)*
        $($crate::lend!($guest $kind);)*
    };
    (only the component of $guest:ident as $($kind:ident),*) => {
        $crate::plugin::export_part!($guest with_types_in $crate::plugin);
        $($crate::$kind::export_part!($guest with_types_in $crate::$kind);)*
    };
}
