//! What wasmtime generates from `wit/`. A component exports the kinds it likes, so no world is instantiated as
//! a whole: `everything` names them all, and [`crate::component`] takes the interfaces that are there.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package tollgate:host;

        world everything {
            import tollgate:policy/facts@0.1.0;
            export tollgate:policy/plugin@0.1.0;
            export tollgate:policy/kill-switch@0.1.0;
            export tollgate:policy/retry-ceiling@0.1.0;
            export tollgate:policy/routing@0.1.0;
            export tollgate:policy/budget@0.1.0;
        }
    ",
    world: "tollgate:host/everything",
    imports: { default: trappable },
});

pub use tollgate::policy::types;
/// The words of the contract.
pub use types as words;

pub use exports::tollgate::policy::{budget, kill_switch, plugin, retry_ceiling, routing};
pub use tollgate::policy::facts;
