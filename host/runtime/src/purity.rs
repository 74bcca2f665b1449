//! Whether the policies of a decision are pure: each verdict is asked for again on a fresh instance, about the same
//! dispatch and after the same verdicts before it. One that comes out otherwise is reported, and quarantined.

use tollgate_core::{EvaluationFailure, PolicyKind, Ruling, TrailEntry, Verdict};

use crate::chain;
use crate::convert::Moment;
use crate::event::Event;
use crate::live::Live;
use crate::observe::Sample;
use crate::policy::Policy;

pub(crate) fn check(sample: &Sample, live: &Live) {
    let generation = &sample.generation;
    let mut ruling = Ruling::open(&sample.dispatch, &sample.switches);
    for kind in PolicyKind::ALL {
        for entry in sample.decision.trail.iter().filter(|entry| entry.kind == *kind) {
            let policy = generation.policy(entry.policy);
            if let Some(fresh) = differs(entry, policy, &ruling) {
                report(entry, fresh, policy, sample, live);
            }
            ruling.hear(&mut { *entry }, policy.on_error);
        }
        if *kind == PolicyKind::Routing {
            ruling.settle_route();
        }
    }
}

/// What a fresh instance says, where that is something else.
fn differs(entry: &TrailEntry, policy: &Policy, ruling: &Ruling<'_>) -> Option<&'static str> {
    if entry.last_good || matches!(entry.verdict, Verdict::Failed(..)) {
        return None;
    }
    // Without an instance, and past a deadline, there is no verdict to compare: neither is the policy's doing.
    let mut instance = policy.instantiate_patiently().ok()?;
    match chain::evaluate(&mut instance, entry.kind, ruling, Moment::Dispatch).0 {
        Err(EvaluationFailure::DeadlineExceeded) => None,
        Err(failure) => Some(failure.as_str()),
        Ok(fresh) => (fresh != entry.verdict).then(|| fresh.word()),
    }
}

fn report(entry: &TrailEntry, fresh: &'static str, policy: &Policy, sample: &Sample, live: &Live) {
    live.tell(|| Event::PolicyImpure {
        policy: policy.name.clone(),
        kind: entry.kind,
        served: entry.verdict.word(),
        fresh,
    });
    let rules = &sample.generation.configuration().quarantine;
    if let Some(quarantine) = policy.watch.impure(rules, sample.dispatch.now_ms) {
        live.tell(|| Event::PolicyQuarantined { policy: policy.name.clone(), quarantine });
    }
}
