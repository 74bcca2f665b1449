//! Which records are looked for. Everything that is said has to hold.

use tollgate_core::{PolicyKind, ScopeKind};

use super::form::{DecisionRecord, Thing, VerdictRecord};

/// What is looked for; what is not said is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Decided at this moment or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Decided before this moment, likewise.
    pub until_ms: Option<u64>,
    /// `proceed`, `slow`, `hold` or `refuse`; one of them, where several are named.
    pub outcomes: Vec<String>,
    /// The task's name.
    pub task: Option<String>,
    /// The task's type.
    pub task_type: Option<String>,
    /// The stage.
    pub stage: Option<String>,
    /// Scopes by their names.
    pub scopes: Vec<(ScopeKind, String)>,
    /// The model it went to.
    pub model: Option<String>,
    /// The policy that settled the outcome, or `host`.
    pub by: Option<String>,
    /// A policy that was asked.
    pub policy: Option<String>,
    /// As which kind it was asked.
    pub kind: Option<PolicyKind>,
    /// What it said.
    pub verdict: Option<String>,
}

impl Filter {
    /// Whether a record is one of those that are looked for.
    #[must_use]
    pub fn matches(&self, record: &DecisionRecord) -> bool {
        let (input, result) = (&record.input, &record.result);
        let is =
            |wanted: &Option<String>, name: Option<&str>| wanted.as_deref().is_none_or(|wanted| name == Some(wanted));
        let thing_is = |thing: Option<&Thing>, name: &str| thing.is_some_and(|thing| thing.is(name));
        self.since_ms.is_none_or(|since_ms| input.now_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| input.now_ms < until_ms)
            && (self.outcomes.is_empty() || self.outcomes.iter().any(|outcome| *outcome == result.outcome))
            && self.task.as_deref().is_none_or(|task| thing_is(input.task.as_ref(), task))
            && is(&self.task_type, input.task_type.as_deref())
            && is(&self.stage, input.stage.as_deref())
            && self.scopes.iter().all(|(kind, name)| thing_is(input.scopes.get(kind), name))
            && is(&self.model, result.model.as_deref())
            && is(&self.by, result.by.as_deref())
            && (!self.is_about_verdicts() || record.verdicts().any(|verdict| self.matches_verdict(verdict)))
    }

    const fn is_about_verdicts(&self) -> bool {
        self.policy.is_some() || self.kind.is_some() || self.verdict.is_some()
    }

    fn matches_verdict(&self, verdict: &VerdictRecord) -> bool {
        self.policy.as_deref().is_none_or(|policy| *verdict.policy == *policy)
            && self.kind.is_none_or(|kind| verdict.kind == kind)
            && self.verdict.as_deref().is_none_or(|word| verdict.verdict == word)
    }
}
