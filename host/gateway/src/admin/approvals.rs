//! Approvals: what dispatches are held for, and what a human says about it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tollgate_core::{Milliseconds, Nanodollars};
use tollgate_ledger::LedgerError;
use tollgate_ledger::book::{self, Raise, RaiseError};

use super::budgets::amount;
use super::request::{Ask, wrong_value};
use super::switches::words;
use super::{Answered, AuditEntry, aside, changed, entry};
use crate::approvals::{ApprovalDocument, ApprovalState, DecideError, Verdict};
use crate::call::ledger_failed;
use crate::formats::{NextAction, Problem};
use crate::{Gateway, clock};

/// For whom something is approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beneficiary {
    /// All of the run that asked.
    #[default]
    Run,
    /// The task that asked, in its run.
    Task,
    /// The work item that it named.
    WorkItem,
}

/// A yes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// By how much ceilings are raised: `"5.00 USD"`; nothing where only the policy has to be content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// For how long it holds, in milliseconds.
    pub for_ms: u64,
    /// Why.
    pub reason: String,
    /// For whom.
    #[serde(default)]
    pub beneficiary: Beneficiary,
}

/// A no.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// For how long the same question is refused, in milliseconds.
    #[serde(default = "an_hour")]
    pub for_ms: u64,
    /// Why; the caller is told.
    pub reason: String,
}

const fn an_hour() -> u64 {
    3_600_000
}

/// A verdict holds for thirty days at most: one that nobody remembers should not go on holding.
const LONGEST_MS: u64 = 30 * 24 * 3_600_000;

pub(super) fn list(ask: &Ask) -> Answered {
    let known = ask.gateway.approvals.list(clock::now_ms());
    let told: Vec<_> = match ask.text("state") {
        None | Some("pending") => known.into_iter().filter(|one| one.state == ApprovalState::Pending).collect(),
        Some("all") => known,
        Some(other) => return Err(wrong_value("state", other, &"use pending or all")),
    };
    Ok(json!({ "approvals": told }))
}

pub(super) fn pending(gateway: &Gateway) -> usize {
    let known = gateway.approvals.list(clock::now_ms());
    known.iter().filter(|one| one.state == ApprovalState::Pending).count()
}

pub(super) fn one(ask: &Ask) -> Answered {
    let id = ask.parameter();
    let known = ask.gateway.approvals.get(id, clock::now_ms());
    known.map(|document| json!(document)).ok_or_else(|| refused(&DecideError::Unknown(id.to_owned())))
}

pub(super) async fn approve(ask: Ask) -> Answered {
    let (gateway, by, id) = (ask.gateway.clone(), ask.holder.name.to_string(), ask.parameter().to_owned());
    let entry = entry(&ask, "approval.approve", &*id);
    let asked: Approve = ask.body().await?;
    let reason = words("reason", asked.reason)?;
    let (now_ms, for_ms) = (clock::now_ms(), length(asked.for_ms)?);
    let document = pending_one(&gateway, &id, now_ms)?;
    let amount = asked.amount.map_or(Ok(Nanodollars::ZERO), |text| amount("amount", &text))?;
    let beneficiary = beneficiary(&document, asked.beneficiary)?;
    let verdict = Verdict {
        state: ApprovalState::Approved,
        by,
        reason,
        at_ms: now_ms,
        until_ms: now_ms.saturating_add(for_ms),
        amount: Some(amount.to_string()),
        beneficiary: Some(beneficiary.clone()),
    };
    let raise = Raise {
        // Given twice, it counts once.
        id: document.number(),
        beneficiary: beneficiary.into(),
        budget: None,
        amount,
        until_ms: verdict.until_ms,
        author: verdict.by.as_str().into(),
        reason: verdict.reason.as_str().into(),
    };
    let raised = aside(&gateway, move |gateway| {
        let raised = gateway.accounts.ledger().approve(raise, now_ms);
        raised.and_then(|ticket| Ok(ticket.wait()?))
    });
    raised.await?.map_err(|error| not_raised(&gateway, &error))?;
    settle(&gateway, entry, &id, verdict).await
}

pub(super) async fn deny(ask: Ask) -> Answered {
    let (gateway, by, id) = (ask.gateway.clone(), ask.holder.name.to_string(), ask.parameter().to_owned());
    let entry = entry(&ask, "approval.deny", &*id);
    let asked: Deny = ask.body().await?;
    let (now_ms, for_ms) = (clock::now_ms(), length(asked.for_ms)?);
    let verdict = Verdict {
        state: ApprovalState::Denied,
        by,
        reason: words("reason", asked.reason)?,
        at_ms: now_ms,
        until_ms: now_ms.saturating_add(for_ms),
        amount: None,
        beneficiary: None,
    };
    settle(&gateway, entry, &id, verdict).await
}

/// Takes a verdict down, and lets those go on who wait for it.
async fn settle(gateway: &std::sync::Arc<Gateway>, entry: AuditEntry, id: &str, verdict: Verdict) -> Answered {
    let (before, after) = gateway.approvals.decide(id, verdict, clock::now_ms()).map_err(|error| refused(&error))?;
    changed(gateway, entry.before(json!(before)).after(json!(after))).await?;
    Ok(json!(after))
}

fn pending_one(gateway: &Gateway, id: &str, now_ms: u64) -> Result<ApprovalDocument, Problem> {
    let known = gateway.approvals.get(id, now_ms).ok_or_else(|| refused(&DecideError::Unknown(id.to_owned())))?;
    match known.state {
        ApprovalState::Pending => Ok(known),
        state => Err(refused(&DecideError::Decided(id.to_owned(), state))),
    }
}

fn beneficiary(document: &ApprovalDocument, whom: Beneficiary) -> Result<String, Problem> {
    match whom {
        Beneficiary::Run => Ok(book::Beneficiary::Run(&document.run).to_string()),
        Beneficiary::Task => Ok(book::Beneficiary::Task { run: &document.run, task: &document.task }.to_string()),
        Beneficiary::WorkItem => match &document.work_item {
            Some(item) => Ok(book::Beneficiary::WorkItem(item).to_string()),
            None => {
                let detail = "it named no work item: approve it for its run or its task";
                Err(Problem::bad_request("no-work-item", detail))
            }
        },
    }
}

fn length(for_ms: u64) -> Result<u64, Problem> {
    if (1..=LONGEST_MS).contains(&for_ms) {
        return Ok(for_ms);
    }
    let longest = Milliseconds::new(LONGEST_MS);
    Err(Problem::bad_request("invalid-time", format!("`for_ms` has to be from 1 to {LONGEST_MS} ({longest})")))
}

fn not_raised(gateway: &Gateway, error: &LedgerError<RaiseError>) -> Problem {
    match error {
        LedgerError::Book(error) => Problem::new(409, "not-raised", error.to_string(), NextAction::ChangeRequest),
        LedgerError::Writer(_) | LedgerError::Store(_) => ledger_failed(gateway, &error.to_string()),
    }
}

fn refused(error: &DecideError) -> Problem {
    let (status, code) = match error {
        DecideError::Unknown(_) => (404, "no-such-approval"),
        DecideError::Decided(..) => (409, "decided"),
    };
    Problem::new(status, code, error.to_string(), NextAction::ChangeRequest)
}
