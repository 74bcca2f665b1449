//! Policies change while a host decides: what takes over, what stays, what is told, and what is never lost.

mod candidates;
mod generations;
mod quarantine;
mod state;
mod watching;

use std::sync::{Arc, Mutex};

use tollgate_core::{Configuration, Decision, Dispatch, Reference, ScopeKind, Verdict};
use tollgate_runtime::{Cause, Event, Host};
use tollgate_tests::{Chain, PolicyEntry};

/// A host and everything it told.
struct Told {
    host: Host,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Told {
    fn start(chain: &Chain) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let builder = Host::builder().on_event(move |event| heard.lock().expect("no panic").push(event.clone()));
        Self { host: chain.host_with(builder).expect("the first configuration loads"), events }
    }

    /// What was told since the last time, by name and with what matters of it.
    fn events(&self) -> Vec<String> {
        let events: Vec<_> = self.events.lock().expect("no panic").drain(..).collect();
        events.iter().map(shown).collect()
    }

    fn reload(&self, chain: &Chain) -> Result<u64, String> {
        self.host.reload(&parsed(chain), Cause::Request("a test".to_owned())).map_err(|error| error.to_string())
    }
}

fn shown(event: &Event) -> String {
    match event {
        Event::GenerationServes { generation, before, cause } => format!("{generation} after {before}: {cause}"),
        Event::ReloadFailed { reason, .. } => format!("failed: {reason}"),
        Event::PolicyFailed { policy, .. } => format!("{policy} failed"),
        Event::PolicyQuarantined { policy, quarantine } => format!("{policy} shut {}", quarantine.times),
        Event::PolicyReturned { policy, .. } => format!("{policy} returned"),
        Event::PolicyImpure { policy, served, fresh, .. } => format!("{policy} said {served}, then {fresh}"),
        Event::CandidateBegins { generation, beside } => format!("candidate {generation} beside {beside}"),
        Event::CandidateDiscarded { generation, reason } => format!("candidate {generation} discarded: {reason}"),
        other => format!("{other:?}"),
    }
}

fn parsed(chain: &Chain) -> Configuration {
    Configuration::parse(&chain.text()).expect("a chain is a configuration")
}

/// Twice the guest that says its number, so that a mixture of two configurations would show.
fn numbered(number: u32) -> Chain {
    let policy = |name: &str| PolicyEntry::guest("numbered").called(name).config(&format!("number = {number}"));
    Chain::new().policy(&policy("first")).policy(&policy("second"))
}

/// The number that all verdicts of a decision say.
#[expect(clippy::panic, reason = "a test that panics fails")]
fn number(decision: &Decision) -> u32 {
    let numbers: Vec<_> = decision
        .trail
        .iter()
        .map(|entry| match entry.verdict {
            Verdict::RetryCeiling(tollgate_core::RetryCeilingVerdict::BackOff { milliseconds })
            | Verdict::Budget(tollgate_core::BudgetVerdict::Slow { milliseconds }) => milliseconds,
            other => panic!("not said by the guest: {other:?}"),
        })
        .collect();
    assert_eq!(numbers.len(), 4);
    assert!(numbers.iter().all(|number| *number == numbers[0]), "a mixture: {numbers:?}");
    numbers[0]
}

/// With another key, at another time.
fn from_key(dispatch: &Dispatch, key: &str, now_ms: u64) -> Dispatch {
    let mut dispatch = Dispatch { now_ms, ..dispatch.clone() };
    dispatch.scopes.set(ScopeKind::Key, Reference::of(key));
    dispatch
}
