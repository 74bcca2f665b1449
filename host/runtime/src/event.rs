//! What a host tells whoever listens.

use std::sync::Arc;

use tollgate_core::{EvaluationFailure, PolicyKind, Switch};

use crate::cause::Cause;
use crate::quarantine::Quarantine;

/// Something that happened in a host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A policy tripped, and its switch is engaged.
    SwitchEngaged(Switch),
    /// A policy tripped, and its switch could not be engaged; the dispatch was refused all the same.
    SwitchNotEngaged {
        /// Which policy.
        policy: Arc<str>,
        /// Why not.
        reason: String,
    },
    /// A policy could not be evaluated.
    PolicyFailed {
        /// Which policy.
        policy: Arc<str>,
        /// As which kind.
        kind: PolicyKind,
        /// How.
        failure: EvaluationFailure,
    },
    /// A policy is left alone for a while: it failed too often, or it is impure.
    PolicyQuarantined {
        /// Which policy.
        policy: Arc<str>,
        /// Why, and until when.
        quarantine: Quarantine,
    },
    /// A policy's quarantine is over, and it is asked again.
    PolicyReturned {
        /// Which policy.
        policy: Arc<str>,
        /// When, in milliseconds since the Unix epoch, by the dispatch's time.
        at_ms: u64,
    },
    /// A policy said one thing in service and another on a fresh instance about the same dispatch.
    PolicyImpure {
        /// Which policy.
        policy: Arc<str>,
        /// As which kind.
        kind: PolicyKind,
        /// What it said in service.
        served: &'static str,
        /// On the fresh instance.
        fresh: &'static str,
    },
    /// Another generation decides from now on.
    GenerationServes {
        /// Which.
        generation: u64,
        /// Which one did until now.
        before: u64,
        /// Who or what caused it.
        cause: Cause,
    },
    /// A candidate decides beside what runs, and changes nothing.
    CandidateBegins {
        /// The candidate's number.
        generation: u64,
        /// What runs.
        beside: u64,
    },
    /// A candidate was given up; one that was promoted serves.
    CandidateDiscarded {
        /// Its number.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// A configuration was not taken, and the running generation stays.
    ReloadFailed {
        /// Who or what wanted it.
        cause: Cause,
        /// Why not, and what to change.
        reason: String,
    },
}

/// Someone who listens. Called on the thread that decides: it has to be quick.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// The event is made only where someone listens.
pub(crate) fn tell(listener: Option<&Listener>, event: impl FnOnce() -> Event) {
    if let Some(listener) = listener {
        listener(&event());
    }
}
