//! Who may do what, and what was done.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::MAX_READ;
use super::request::Ask;
use super::tokens::{Role, TokenError};
use super::{Answered, aside, changed, entry};
use crate::Gateway;
use crate::formats::{NextAction, Problem};

/// A token to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What its holder is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// How many entries of the audit log are told where nothing is said.
const AUDIT_ENTRIES: usize = 100;

pub(super) fn tokens(gateway: &Gateway) -> Value {
    json!({ "tokens": gateway.tokens.list() })
}

pub(super) async fn create_token(ask: Ask) -> Answered {
    let (gateway, author, entry) = (ask.gateway.clone(), ask.holder.name.clone(), entry(&ask, "token.create", ""));
    let asked: CreateToken = ask.body().await?;
    let made = aside(&gateway, move |gateway| gateway.tokens.create(&asked.name, asked.role, &author)).await?;
    let (token, secret) = made.map_err(|error| refused(&gateway, &error))?;
    let entry = super::AuditEntry { target: token.name.clone(), ..entry };
    changed(&gateway, entry.after(json!(token))).await?;
    Ok(json!({ "name": token.name, "role": token.role, "token": secret }))
}

pub(super) async fn revoke_token(ask: Ask) -> Answered {
    let (gateway, name) = (ask.gateway.clone(), ask.parameter().to_owned());
    let entry = entry(&ask, "token.revoke", &*name);
    let revoked = aside(&gateway, move |gateway| gateway.tokens.revoke(&name)).await?;
    let token = revoked.map_err(|error| refused(&gateway, &error))?;
    changed(&gateway, entry.before(json!(token))).await?;
    Ok(tokens(&gateway))
}

fn refused(gateway: &Gateway, error: &TokenError) -> Problem {
    let (status, code) = match error {
        TokenError::Name(_) => (400, "invalid-token"),
        TokenError::Taken(_) | TokenError::Start | TokenError::TooMany => (409, "token-conflict"),
        TokenError::Unknown(_) => (404, "no-such-token"),
        TokenError::File { .. } => {
            gateway.log.line(&error.to_string());
            return Problem::new(500, "not-written", format!("nothing has changed: {error}"), NextAction::Stop);
        }
    };
    Problem::new(status, code, error.to_string(), NextAction::ChangeRequest)
}

pub(super) async fn audit(ask: Ask) -> Answered {
    let count = ask.count("last", AUDIT_ENTRIES, MAX_READ)?;
    let read = aside(&ask.gateway, move |gateway| gateway.audit.last(count)).await?;
    let entries = read.map_err(|error| {
        ask.gateway.log.line(&format!("audit: {error}"));
        Problem::new(503, "not-readable", format!("the audit log cannot be read: {error}"), NextAction::RetryAfter(5))
    })?;
    Ok(json!({ "entries": entries }))
}
