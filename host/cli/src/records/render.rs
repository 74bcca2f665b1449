//! Decisions, verdicts and facts for people, the same wherever they are shown.

use std::sync::Arc;

use tollgate_core::SwitchMode;
use tollgate_ledger::records::{ReasonRecord, ResultRecord, SelectorRecord, SwitchRecord, VerdictRecord};

use super::facts::Fact;
use crate::output::Table;

/// What came of a dispatch, in one line.
pub(crate) fn headline(result: &ResultRecord) -> String {
    let by = result.by.as_deref().unwrap_or("host");
    let reason = result.reason.as_ref().map(ReasonRecord::text);
    let reason = reason.or_else(|| result.refusal.as_ref().map(|word| word.replace('-', " "))).unwrap_or_default();
    match (&*result.outcome, &result.model, &result.backend) {
        ("proceed", model, backend) => {
            let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or("unknown").to_owned();
            let cap = result.output_cap.map(|cap| format!(", at most {cap} output tokens")).unwrap_or_default();
            format!("proceed: {} on {}{cap}", name(model), name(backend))
        }
        ("slow", ..) => format!("slow: wait {} ms, then decide again (by {by})", result.wait_ms.unwrap_or(0)),
        (outcome, ..) => format!("{outcome}: {reason} (by {by})"),
    }
}

/// A verdict with what it carries beside its reason: `raise-floor premium`.
pub(crate) fn verdict(verdict: &VerdictRecord) -> String {
    let detail = verdict
        .tier
        .map(|tier| tier.to_string())
        .or_else(|| verdict.wait_ms.map(|milliseconds| format!("{milliseconds} ms")))
        .or_else(|| verdict.output_tokens.map(|tokens| format!("{tokens} tokens")))
        .or_else(|| verdict.candidate.map(|_| verdict.model.as_deref().unwrap_or("unknown").to_owned()))
        .or_else(|| verdict.failure.map(|failure| failure.as_str().to_owned()));
    match detail {
        Some(detail) => format!("{} {detail}", verdict.verdict),
        None => verdict.verdict.to_string(),
    }
}

/// Verdicts as rows; those of shadow policies in brackets.
pub(crate) fn verdicts<'a>(verdicts: impl Iterator<Item = (&'a VerdictRecord, bool)>) -> String {
    let mut table = Table::new(&["policy", "kind", "verdict", "why", "fuel"]);
    for (said, shadow) in verdicts {
        let word = if shadow { format!("({})", verdict(said)) } else { verdict(said) };
        let why = said.reason.as_ref().map(ReasonRecord::text).unwrap_or_default();
        table.row([said.policy.to_string(), said.kind.to_string(), word, why, said.fuel.to_string()]);
    }
    table.render()
}

/// A switch in one line.
pub(crate) fn switch(switch: &SwitchRecord) -> String {
    let covers = match &switch.covers {
        SelectorRecord::Everything => "everything".to_owned(),
        SelectorRecord::Scope { kind, .. } => format!("its {kind}"),
        SelectorRecord::Model(name) => format!("model {}", name.as_deref().unwrap_or("unknown")),
        SelectorRecord::TaskType(name) => format!("task type {}", name.as_deref().unwrap_or("unknown")),
    };
    let mode = match switch.mode {
        SwitchMode::Drain => "drain",
        SwitchMode::Cut => "cut",
    };
    format!("{mode} of {covers}, engaged by {}: {}", switch.author, switch.reason.text())
}

/// Facts as rows.
pub(crate) fn facts(facts: &[Fact]) -> String {
    let mut table = Table::new(&["fact", "value", "from"]);
    for fact in facts {
        let value = fact.value.as_str().map_or_else(|| fact.value.to_string(), str::to_owned);
        table.row([fact.fact.clone(), value, fact.from.as_str().to_owned()]);
    }
    table.render()
}
