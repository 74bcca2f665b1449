//! Budgets: what they allow, how their accounts stand, and a limit that changes while it runs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tollgate_core::{Budget, Nanodollars, Window, default_hard};
use tollgate_ledger::book::LimitError;
use tollgate_ledger::{AccountStanding, LedgerError};

use super::request::Ask;
use super::switches::words;
use super::{Answered, aside, changed, entry};
use crate::formats::{NextAction, Problem};
use crate::{Gateway, clock};

/// A limit as it is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLimit {
    /// What a window allows: `"25.00 USD"`.
    pub limit: String,
    /// What the ledger never lets pass; 110 % of the limit where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<String>,
    /// Why.
    pub reason: String,
}

/// Accounts that are told where nothing is said, and the most.
const ACCOUNTS: usize = 100;
const MAX_ACCOUNTS: usize = 10_000;

pub(super) fn list(ask: &Ask) -> Answered {
    let (ledger, now_ms) = (ask.gateway.accounts.ledger(), clock::now_ms());
    let (only, most) = (ask.text("budget"), ask.count("accounts", ACCOUNTS, MAX_ACCOUNTS)?);
    let budgets = ledger.budgets();
    if let Some(name) = only
        && budgets.named(name).is_none()
    {
        return Err(unknown(name));
    }
    let told = budgets.all().iter().filter(|budget| only.is_none_or(|only| *budget.name == *only));
    Ok(json!({
        "budgets": told.map(|budget| document(budget)).collect::<Vec<_>>(),
        "accounts": ledger.fullest(only, most, now_ms).iter().map(account).collect::<Vec<_>>(),
        "open_reservations": ledger.open_reservations(),
    }))
}

fn document(budget: &Budget) -> Value {
    let selector =
        budget.selector.iter().map(|(dimension, pattern)| (dimension.to_string(), json!(pattern.to_string())));
    json!({
        "name": budget.name, "for": selector.collect::<serde_json::Map<_, _>>(),
        "limit": budget.limit.to_string(), "hard": budget.hard.to_string(), "window": window(&budget.window),
        "owner": budget.owner,
    })
}

fn window(window: &Window) -> String {
    match window {
        Window::Total => "total".to_owned(),
        Window::Hour(_) => "hour".to_owned(),
        Window::Day(_) => "day".to_owned(),
        Window::Week(_) => "week".to_owned(),
        Window::Month(_) => "month".to_owned(),
        Window::Rolling { length_ms } => format!("last {}", tollgate_core::Milliseconds::new(*length_ms)),
    }
}

fn account(account: &AccountStanding) -> Value {
    let standing = &account.standing;
    let used = standing.spent.saturating_add(standing.reserved);
    json!({
        "account": account.account, "budget": account.budget,
        "spent": standing.spent.to_string(), "reserved": standing.reserved.to_string(),
        "limit": standing.limit.to_string(), "hard": standing.hard.to_string(),
        "left": standing.headroom().to_string(), "used_permille": used.permille_of(standing.limit),
        "window_end_ms": (standing.window_end_ms != u64::MAX).then_some(standing.window_end_ms),
    })
}

pub(super) async fn set_limit(ask: Ask) -> Answered {
    let (gateway, name, who) = (ask.gateway.clone(), ask.parameter().to_owned(), ask.holder.name.to_string());
    let entry = entry(&ask, "budget.limit", &*name);
    let asked: SetLimit = ask.body().await?;
    let reason = words("reason", asked.reason)?;
    let limit = amount("limit", &asked.limit)?;
    let hard = asked.hard.map_or_else(|| Ok(default_hard(limit)), |hard| amount("hard", &hard))?;
    let before = gateway.accounts.ledger().budgets().named(&name).cloned().ok_or_else(|| unknown(&name))?;
    let set = aside(&gateway, move |gateway| {
        let ledger = gateway.accounts.ledger();
        let set = ledger.set_limit(&name, (limit, hard), (&who, &reason), clock::now_ms());
        set.and_then(|ticket| Ok(ticket.wait()?)).map(|()| (name, reason))
    });
    let (name, reason) = set.await?.map_err(|error| not_set(&gateway, &error))?;
    let told = |limit: Nanodollars, hard: Nanodollars| json!({ "limit": limit.to_string(), "hard": hard.to_string() });
    let mut after = told(limit, hard);
    after["reason"] = reason.into();
    changed(&gateway, entry.before(told(before.limit, before.hard)).after(after)).await?;
    let now = gateway.accounts.ledger().budgets();
    Ok(json!({ "budget": now.named(&name).map(document) }))
}

fn not_set(gateway: &Gateway, error: &LedgerError<LimitError>) -> Problem {
    match error {
        LedgerError::Book(LimitError::Unknown { name }) => unknown(name),
        LedgerError::Book(LimitError::Budget(problem)) => Problem::bad_request("invalid-limit", problem.to_string()),
        LedgerError::Writer(_) | LedgerError::Store(_) => crate::call::ledger_failed(gateway, &error.to_string()),
    }
}

fn unknown(name: &str) -> Problem {
    let detail = format!("there is no budget `{name}`: `tollgate budgets` lists those there are");
    Problem::new(404, "no-such-budget", detail, NextAction::ChangeRequest)
}

/// Money in words: a bare number could be dollars or nanodollars.
pub(super) fn amount(name: &str, text: &str) -> Result<Nanodollars, Problem> {
    text.parse().map_err(|error: tollgate_core::MoneyError| {
        Problem::bad_request("invalid-amount", format!("`{name}`: {error}"))
    })
}
