//! What a decision's cost is compared with: a bare call of a core function, in an engine like the one that runs
//! policies, and the decision that every bench of this project measures.
//!
//! Nothing here is used to decide. It lives beside the engine because only this crate knows wasmtime.

mod measured;

use tollgate_core::Dispatch;
use tollgate_core::config::Limits;
use wasmtime::{Module, Store, TypedFunc};

use crate::engine::{Engine, EngineError};

pub use measured::{MeasuredDecision, MeasuredError, measured_configuration};

/// Ten flat scalars, as many as the shortest facts of a policy have.
pub type Scalars = (u64, u32, u32, u32, u32, u32, u64, u64, u64, u64);

/// An engine with the configuration of the one that runs policies: fuel, epochs, pooling allocator.
pub struct BareEngine {
    engine: Engine,
    module: Module,
}

/// A core function of one instance, called as directly as wasmtime's safe interface allows: the floor under
/// every policy call.
pub struct CoreCall {
    store: Store<()>,
    function: TypedFunc<Scalars, u64>,
    /// Its ticker moves the epoch that the call checks.
    _engine: Engine,
}

/// A bare call that failed, or an engine that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The call, or what leads up to it.
    #[error("the bare call failed: {0}")]
    Call(wasmtime::Error),
}

impl BareEngine {
    /// An engine within the limits that policies have where nothing is configured.
    ///
    /// # Errors
    /// When there is no engine.
    pub fn new() -> Result<Self, ControlError> {
        let engine = Engine::new(Limits::default())?;
        let module = Module::from_binary(engine.wasmtime(), SUM).map_err(ControlError::Call)?;
        Ok(Self { engine, module })
    }

    /// A new instance in a store of its own, with fuel and a deadline that last.
    ///
    /// # Errors
    /// When it cannot be instantiated.
    pub fn core_call(&self) -> Result<CoreCall, ControlError> {
        let mut store = Store::new(self.engine.wasmtime(), ());
        store.set_epoch_deadline(u64::MAX >> 1);
        let mut function = || -> wasmtime::Result<_> {
            store.set_fuel(u64::MAX >> 1)?;
            let instance = wasmtime::Instance::new(&mut store, &self.module, &[])?;
            instance.get_typed_func(&mut store, "evaluate")
        };
        let function = function().map_err(ControlError::Call)?;
        Ok(CoreCall { store, function, _engine: self.engine.clone() })
    }
}

impl CoreCall {
    /// Calls the function: the sum of its arguments comes back.
    ///
    /// # Errors
    /// When the fuel of trillions of calls is used up.
    #[inline]
    pub fn call(&mut self, scalars: Scalars) -> Result<u64, ControlError> {
        let sum = self.function.call(&mut self.store, scalars);
        sum.map_err(ControlError::Call)
    }
}

/// Ten facts of a dispatch that need no conversion.
#[must_use]
pub const fn scalars(dispatch: &Dispatch) -> Scalars {
    (
        dispatch.now_ms,
        dispatch.waited_ms,
        dispatch.task_type.as_u32(),
        dispatch.stage.as_u32(),
        dispatch.attempts.failed,
        dispatch.spending.finished_runs,
        dispatch.spending.run_cost.as_u64(),
        dispatch.spending.run_per_minute.as_u64(),
        dispatch.spending.scope_per_minute.as_u64(),
        dispatch.spending.task_type_p95.as_u64(),
    )
}

/// A module of one function, written out since no assembler is a dependency:
///
/// ```wat
/// (func (export "evaluate") (param i64 i32 i32 i32 i32 i32 i64 i64 i64 i64) (result i64)
///   local.get 0
///   local.get 1 i64.extend_i32_u i64.add  ;; likewise 2 to 5
///   local.get 6 i64.add)                  ;; likewise 7 to 9
/// ```
#[rustfmt::skip]
const SUM: &[u8] = &[
    // Magic and version.
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    // Types: the signature.
    0x01, 0x0f, 0x01, 0x60,
    0x0a, 0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7e, 0x7e, 0x7e, 0x7e,
    0x01, 0x7e,
    // Functions: one of that type.
    0x03, 0x02, 0x01, 0x00,
    // Exports: it is `evaluate`.
    0x07, 0x0c, 0x01, 0x08, b'e', b'v', b'a', b'l', b'u', b'a', b't', b'e', 0x00, 0x00,
    // Code: no locals, then the sum.
    0x0a, 0x26, 0x01, 0x24, 0x00,
    0x20, 0x00,
    0x20, 0x01, 0xad, 0x7c, 0x20, 0x02, 0xad, 0x7c, 0x20, 0x03, 0xad, 0x7c,
    0x20, 0x04, 0xad, 0x7c, 0x20, 0x05, 0xad, 0x7c,
    0x20, 0x06, 0x7c, 0x20, 0x07, 0x7c, 0x20, 0x08, 0x7c, 0x20, 0x09, 0x7c,
    0x0b,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_call_reads_every_scalar() -> Result<(), ControlError> {
        let engine = BareEngine::new()?;
        let mut call = engine.core_call()?;
        let sum = call.call((1, 2, 4, 8, 16, 32, 64, 128, 256, 512))?;
        assert_eq!(sum, 1_023);
        let sum = call.call((0, u32::MAX, 0, 0, 0, 0, 0, 0, 0, 1 << 40))?;
        assert_eq!(sum, u64::from(u32::MAX) + (1 << 40));
        Ok(())
    }
}
