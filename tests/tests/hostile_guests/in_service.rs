//! Guests that pass the loader and misbehave in service: their `on_error` happens, and nothing else.

use std::sync::{Arc, Mutex};

use tollgate_core::{
    Decision, Dispatch, EvaluationFailure, OnError, Outcome, PolicyIndex, PolicyKind, Refusal, Source, TrailEntry,
    Verdict,
};
use tollgate_runtime::{Event, Host};
use tollgate_tests::{Chain, PolicyEntry, dispatch, marked};

type Failures = [(PolicyKind, EvaluationFailure)];

/// On a marked dispatch it fails in these ways, one for each kind that it is.
pub(crate) fn fails(guest: &str, failures: &Failures) {
    fails_within(guest, failures, &[]);
}

/// The same, with limits other than the defaults.
pub(crate) fn fails_within(guest: &str, failures: &Failures, limits: &[&str]) {
    for lane in ["auto", "canonical"] {
        fails_on(lane, guest, failures, limits);
    }
}

/// It fails in these ways where its facts are lent, and behaves otherwise.
pub(crate) fn fails_lent(guest: &str, failures: &Failures) {
    fails_on("auto", guest, failures, &[]);
    let hostile = PolicyEntry::guest(guest).key("lane = \"canonical\"");
    let pair = Pair::load(&hostile, &[]);
    pair.behaves_on(&marked(&pair.with));
}

fn fails_on(lane: &str, guest: &str, failures: &Failures, limits: &[&str]) {
    for on_error in ["refuse", "proceed"] {
        for isolation in ["pooled", "fresh"] {
            let hostile = PolicyEntry::guest(guest)
                .config("only_marked = true")
                .key(&format!("on_error = \"{on_error}\"\nisolation = \"{isolation}\"\nlane = \"{lane}\""));
            let on_error = if on_error == "refuse" { OnError::Refuse } else { OnError::Proceed };
            Pair::load(&hostile, limits).meet(failures, on_error);
        }
    }
}

/// The witness with the hostile guest and without it.
struct Pair {
    with: Host,
    without: Host,
    events: Arc<Mutex<Vec<Event>>>,
}

/// The places in the chain of [`Pair::with`].
const WITNESS: PolicyIndex = PolicyIndex(0);
const HOSTILE: PolicyIndex = PolicyIndex(1);

impl Pair {
    fn load(hostile: &PolicyEntry, limits: &[&str]) -> Self {
        let chain = limits.iter().fold(Chain::new(), |chain, limit| chain.limit(limit));
        let chain = chain.policy(&PolicyEntry::witness());
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let builder = Host::builder().on_event(move |event| heard.lock().expect("no panic").push(event.clone()));
        Self {
            without: chain.host().expect("the witness loads"),
            with: chain.policy(hostile).host_with(builder).expect("unmarked, the guest behaves"),
            events,
        }
    }

    /// A sane dispatch, a marked one, a sane one on what was left, and both again.
    fn meet(&self, failures: &Failures, on_error: OnError) {
        for _ in 0..2 {
            self.behaves_on(&dispatch(&self.with));
            self.misbehaves_on(&marked(&self.with), failures, on_error);
        }
        self.behaves_on(&dispatch(&self.with));
    }

    fn behaves_on(&self, dispatch: &Dispatch) {
        let (with, without) = (self.with.decide(dispatch), self.without.decide(dispatch));
        assert_eq!(outcome(&with), outcome(&without));
        assert_eq!(said(&with, WITNESS), said(&without, WITNESS));
        assert!(said(&with, HOSTILE).iter().all(|(_, verdict, _)| !matches!(verdict, Verdict::Failed(..))));
        assert_eq!(self.events.lock().expect("no panic").len(), 0, "nothing happened");
    }

    fn misbehaves_on(&self, dispatch: &Dispatch, failures: &Failures, on_error: OnError) {
        let (with, without) = (self.with.decide(dispatch), self.without.decide(dispatch));
        // A refusal ends the chain after its kind; a routing policy that fails has no opinion instead.
        let refusing = failures.iter().find(|(kind, _)| on_error == OnError::Refuse && *kind != PolicyKind::Routing);
        let asked = |kind: PolicyKind| refusing.is_none_or(|(last, _)| kind <= *last);

        let failed: Vec<_> = with.trail.iter().filter(|entry| entry.policy == HOSTILE).map(kind_and_verdict).collect();
        let expected = failures.iter().filter(|(kind, _)| asked(*kind));
        let expected: Vec<_> = expected.map(|(kind, how)| (*kind, Verdict::Failed(*how, on_error))).collect();
        assert_eq!(failed, expected, "what it failed with");

        let others = said(&without, WITNESS).into_iter().filter(|(kind, ..)| asked(*kind)).collect::<Vec<_>>();
        assert_eq!(said(&with, WITNESS), others, "what the other policies say");

        match refusing {
            Some((kind, how)) => {
                let by = Source::Policy(HOSTILE, *kind);
                assert_eq!(with.outcome, Outcome::Refuse { by, cause: Refusal::PolicyFailed(*how) });
            }
            None => assert_eq!(outcome(&with), outcome(&without)),
        }
        self.was_told_of(&expected);
    }

    fn was_told_of(&self, failed: &[(PolicyKind, Verdict)]) {
        let told: Vec<_> = self
            .events
            .lock()
            .expect("no panic")
            .drain(..)
            .filter_map(|event| match event {
                Event::PolicyFailed { kind, failure, .. } => Some((kind, failure)),
                _ => None,
            })
            .collect();
        let failed: Vec<_> = failed
            .iter()
            .filter_map(|(kind, verdict)| match verdict {
                Verdict::Failed(failure, _) => Some((*kind, *failure)),
                _ => None,
            })
            .collect();
        assert_eq!(told, failed, "what was told");
    }
}

fn kind_and_verdict(entry: &TrailEntry) -> (PolicyKind, Verdict) {
    (entry.kind, entry.verdict)
}

/// Everything of a policy in the trail but the time, which is nobody's.
fn said(decision: &Decision, policy: PolicyIndex) -> Vec<(PolicyKind, Verdict, u64)> {
    let entries = decision.trail.iter().filter(|entry| entry.policy == policy);
    entries.map(|entry| (entry.kind, entry.verdict, entry.fuel)).collect()
}

fn outcome(decision: &Decision) -> (Outcome, tollgate_core::Tier) {
    (decision.outcome.clone(), decision.floor)
}
