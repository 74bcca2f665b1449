//! The shipped components through wasmtime as it comes: bindings of its own, one store, no limits, no verdicts
//! checked. What the host costs above this is the host's.

use std::collections::HashMap;
use std::path::Path;

use tollgate_core::{Dispatch, PolicyKind};
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, Store};

use crate::plugins;

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package tollgate:bare;

            world everything {
                import tollgate:policy/facts@0.1.0;
                export tollgate:policy/plugin@0.1.0;
                export tollgate:policy/kill-switch@0.1.0;
                export tollgate:policy/retry-ceiling@0.1.0;
                export tollgate:policy/routing@0.1.0;
                export tollgate:policy/budget@0.1.0;
            }
        ",
        world: "tollgate:bare/everything",
    });
}

use bindings::exports::tollgate::policy::{budget, kill_switch, plugin, retry_ceiling, routing};
use bindings::tollgate::policy::{facts, types};

/// Answers what the shipped policies ask while they are configured.
#[derive(Default)]
struct Names {
    symbols: HashMap<String, u32>,
}

impl facts::Host for Names {
    fn intern(&mut self, name: String) -> u32 {
        let next = u32::try_from(self.symbols.len()).unwrap_or(u32::MAX).saturating_add(1);
        *self.symbols.entry(name).or_insert(next)
    }

    fn models(&mut self) -> Vec<facts::Model> {
        Vec::new()
    }

    fn names(&mut self, _kind: facts::NameKind) -> Vec<u32> {
        Vec::new()
    }

    fn resolve(&mut self, _symbol: u32) -> Option<String> {
        None
    }

    fn tag(&mut self, _name: u32) -> Option<u32> {
        None
    }

    fn number(&mut self, _counter: u32) -> Option<u64> {
        None
    }

    fn identity(&mut self, _kind: facts::ReferenceKind) -> Option<u64> {
        None
    }
}

/// One instance of one shipped component, configured with nothing, and facts to ask it about.
pub(crate) struct BareCall {
    store: Store<Names>,
    asked: Asked,
    next: usize,
}

enum Asked {
    KillSwitch(kill_switch::Guest, Vec<kill_switch::Facts>),
    RetryCeiling(retry_ceiling::Guest, Vec<retry_ceiling::Facts>),
    Routing(routing::Guest, Vec<routing::Facts>),
    Budget(budget::Guest, Vec<budget::Facts>),
}

impl BareCall {
    /// Loads the component of a kind, and makes its facts of the dispatches: outside of what is measured.
    pub(crate) fn new(folder: &Path, kind: PolicyKind, dispatches: &[Dispatch]) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::pooling());
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, plugins::file(folder, kind))?;
        let mut linker = Linker::<Names>::new(&engine);
        facts::add_to_linker::<_, HasSelf<Names>>(&mut linker, |names| names)?;
        let pre = linker.instantiate_pre(&component)?;
        let mut store = Store::new(&engine, Names::default());
        let asked = Asked::new(&pre, &mut store, kind, dispatches)?;
        Ok(Self { store, asked, next: 0 })
    }

    /// One call, about the next of the dispatches.
    pub(crate) fn call(&mut self) -> wasmtime::Result<()> {
        let place = self.next;
        self.next = (place + 1) % 1_024;
        match &self.asked {
            Asked::KillSwitch(guest, facts) => {
                std::hint::black_box(guest.call_evaluate(&mut self.store, facts[place])?);
            }
            Asked::RetryCeiling(guest, facts) => {
                std::hint::black_box(guest.call_evaluate(&mut self.store, facts[place])?);
            }
            Asked::Routing(guest, facts) => {
                std::hint::black_box(guest.call_evaluate(&mut self.store, &facts[place])?);
            }
            Asked::Budget(guest, facts) => {
                std::hint::black_box(guest.call_evaluate(&mut self.store, &facts[place])?);
            }
        }
        Ok(())
    }
}

impl Asked {
    fn new(
        pre: &InstancePre<Names>,
        store: &mut Store<Names>,
        kind: PolicyKind,
        dispatches: &[Dispatch],
    ) -> wasmtime::Result<Self> {
        let instance = pre.instantiate(&mut *store)?;
        let plugin = plugin::GuestIndices::new(pre)?.load(&mut *store, &instance)?;
        plugin.call_configure(&mut *store, "{}")?.map_err(wasmtime::Error::msg)?;
        Ok(match kind {
            PolicyKind::KillSwitch => Self::KillSwitch(
                kill_switch::GuestIndices::new(pre)?.load(&mut *store, &instance)?,
                dispatches.iter().map(kill_switch_facts).collect(),
            ),
            PolicyKind::RetryCeiling => Self::RetryCeiling(
                retry_ceiling::GuestIndices::new(pre)?.load(&mut *store, &instance)?,
                dispatches.iter().map(retry_ceiling_facts).collect(),
            ),
            PolicyKind::Routing => Self::Routing(
                routing::GuestIndices::new(pre)?.load(&mut *store, &instance)?,
                dispatches.iter().map(routing_facts).collect(),
            ),
            PolicyKind::Budget => Self::Budget(
                budget::GuestIndices::new(pre)?.load(&mut *store, &instance)?,
                dispatches.iter().map(budget_facts).collect(),
            ),
        })
    }
}

/// Names are left out: here a symbol is only a number, and as far as the shipped tables go an unknown one.
fn dispatch(dispatch: &Dispatch) -> types::Dispatch {
    types::Dispatch {
        now: dispatch.now_ms,
        waited_ms: dispatch.waited_ms,
        task_type: 0,
        stage: 0,
        priority: types::Priority::Normal,
        approved: dispatch.approved,
    }
}

fn kill_switch_facts(facts: &Dispatch) -> kill_switch::Facts {
    kill_switch::Facts {
        dispatch: dispatch(facts),
        moment: kill_switch::Moment::Dispatch,
        covered: kill_switch::Cover::None,
        covered_reason: 0,
        run_cost: facts.spending.run_cost.as_u64(),
        run_spend_per_minute: facts.spending.run_per_minute.as_u64(),
        scope_spend_per_minute: facts.spending.scope_per_minute.as_u64(),
        fastest_scope: types::ScopeKind::Team,
        task_type_p95: facts.spending.task_type_p95.as_u64(),
        finished_runs: facts.spending.finished_runs,
    }
}

fn retry_ceiling_facts(facts: &Dispatch) -> retry_ceiling::Facts {
    retry_ceiling::Facts {
        dispatch: dispatch(facts),
        attempts: facts.attempts.failed,
        streak: facts.attempts.streak,
        streak_elapsed_ms: facts.attempts.streak_elapsed_ms,
        since_failure_ms: facts.attempts.since_failure_ms,
        fast_failures: facts.attempts.fast_failures,
        rejections: facts.attempts.rejections,
        failed_tier: retry_ceiling::FailedTier::None,
        repetition: retry_ceiling::Repetition::None,
        repetitions: facts.attempts.repetitions,
        input_tokens: facts.input_tokens,
    }
}

fn routing_facts(facts: &Dispatch) -> routing::Facts {
    let candidate = |candidate: &tollgate_core::Candidate| types::Candidate {
        model: candidate.model.as_u32(),
        backend: candidate.backend.as_u32(),
        tier: tier(candidate.tier),
        health: types::Health::Healthy,
        hosting: types::Hosting::Remote,
        warm: candidate.warm,
        free_slots: candidate.free_slots,
        estimated_cost: candidate.estimated_cost.as_u64(),
    };
    routing::Facts {
        dispatch: dispatch(facts),
        floor: types::Tier::Low,
        requested_tier: routing::RequestedTier::None,
        requested_model: 0,
        sticky: facts.sticky,
        affordable: facts.affordable().as_u64(),
        rejections: facts.attempts.rejections,
        input_tokens: facts.input_tokens,
        candidates: facts.candidates.iter().map(candidate).collect(),
    }
}

fn budget_facts(facts: &Dispatch) -> budget::Facts {
    let scope = |account: &tollgate_core::Account| types::ScopeState {
        kind: types::ScopeKind::Team,
        owner: account.owner.as_u32(),
        spent: account.spent.as_u64(),
        reserved: account.reserved.as_u64(),
        limit: account.limit.as_u64(),
        hard: account.hard.as_u64(),
        window_end: account.window_end_ms,
        utilisation_permille: account.utilisation_permille(),
    };
    let first = facts.candidates.first();
    budget::Facts {
        dispatch: dispatch(facts),
        model: first.map_or(0, |candidate| candidate.model.as_u32()),
        tier: first.map_or(types::Tier::Low, |candidate| tier(candidate.tier)),
        estimated_cost: first.map_or(0, |candidate| candidate.estimated_cost.as_u64()),
        output_tokens: facts.output_tokens,
        scopes: facts.accounts.iter().map(scope).collect(),
    }
}

fn tier(tier: tollgate_core::Tier) -> types::Tier {
    match tier {
        tollgate_core::Tier::Low => types::Tier::Low,
        tollgate_core::Tier::Middle => types::Tier::Middle,
        tollgate_core::Tier::Premium => types::Tier::Premium,
    }
}
