//! What a host tells whoever listens.

use std::sync::Arc;

use tollgate_core::{EvaluationFailure, PolicyKind, Switch};

/// Something that happened in a host.
#[derive(Clone, Debug)]
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
}

/// Someone who listens. Called on the thread that decides: it has to be quick.
pub(crate) type Listener = Box<dyn Fn(&Event) + Send + Sync>;
