//! Switches: engage, lift, list.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::Ask;
use super::{Answered, changed, entry, not_written};
use crate::formats::{NextAction, Problem};
use crate::switches::{self, SwitchDocument};
use crate::{Gateway, clock};

/// A switch to be engaged, as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// See [`SwitchDocument::covers`].
    pub covers: String,
    /// Whether open streams are cut as well.
    pub mode: tollgate_core::SwitchMode,
    /// Why.
    pub reason: String,
    /// Who asks for it; the token's name where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// After how many milliseconds it ends by itself; nothing for one that has to be lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// Switches to be lifted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnkillRequest {
    /// See [`SwitchDocument::covers`].
    pub covers: String,
}

/// Names and reasons go into tables, and must not take over a terminal.
const MAX_WORDS_BYTES: usize = 256;

pub(super) fn engaged(gateway: &Gateway) -> Vec<SwitchDocument> {
    let (board, now_ms) = (gateway.host.switches(), clock::now_ms());
    let engaged = board.switches().iter().filter(|switch| switch.is_engaged(now_ms));
    engaged.map(|switch| switches::write(gateway.host.symbols(), &gateway.labels, switch)).collect()
}

pub(super) fn list(gateway: &Gateway) -> Value {
    json!({ "switches": engaged(gateway) })
}

pub(super) async fn kill(ask: Ask) -> Answered {
    let (gateway, mut entry) = (ask.gateway.clone(), entry(&ask, "switch.engage", ""));
    let holder = ask.holder.name.to_string();
    let asked: KillRequest = ask.body().await?;
    if asked.for_ms == Some(0) {
        return Err(Problem::bad_request(
            "invalid-switch",
            "a switch that ends at once stops nothing: say how long it holds",
        ));
    }
    let now_ms = clock::now_ms();
    let document = SwitchDocument {
        covers: asked.covers,
        mode: asked.mode,
        reason: words("reason", asked.reason)?,
        author: words("author", asked.author.unwrap_or(holder))?,
        engaged_ms: now_ms,
        expires_ms: asked.for_ms.map(|length| now_ms.saturating_add(length)),
        evidence: None,
    };
    let invalid = |error: &dyn std::fmt::Display| Problem::bad_request("invalid-switch", error.to_string());
    let switch = switches::read(&gateway.host, &gateway.labels, &document).map_err(|error| invalid(&error))?;
    gateway.host.engage(switch).map_err(|error| invalid(&error))?;
    gateway.bell.ring();
    // Once it is answered, nothing that it covers goes on, whatever is asked for next. The disk waits, and leaves the processors to
    // the streams that are told.
    gateway.bell.heard().await;
    save(&gateway).await?;
    gateway.log.line(&format!("switch engaged by {}", document.author));
    entry.target.clone_from(&document.covers);
    changed(&gateway, entry.after(json!(document))).await?;
    Ok(list(&gateway))
}

pub(super) async fn unkill(ask: Ask) -> Answered {
    let (gateway, entry) = (ask.gateway.clone(), entry(&ask, "switch.lift", ""));
    let asked: UnkillRequest = ask.body().await?;
    let selector = switches::selector(&gateway.host, &gateway.labels, &asked.covers);
    let selector = selector.map_err(|error| Problem::bad_request("invalid-switch", error.to_string()))?;
    let board = gateway.host.switches();
    let covering = board.switches().iter().filter(|switch| switch.selector == selector);
    let symbols = gateway.host.symbols();
    let lifted: Vec<_> = covering.map(|switch| switches::write(symbols, &gateway.labels, switch)).collect();
    if lifted.is_empty() {
        let detail = format!("no switch covers `{}`: `tollgate switches` lists those there are", asked.covers);
        return Err(Problem::new(404, "no-such-switch", detail, NextAction::ChangeRequest));
    }
    // What was engaged a moment ago has cut what it covered.
    gateway.bell.heard().await;
    gateway.host.lift(selector);
    gateway.bell.ring();
    save(&gateway).await?;
    gateway.log.line("switch lifted");
    let entry = super::AuditEntry { target: asked.covers, ..entry };
    changed(&gateway, entry.before(json!(lifted))).await?;
    Ok(list(&gateway))
}

/// What a person wrote and others will read.
pub(super) fn words(name: &str, text: String) -> Result<String, Problem> {
    let wrong = |problem: &str| Problem::bad_request("invalid-request", format!("`{name}` {problem}"));
    if text.trim().is_empty() {
        Err(wrong("is missing: say it, in a few words"))
    } else if text.len() > MAX_WORDS_BYTES {
        Err(wrong(&format!("has more than {MAX_WORDS_BYTES} bytes: say it shorter")))
    } else if text.contains(char::is_control) {
        Err(wrong("has a control character: leave it out"))
    } else {
        Ok(text)
    }
}

/// A switch that would not survive a restart is engaged all the same, and whoever engaged it is told.
async fn save(gateway: &Arc<Gateway>) -> Result<(), Problem> {
    gateway.save_switches().await.map_err(|error| not_written(gateway, "switches", &error))
}
