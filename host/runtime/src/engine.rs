//! The one owner of wasmtime's engine: the pooling allocator, the epoch ticker and the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tollgate_core::config::Limits;
use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreLimitsBuilder};

use crate::state::State;
use crate::{bindings, lent};

/// Instances alive at once, of all policies, threads and generations together. Each reserves address space,
/// not memory.
const MAX_INSTANCES: u32 = 1_000;
/// Core instances, memories and tables of one component: a core module and its adapters.
const MAX_PARTS: u32 = 8;
/// The grain of deadlines. An idle host wakes up a hundred times a second for it.
const TICK: Duration = Duration::from_millis(10);

/// Compiles and runs plugins within their limits. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    core_linker: wasmtime::Linker<State>,
    limits: Limits,
    ticker: Ticker,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the settings or cannot reserve address space.
    #[error("cannot start the WebAssembly engine: {0}")]
    Settings(wasmtime::Error),
    /// Without its thread no deadline would ever pass.
    #[error("cannot start the thread that keeps deadlines: {0}")]
    Ticker(std::io::Error),
}

impl Engine {
    pub(crate) fn new(limits: Limits) -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(&config(&limits)).map_err(EngineError::Settings)?;
        let mut linker = Linker::new(&engine);
        bindings::facts::add_to_linker::<_, State>(&mut linker, |state| state).map_err(EngineError::Settings)?;
        let mut core_linker = wasmtime::Linker::new(&engine);
        lent::add_to_linker(&mut core_linker).map_err(EngineError::Settings)?;
        let ticker = Ticker::start(engine.clone()).map_err(EngineError::Ticker)?;
        Ok(Self { inner: Arc::new(Inner { engine, linker, core_linker, limits, ticker }) })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.engine
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.inner.linker
    }

    /// For modules that lend facts: the same import, for a core module.
    pub(crate) fn core_linker(&self) -> &wasmtime::Linker<State> {
        &self.inner.core_linker
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// A store whose guest has the stated memory and tables, and nothing else yet: no fuel, no deadline.
    pub(crate) fn store(&self, state: impl FnOnce(wasmtime::StoreLimits) -> State) -> Store<State> {
        let limits = self.limits();
        let bounds =
            StoreLimitsBuilder::new().memory_size(limits.memory_bytes).table_elements(limits.table_elements).build();
        let mut store = Store::new(&self.inner.engine, state(bounds));
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(limits.result_bytes);
        store.epoch_deadline_trap();
        store
    }

    /// The deadline in ticks from now; the tick under way counts as none.
    pub(crate) fn deadline_ticks(&self) -> u64 {
        let tick_ms = u64::try_from(TICK.as_millis()).unwrap_or(u64::MAX).max(1);
        self.inner.limits.deadline.as_u64().div_ceil(tick_ms).saturating_add(1)
    }

    /// A deadline for `describe` and `configure`, which run off the hot path.
    pub(crate) fn configure_deadline_ticks(&self) -> u64 {
        self.deadline_ticks().saturating_mul(100)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ticker.stop();
    }
}

fn config(limits: &Limits) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_INSTANCES)
        .total_core_instances(MAX_INSTANCES.saturating_mul(4))
        .total_memories(MAX_INSTANCES)
        .total_tables(MAX_INSTANCES.saturating_mul(2))
        .max_core_instances_per_component(MAX_PARTS)
        .max_memories_per_component(1)
        .max_tables_per_component(MAX_PARTS)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        // A trap is told by its kind; nobody reads a backtrace of a stripped guest.
        .wasm_backtrace_max_frames(None);
    config
}

/// Moves the engine's epoch on, in a thread that ends with the engine.
struct Ticker {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let tick = move || {
            while !stop.load(Ordering::Relaxed) {
                thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        };
        let thread = thread::Builder::new().name("tollgate-epoch".to_owned()).spawn(tick)?;
        Ok(Self { stopped, thread: Some(thread) })
    }

    fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A ticker that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}
