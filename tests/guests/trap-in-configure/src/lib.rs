//! Traps when it is configured.

use plain_policy::Guest;

struct TrapInConfigure;

impl Guest for TrapInConfigure {
    fn configure(_: &str) -> Result<(), String> {
        core::arch::wasm32::unreachable()
    }
}

plain_policy::export!(TrapInConfigure as budget);
