//! One configured instance of one plugin, in a store of its own, and one evaluation of it within its limits.

use tollgate_core::{EvaluationFailure, PolicyKind, Ruling, Verdict};
use wasmtime::{Store, Trap};

use crate::bindings::plugin;
use crate::canonical::Exports;
use crate::component::{Component, TRACK};
use crate::convert::Moment;
use crate::lent::{LentExports, LentModule};
use crate::state::{Declared, Misuse, Naming, State};

/// After this many evaluations an instance is replaced: whatever a guest keeps to itself does not last.
const RETIRE_AFTER: u32 = 100_000;

/// A configured instance. One that failed is poisoned and has to be dropped.
pub(crate) struct Instance {
    store: Store<State>,
    way: Way,
    fuel_limit: u64,
    deadline_ticks: u64,
    reads_lazy_facts: bool,
    calls: u32,
    /// What the last evaluation failed of. An instance that failed is poisoned.
    failure: Option<wasmtime::Error>,
}

/// How it is called.
#[expect(clippy::large_enum_variant, reason = "an instance has one, and a box would be one more load in each call")]
enum Way {
    Canonical(Exports),
    Lent(LentExports),
}

/// Why there is no instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It could not be instantiated within the limits.
    #[error("it cannot be instantiated: {0}")]
    Instantiate(String),
    /// Its exports have the right names and other types.
    #[error("its types are not those of `tollgate:policy` {TRACK}: {0}; build it against this version's `wit/`")]
    Types(String),
    /// `describe` failed.
    #[error("`describe` failed: {0}")]
    Describe(String),
    /// `configure` failed.
    #[error("`configure` failed: {0}")]
    Configure(String),
    /// The plugin refuses its configuration.
    #[error("it refuses its configuration: {0}")]
    Refused(String),
}

impl Instance {
    /// Instantiates a component, without describing or configuring it.
    pub(crate) fn start(component: &Component, naming: Naming) -> Result<Self, InstanceError> {
        let mut store = patient_store(component, naming)?;
        let instance = component.instance_pre().instantiate(&mut store);
        let instance = instance.map_err(|error| InstanceError::Instantiate(tell(&error)))?;
        let exports = component.load_exports(&mut store, &instance);
        let exports = exports.map_err(|error| InstanceError::Types(tell(&error)))?;
        Ok(Self::new(component, store, Way::Canonical(exports)))
    }

    /// Instantiates what lends the component's facts; it can be configured and evaluated, and not described.
    pub(crate) fn start_lent(component: &Component, lent: &LentModule, naming: Naming) -> Result<Self, InstanceError> {
        let mut store = patient_store(component, naming)?;
        let start = |store: &mut Store<State>| {
            let instance = lent.instance_pre().instantiate(&mut *store)?;
            LentExports::new(store, instance)
        };
        let exports = start(&mut store).map_err(|error| InstanceError::Instantiate(tell(&error)))?;
        Ok(Self::new(component, store, Way::Lent(exports)))
    }

    fn new(component: &Component, store: Store<State>, way: Way) -> Self {
        let engine = component.engine();
        Self {
            store,
            way,
            fuel_limit: engine.limits().fuel,
            deadline_ticks: engine.deadline_ticks(),
            reads_lazy_facts: component.reads_lazy_facts(),
            calls: 0,
            failure: None,
        }
    }

    /// Asks the plugin what it is.
    pub(crate) fn describe(&mut self) -> Result<plugin::Description, InstanceError> {
        let Way::Canonical(exports) = &self.way else {
            return Err(InstanceError::Describe("asked of the lane that has no words".to_owned()));
        };
        exports.plugin.call_describe(&mut self.store).map_err(|error| {
            let bound = if error.is::<Trap>() { "" } else { "; limits.result_bytes bounds what it may return" };
            InstanceError::Describe(format!("{}{bound}", tell(&error)))
        })
    }

    /// Hands it its configuration. From here on it can be evaluated, and names can no longer be interned.
    pub(crate) fn configure(
        &mut self,
        component: &Component,
        json: &str,
        declared: Declared,
    ) -> Result<(), InstanceError> {
        let answer = match &mut self.way {
            Way::Canonical(exports) => exports.plugin.call_configure(&mut self.store, json),
            Way::Lent(exports) => {
                let kinds: Vec<_> = component.kinds().collect();
                exports.configure(&mut self.store, json, component.engine().limits().result_bytes, &kinds)
            }
        };
        answer
            .map_err(|error| InstanceError::Configure(tell(&error)))?
            .map_err(|refusal| InstanceError::Refused(one_line(&refusal)))?;
        self.store.data_mut().begin_evaluating(declared);
        Ok(())
    }

    /// From now on evaluations have as long as `configure` has. Off the hot path fuel is what stops a guest, which is
    /// the same on a busy machine.
    pub(crate) fn be_patient(&mut self, component: &Component) {
        self.deadline_ticks = component.engine().configure_deadline_ticks();
    }

    /// What the last evaluation failed of and what its author does about it, in one line.
    pub(crate) fn told_failure(&self) -> Option<String> {
        let error = self.failure.as_ref()?;
        Some(match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => "it used up its fuel; is there an endless loop? (limits.fuel)".to_owned(),
            Some(Trap::UnreachableCodeReached) => {
                "it panicked: a native test with the SDK's test kit shows where, unless memory ran out (limits.memory_bytes)"
                    .to_owned()
            }
            // A Rust guest's own stack lies at the beginning of its memory.
            Some(Trap::MemoryOutOfBounds) => {
                "it reached outside of its memory: is there too deep a recursion, or unsafe code?".to_owned()
            }
            _ => one_line(&tell(error)),
        })
    }

    /// Whether it can be asked again.
    pub(crate) fn is_usable(&self) -> bool {
        self.failure.is_none() && self.calls < RETIRE_AFTER
    }

    /// One evaluation as one kind within its fuel and its deadline. What it said and spent is written where it stays.
    /// Whatever goes wrong poisons the instance.
    #[inline]
    pub(crate) fn evaluate(
        &mut self,
        kind: PolicyKind,
        ruling: &Ruling<'_>,
        moment: Moment,
        verdict: &mut Verdict,
        fuel: &mut u64,
    ) -> Result<(), EvaluationFailure> {
        self.calls = self.calls.saturating_add(1);
        if self.reads_lazy_facts {
            self.store.data_mut().attend(ruling.dispatch());
        }
        self.store.set_epoch_deadline(self.deadline_ticks);
        let said = match (self.store.set_fuel(self.fuel_limit), &mut self.way) {
            (Err(error), _) => Err(error),
            (Ok(()), Way::Lent(exports)) => exports.evaluate(&mut self.store, kind, ruling, moment, verdict),
            (Ok(()), Way::Canonical(exports)) => exports.evaluate(&mut self.store, kind, ruling, moment, verdict),
        };
        *fuel = self.fuel_limit.saturating_sub(self.store.get_fuel().unwrap_or(0));
        said.map_err(|error| self.poison(error))
    }

    #[cold]
    fn poison(&mut self, error: wasmtime::Error) -> EvaluationFailure {
        let failure = classify(&error);
        self.failure = Some(error);
        failure
    }
}

/// A store in which it can be instantiated and configured.
fn patient_store(component: &Component, naming: Naming) -> Result<Store<State>, InstanceError> {
    let engine = component.engine();
    let mut store = component.store(naming);
    let fuel = store.set_fuel(engine.limits().configure_fuel);
    fuel.map_err(|error| InstanceError::Instantiate(tell(&error)))?;
    store.set_epoch_deadline(engine.configure_deadline_ticks());
    Ok(store)
}

fn classify(error: &wasmtime::Error) -> EvaluationFailure {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => EvaluationFailure::OutOfFuel,
        Some(Trap::Interrupt) => EvaluationFailure::DeadlineExceeded,
        Some(_) => EvaluationFailure::Trapped,
        None if error.is::<Misuse>() => EvaluationFailure::Trapped,
        // Whatever else goes wrong in a call goes wrong in reading what the guest returned.
        None => EvaluationFailure::InvalidResult,
    }
}

/// What a guest wrote, for a terminal or a log that it must not take over: no control characters, and short.
pub(crate) fn one_line(text: &str) -> String {
    const MOST_CHARACTERS: usize = 300;
    let mut line: String = text.chars().take(MOST_CHARACTERS).flat_map(printable).collect();
    if text.chars().nth(MOST_CHARACTERS).is_some() {
        line.push('…');
    }
    line
}

fn printable(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

/// One line of what went wrong, for an operator: the innermost cause, and what to do about a bound.
pub(crate) fn tell(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => "it used up its fuel; is there an endless loop? (limits.configure_fuel)".to_owned(),
        Some(Trap::Interrupt) => "it ran past its deadline (limits.deadline)".to_owned(),
        Some(Trap::StackOverflow) => "it overflowed its stack (limits.stack_bytes)".to_owned(),
        Some(Trap::UnreachableCodeReached) => "it panicked".to_owned(),
        Some(trap) => format!("it trapped: {trap}"),
        None => error.root_cause().to_string().lines().next().unwrap_or("unknown cause").to_owned(),
    }
}
