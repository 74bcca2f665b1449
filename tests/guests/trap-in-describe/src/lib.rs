//! Traps when it is asked what it is.

use plain_policy::{Description, Guest};

struct TrapInDescribe;

impl Guest for TrapInDescribe {
    fn describe() -> Description {
        core::arch::wasm32::unreachable()
    }
}

plain_policy::export!(TrapInDescribe as budget);
