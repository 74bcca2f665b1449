//! What is different between a recorded decision and the one that another set of policies makes.

use serde::Serialize;
use tollgate_core::PolicyKind;
use tollgate_ledger::records::{DecisionRecord, ResultRecord, VerdictRecord};

use crate::records::render;

/// A verdict that is another one now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct VerdictChange {
    pub(super) policy: String,
    pub(super) kind: PolicyKind,
    pub(super) from: String,
    pub(super) to: String,
}

/// Every verdict that differs, in the order of the chain. Whether a policy counts or is in shadow is a difference of the
/// sets and not of what it says. That a policy was not asked, since the chain ended before it or it is in one set only,
/// is one where it stops or changes something on the other side.
pub(super) fn verdicts(
    recorded: &DecisionRecord,
    result: &ResultRecord,
    shadow: &[VerdictRecord],
) -> Vec<VerdictChange> {
    let before: Vec<_> = sides(&recorded.result.verdicts, &recorded.shadow).collect();
    let after: Vec<_> = sides(&result.verdicts, shadow).collect();
    let same_asker = |one: &VerdictRecord, other: &VerdictRecord| one.policy == other.policy && one.kind == other.kind;
    let mut changes = Vec::new();
    for said in &before {
        match after.iter().find(|(other, _)| same_asker(said.0, other)) {
            Some(now) if said.0.is_same(now.0) => {}
            None if lets_go(said.0) => {}
            now => changes.push(change(Some(*said), now.copied())),
        }
    }
    for said in &after {
        if !lets_go(said.0) && !before.iter().any(|(other, _)| same_asker(said.0, other)) {
            changes.push(change(None, Some(*said)));
        }
    }
    changes.sort_by_key(|change| change.kind);
    changes
}

fn lets_go(verdict: &VerdictRecord) -> bool {
    matches!(&*verdict.verdict, "proceed" | "no-opinion" | "use-candidate")
}

/// Whether the same becomes of the dispatch: the outcome, where it goes, how long it waits, who says so and for which reason.
pub(super) fn same_outcome(one: &ResultRecord, other: &ResultRecord) -> bool {
    let code = |result: &ResultRecord| result.reason.as_ref().and_then(|reason| reason.code.clone());
    let what = |result: &ResultRecord| (result.outcome.clone(), result.candidate, result.output_cap, result.wait_ms);
    let why = |result: &ResultRecord| (result.by.clone(), result.kind, result.refusal.clone(), code(result));
    what(one) == what(other) && why(one) == why(other)
}

fn sides<'a>(
    verdicts: &'a [VerdictRecord],
    shadow: &'a [VerdictRecord],
) -> impl Iterator<Item = (&'a VerdictRecord, bool)> {
    verdicts.iter().map(|verdict| (verdict, false)).chain(shadow.iter().map(|verdict| (verdict, true)))
}

type Said<'a> = (&'a VerdictRecord, bool);

fn change(before: Option<Said<'_>>, after: Option<Said<'_>>) -> VerdictChange {
    let (from, mut to) = (describe(before), describe(after));
    if from == to {
        // The words are the same, and the numbers behind them are not.
        to.push_str(" with other numbers");
    }
    let asker = before.or(after).map(|(verdict, _)| (verdict.policy.to_string(), verdict.kind));
    let (policy, kind) = asker.unwrap_or_else(|| (String::new(), PolicyKind::Budget));
    VerdictChange { policy, kind, from, to }
}

/// The verdict, what it carries, and the name of its reason: what can be counted.
fn describe(said: Option<Said<'_>>) -> String {
    let Some((verdict, shadow)) = said else {
        return "not asked".to_owned();
    };
    let reason = verdict.reason.as_ref().and_then(|reason| reason.code.as_deref());
    let words = match reason {
        Some(reason) => format!("{} {reason}", verdict.verdict),
        None => render::verdict(verdict),
    };
    if shadow { format!("({words})") } else { words }
}

#[cfg(test)]
mod tests {
    use tollgate_core::Tier;

    use super::*;

    fn said(kind: PolicyKind, word: &'static str) -> VerdictRecord {
        VerdictRecord {
            policy: kind.as_str().into(),
            kind,
            verdict: word.into(),
            reason: None,
            tier: None,
            wait_ms: None,
            output_tokens: None,
            candidate: None,
            model: None,
            trip: None,
            failure: None,
            on_error: None,
            last_good: false,
            fuel: 0,
            timer_evaluate_ns: 0,
        }
    }

    fn changes(before: &[VerdictRecord], after: &[VerdictRecord], shadow: &[VerdictRecord]) -> Vec<String> {
        let result =
            |verdicts: &[VerdictRecord]| ResultRecord { verdicts: verdicts.to_vec(), ..ResultRecord::default() };
        let id = "0000000000000001-1".parse().expect("an id");
        let recorded = DecisionRecord {
            decision_id: id,
            trace_id: None,
            span_id: None,
            input: tollgate_ledger::records::DispatchRecord::default(),
            result: result(before),
            shadow: Vec::new(),
            metrics: tollgate_ledger::records::Metrics::default(),
        };
        verdicts(&recorded, &result(after), shadow).iter().map(|one| format!("{} → {}", one.from, one.to)).collect()
    }

    #[test]
    fn what_a_policy_says_is_compared_and_what_it_took_is_not() {
        let (proceed, stop) = (said(PolicyKind::KillSwitch, "proceed"), said(PolicyKind::KillSwitch, "stop"));
        let slow = |wait_ms| VerdictRecord { wait_ms: Some(wait_ms), ..said(PolicyKind::Budget, "slow") };
        let raise = |tier| VerdictRecord { tier: Some(tier), ..said(PolicyKind::RetryCeiling, "raise-floor") };
        let timed = VerdictRecord { fuel: 9, timer_evaluate_ns: 9, ..proceed.clone() };
        let (again, stops) = (proceed.clone(), stop.clone());
        for (before, after, shadow, told) in [
            (vec![proceed.clone()], vec![timed], vec![], vec![]),
            (vec![proceed.clone()], vec![], vec![proceed.clone()], vec![]),
            (vec![proceed.clone()], vec![], vec![stop.clone()], vec!["proceed → (stop)"]),
            (vec![proceed.clone()], vec![stop.clone()], vec![], vec!["proceed → stop"]),
            (vec![proceed], vec![], vec![], vec![]),
            (vec![stop], vec![], vec![], vec!["stop → not asked"]),
            (vec![], vec![again], vec![], vec![]),
            (vec![], vec![stops], vec![], vec!["not asked → stop"]),
            (vec![slow(4)], vec![slow(5)], vec![], vec!["slow 4 ms → slow 5 ms"]),
            (vec![raise(Tier::Low)], vec![raise(Tier::Middle)], vec![], vec!["raise-floor low → raise-floor middle"]),
        ] {
            assert_eq!(changes(&before, &after, &shadow), told);
        }
    }

    #[test]
    fn of_an_outcome_the_reason_counts_and_its_numbers_do_not() {
        let refused = |code: &str, actual| ResultRecord {
            outcome: "refuse".into(),
            reason: Some(tollgate_ledger::records::ReasonRecord {
                code: Some(code.into()),
                actual,
                ..tollgate_ledger::records::ReasonRecord::default()
            }),
            ..ResultRecord::default()
        };
        assert!(same_outcome(&refused("run-cost", 1), &refused("run-cost", 2)));
        assert!(!same_outcome(&refused("run-cost", 1), &refused("run-rate", 1)));
        let floor = ResultRecord { floor: Some(Tier::Premium), generation: 7, ..refused("run-cost", 1) };
        assert!(same_outcome(&refused("run-cost", 1), &floor));
        assert!(!same_outcome(&refused("run-cost", 1), &ResultRecord { candidate: Some(1), ..floor }));
    }
}
