//! An approval in words: what was asked, and what became of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tollgate_core::{Nanodollars, Reference};

use super::Question;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// Nobody has decided.
    Pending,
    /// Somebody said yes.
    Approved,
    /// Somebody said no.
    Denied,
}

impl fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
        })
    }
}

/// What somebody decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Yes or no.
    pub state: ApprovalState,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Until when it holds, likewise.
    pub until_ms: u64,
    /// By how much ceilings are raised; nothing where it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// For whom, as in `run=nightly-7`; nothing where it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary: Option<String>,
}

/// What was asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDocument {
    /// What it is called.
    pub id: String,
    /// How it stands.
    pub state: ApprovalState,
    /// In which run.
    pub run: String,
    /// In which task.
    pub task: String,
    /// In which work item, where one was named.
    pub work_item: Option<String>,
    /// What kind of task.
    pub task_type: Option<String>,
    /// Which policy holds it; `ledger` where a ceiling does, of a dispatch that was approved.
    pub policy: String,
    /// The name of the reason.
    pub rule: String,
    /// The reason in words, as it was last given.
    pub reason: String,
    /// What would be reserved for the dispatch, at least: an approval of less lets a policy pass, not a ceiling.
    pub needs: String,
    /// When it was asked first, in milliseconds since the Unix epoch.
    pub asked_ms: u64,
    /// When it was asked last, likewise.
    pub last_asked_ms: u64,
    /// How many times it was asked.
    pub asked: u64,
    /// When it is forgotten, likewise.
    pub ends_ms: u64,
    /// What was decided.
    pub verdict: Option<Verdict>,
}

impl ApprovalDocument {
    pub(super) fn new(id: String, question: &Question, now_ms: u64, pending_ms: u64) -> Self {
        Self {
            id,
            state: ApprovalState::Pending,
            run: question.run.clone(),
            task: question.task.clone(),
            work_item: question.work_item.clone(),
            task_type: question.task_type.clone(),
            policy: question.policy.clone(),
            rule: question.rule.clone(),
            reason: question.reason.clone(),
            needs: Nanodollars::new(question.needs).to_string(),
            asked_ms: now_ms,
            last_asked_ms: now_ms,
            asked: 1,
            ends_ms: now_ms.saturating_add(pending_ms),
            verdict: None,
        }
    }

    /// What its approval is called in the ledger, which takes each once.
    pub(crate) fn number(&self) -> u128 {
        let digits = self.id.strip_prefix("ap-").unwrap_or(&self.id);
        u128::from_str_radix(digits, 16).unwrap_or_else(|_| Reference::of(&self.id).as_u64().into())
    }

    /// Whether it is about the same. The numbers of a reason change from call to call.
    pub(super) fn asks(&self, question: &Question) -> bool {
        (&self.run, &self.task, &self.policy, &self.rule)
            == (&question.run, &question.task, &question.policy, &question.rule)
    }

    pub(super) fn asked_again(&mut self, question: &Question, now_ms: u64) {
        self.asked = self.asked.saturating_add(1);
        self.last_asked_ms = now_ms;
        if self.state == ApprovalState::Pending {
            self.reason.clone_from(&question.reason);
            self.needs = Nanodollars::new(question.needs).to_string();
            self.ends_ms = now_ms.saturating_add(super::PENDING_MS);
        }
    }

    pub(super) fn decide(&mut self, verdict: Verdict) {
        self.state = verdict.state;
        self.ends_ms = verdict.until_ms;
        self.verdict = Some(verdict);
    }
}
