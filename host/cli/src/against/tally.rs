//! What the differences add up to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tollgate_core::Nanodollars;
use tollgate_ledger::records::{PolicyRecord, PolicySet, Recorded, ResultRecord, VerdictRecord, rfc3339};

use super::compare::{self, VerdictChange};
use crate::records::render;
use crate::replay::Dollars;

/// How many examples are kept, one of each difference.
const MAX_EXAMPLES: usize = 10;
/// How many differences are told apart; what is more is counted together.
const MAX_DIFFERENCES: usize = 1_000;

/// Counts as it goes.
#[derive(Default)]
pub(super) struct Tally {
    summary: Summary,
    /// Of the other set.
    policies: PolicySet,
    /// The set that decided last.
    recorded_policies: Arc<PolicySet>,
    outcomes: BTreeMap<(String, String), u64>,
    verdicts: BTreeMap<VerdictChange, u64>,
}

/// Everything that is told; the names are those of its JSON form.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Made again.
    pub(super) decisions: u64,
    /// Not whole in the records, so not made again.
    pub(super) passed_over: u64,
    /// Not in the records at all.
    pub(super) lost: u64,
    /// Another outcome, or another verdict of any policy.
    pub(super) changed: u64,
    /// Another outcome: where it goes, how long it waits, who stops it or why.
    pub(super) outcomes_changed: u64,
    pub(super) outcomes: Vec<OutcomeChange>,
    pub(super) verdicts: Vec<CountedVerdict>,
    /// What the dispatches that went were expected to cost.
    pub(super) recorded_cost_usd: Dollars,
    /// What those that would go now are.
    pub(super) decided_cost_usd: Dollars,
    pub(super) examples: Vec<Example>,
    pub(super) policies: Vec<PolicyChange>,
}

#[derive(Debug, Serialize)]
pub(super) struct OutcomeChange {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) decisions: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct CountedVerdict {
    #[serde(flatten)]
    pub(super) change: VerdictChange,
    pub(super) decisions: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Example {
    pub(super) decision_id: String,
    pub(super) timestamp: String,
    pub(super) recorded: String,
    pub(super) decided: String,
    pub(super) verdicts: Vec<VerdictChange>,
}

/// How a policy differs between the two sets.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct PolicyChange {
    pub(super) policy: String,
    /// `same`, or what is different: `added`, `removed`, `plugin`, `configuration`, `mode`.
    pub(super) difference: Vec<&'static str>,
}

impl Tally {
    /// The policies of the other set, asked for once.
    pub(super) fn policies_of(&mut self, generation: u64, ask: impl FnOnce() -> PolicySet) -> &PolicySet {
        if self.policies.generation != generation {
            self.policies = ask();
        }
        &self.policies
    }

    /// A record that is not whole.
    pub(super) fn pass_over(&mut self) {
        self.summary.passed_over += 1;
    }

    pub(super) fn add(&mut self, recorded: &Recorded, result: &ResultRecord, shadow: &[VerdictRecord]) {
        self.recorded_policies = Arc::clone(&recorded.policies);
        let before = &recorded.decision.result;
        self.summary.decisions += 1;
        self.summary.recorded_cost_usd.add(cost(before));
        self.summary.decided_cost_usd.add(cost(result));
        let verdicts = compare::verdicts(&recorded.decision, result, shadow);
        let same_outcome = compare::same_outcome(before, result);
        if same_outcome && verdicts.is_empty() {
            return;
        }
        self.summary.changed += 1;
        let mut is_new = false;
        if !same_outcome {
            self.summary.outcomes_changed += 1;
            let words = (outcome(before), outcome(result));
            is_new |= count(&mut self.outcomes, words);
        }
        for verdict in &verdicts {
            is_new |= count(&mut self.verdicts, verdict.clone());
        }
        if is_new && self.summary.examples.len() < MAX_EXAMPLES {
            self.summary.examples.push(Example {
                decision_id: recorded.decision.decision_id.to_string(),
                timestamp: rfc3339(recorded.decision.input.now_ms),
                recorded: render::headline(before),
                decided: render::headline(result),
                verdicts,
            });
        }
    }

    pub(super) fn summary(self, lost: u64) -> Summary {
        let mut summary = self.summary;
        summary.lost = lost;
        let outcomes = self.outcomes.into_iter();
        summary.outcomes = outcomes.map(|((from, to), decisions)| OutcomeChange { from, to, decisions }).collect();
        summary.outcomes.sort_by_key(|change| std::cmp::Reverse(change.decisions));
        let verdicts = self.verdicts.into_iter();
        summary.verdicts = verdicts.map(|(change, decisions)| CountedVerdict { change, decisions }).collect();
        summary.verdicts.sort_by_key(|counted| (counted.change.kind, std::cmp::Reverse(counted.decisions)));
        summary.policies = policies(&self.recorded_policies, &self.policies);
        summary
    }
}

/// Counts; whether this was the first. Past the bound only what is known already is.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) -> bool {
    if counts.len() >= MAX_DIFFERENCES && !counts.contains_key(&key) {
        return false;
    }
    let times = counts.entry(key).or_insert(0);
    *times += 1;
    *times == 1
}

/// What it is expected to cost, where it goes.
fn cost(result: &ResultRecord) -> Nanodollars {
    result.estimated_cost.unwrap_or_default()
}

/// What can be counted of an outcome: the word, and where it goes or who stops it.
fn outcome(result: &ResultRecord) -> String {
    let reason = result.reason.as_ref().and_then(|reason| reason.code.as_deref());
    let detail = result.model.as_deref().or(reason).or(result.refusal.as_deref());
    let by = result.by.as_deref();
    match (detail, by) {
        (Some(detail), Some(by)) => format!("{} {detail} (by {by})", result.outcome),
        (Some(detail), None) => format!("{} {detail}", result.outcome),
        (None, Some(by)) => format!("{} (by {by})", result.outcome),
        (None, None) => result.outcome.to_string(),
    }
}

/// Each policy of either set.
fn policies(before: &PolicySet, after: &PolicySet) -> Vec<PolicyChange> {
    let find = |set: &PolicySet, name: &str| set.policies.iter().find(|policy| *policy.policy == *name).cloned();
    let names = before.policies.iter().chain(&after.policies).map(|policy| policy.policy.to_string());
    let mut changes: Vec<PolicyChange> = Vec::new();
    for policy in names {
        if changes.iter().any(|change| change.policy == policy) {
            continue;
        }
        let difference = match (find(before, &policy), find(after, &policy)) {
            (None, _) => vec!["added"],
            (_, None) => vec!["removed"],
            (Some(before), Some(after)) => differences(&before, &after),
        };
        changes.push(PolicyChange { policy, difference });
    }
    changes
}

fn differences(before: &PolicyRecord, after: &PolicyRecord) -> Vec<&'static str> {
    let mode = |policy: &PolicyRecord| (policy.on_error, policy.shadow);
    let found = [
        (before.digest != after.digest, "plugin"),
        (before.configuration != after.configuration, "configuration"),
        (mode(before) != mode(after), "mode"),
    ];
    let found: Vec<_> = found.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect();
    if found.is_empty() { vec!["same"] } else { found }
}

#[cfg(test)]
mod tests {
    use tollgate_core::OnError;

    use super::*;

    fn set(policies: &[(&str, &str)]) -> PolicySet {
        let policy = |(name, digest): &(&str, &str)| PolicyRecord {
            policy: (*name).into(),
            plugin: String::new(),
            version: String::new(),
            digest: (*digest).to_owned(),
            configuration: String::new(),
            on_error: OnError::Refuse,
            shadow: false,
        };
        PolicySet { generation: 1, policies: policies.iter().map(policy).collect() }
    }

    #[test]
    fn two_sets_are_told_apart_policy_by_policy() {
        let changes =
            policies(&set(&[("a", "1"), ("b", "1"), ("c", "1")]), &set(&[("d", "1"), ("b", "2"), ("a", "1")]));
        let told: Vec<_> = changes.iter().map(|change| (&*change.policy, change.difference[0])).collect();
        assert_eq!(told, [("a", "same"), ("b", "plugin"), ("c", "removed"), ("d", "added")]);
    }

    #[test]
    fn differences_that_are_told_apart_are_bounded() {
        let mut counts = BTreeMap::new();
        for key in 0..MAX_DIFFERENCES {
            assert!(count(&mut counts, key));
        }
        assert!(!count(&mut counts, MAX_DIFFERENCES), "one too many");
        assert!(!count(&mut counts, 0), "known, and not new");
        assert_eq!((counts.len(), counts[&0]), (MAX_DIFFERENCES, 2));
    }
}
