//! What a component answers: every export of the contract, for whatever policy `export!` names.

use super::plugin::exports::tollgate::policy::plugin;
use super::{kill_switch, retry_ceiling};
use crate::export::{Component, configured};
use crate::{CounterEvent, CounterRule, CounterScope, KillSwitch, Policy, RetryCeiling};

impl<C: Component> plugin::Guest for C {
    fn describe() -> plugin::Description {
        let schema = schemars::schema_for!(<C::Policy as Policy>::Config);
        plugin::Description {
            name: C::ABOUT.name.to_owned(),
            version: C::ABOUT.version.to_owned(),
            summary: C::ABOUT.summary.to_owned(),
            configuration_schema: schema.as_value().to_string(),
            tags: C::Policy::TAGS.iter().map(|tag| tag.0.to_owned()).collect(),
            counters: C::Policy::COUNTERS.iter().map(counter).collect(),
        }
    }

    fn configure(json: String) -> Result<(), String> {
        let policy = configured::<C::Policy>(&json)?;
        C::policy().set(policy).map_err(|_| "this instance is configured already".to_owned())
    }
}

fn counter(rule: &CounterRule) -> plugin::Counter {
    let window_seconds = rule.window.as_milliseconds() / 1_000;
    plugin::Counter {
        name: rule.name.to_owned(),
        event: match rule.event {
            CounterEvent::Dispatch => plugin::CounterEvent::Dispatch,
            CounterEvent::Success => plugin::CounterEvent::Success,
            CounterEvent::Failure => plugin::CounterEvent::Failure,
            CounterEvent::Rejection => plugin::CounterEvent::Rejection,
            CounterEvent::Unproductive => plugin::CounterEvent::Unproductive,
            CounterEvent::Refusal => plugin::CounterEvent::Refusal,
        },
        by: match rule.by {
            CounterScope::Task => plugin::CounterScope::Task,
            CounterScope::Organisation => plugin::CounterScope::Organisation,
            CounterScope::Team => plugin::CounterScope::Team,
            CounterScope::Project => plugin::CounterScope::Project,
            CounterScope::WorkItem => plugin::CounterScope::WorkItem,
            CounterScope::Run => plugin::CounterScope::Run,
            CounterScope::User => plugin::CounterScope::User,
            CounterScope::Key => plugin::CounterScope::Key,
        },
        window_seconds: u32::try_from(window_seconds).expect("`export!` checked the window"),
    }
}

/// The host configures before it evaluates; one that does not gets a trap.
pub(in crate::wire) fn policy<C: Component>() -> &'static C::Policy {
    C::policy().get().expect("configured before it is evaluated")
}

// Those without lists; `listed` has the others.
macro_rules! kinds {
    ($($kind:ident in $module:ident;)+) => {$(
        impl<C: Component<Policy: $kind>> $module::exports::tollgate::policy::$module::Guest for C {
            fn evaluate(
                facts: $module::exports::tollgate::policy::$module::Facts,
            ) -> $module::exports::tollgate::policy::$module::Verdict {
                policy::<C>().evaluate(&facts.into()).into()
            }
        }
    )+};
}

kinds! {
    KillSwitch in kill_switch;
    RetryCeiling in retry_ceiling;
}

/// Exports one interface of a component.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_kind {
    (plugin $component:ident) => { $crate::wire::plugin::export_part!($component with_types_in $crate::wire::plugin); };
    (kill_switch $component:ident) => { $crate::wire::kill_switch::export_part!($component with_types_in $crate::wire::kill_switch); };
    (retry_ceiling $component:ident) => { $crate::wire::retry_ceiling::export_part!($component with_types_in $crate::wire::retry_ceiling); };
    (routing $component:ident) => { $crate::wire::routing::export_part!($component with_types_in $crate::wire::listed::routing); };
    (budget $component:ident) => { $crate::wire::budget::export_part!($component with_types_in $crate::wire::listed::budget); };
}
