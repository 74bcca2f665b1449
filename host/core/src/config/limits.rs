//! What bounds a plugin.

use serde::Deserialize;

use crate::Milliseconds;

/// What one evaluation of a plugin may use; what exceeds it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Fuel: about one for each wasm instruction. Ten million is ten thousand times what a shipped policy uses.
    pub fuel: u64,
    /// Fuel for `describe` and `configure`, which parse and build tables.
    pub configure_fuel: u64,
    /// Wall clock. 50 milliseconds, since fuel stops a guest long before.
    pub deadline: Milliseconds,
    /// Linear memory in bytes. 16 MiB.
    pub memory_bytes: usize,
    /// Elements of all its tables.
    pub table_elements: usize,
    /// The guest's stack in bytes. 512 KiB. It is a part of the stack of the thread that decides, which has to be larger.
    pub stack_bytes: usize,
    /// The longest string or list, in bytes, that a plugin may return.
    pub result_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            configure_fuel: 1_000_000_000,
            deadline: Milliseconds::new(50),
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            stack_bytes: 512 << 10,
            result_bytes: 1 << 20,
        }
    }
}
