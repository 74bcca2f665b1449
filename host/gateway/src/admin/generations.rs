//! Generations of policies: what runs and ran, going back, loading anew, and the candidate beside what runs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tollgate_runtime::{Cause, GenerationStatus, PromotionError, ReloadError, RollbackError};

use super::request::Ask;
use super::{Answered, aside, status};
use crate::Gateway;
use crate::formats::{NextAction, Problem};

/// Which generation is to decide again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// Its number; the one before where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// A request that says nothing more.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) fn list(gateway: &Gateway) -> Value {
    let status = gateway.host.status();
    json!({
        "running": generation(&status.running),
        "because": status.because.to_string(),
        "earlier": status.earlier.iter().map(generation).collect::<Vec<_>>(),
        "last_failure": status.last_failure.map(|failure| json!({
            "because": failure.cause.to_string(), "reason": failure.reason, "at_ms": failure.at_ms,
        })),
    })
}

fn generation(generation: &GenerationStatus) -> Value {
    json!({
        "id": generation.id, "because": generation.cause.to_string(), "loaded_ms": generation.loaded_ms,
        "policies": status::policy_list(&generation.policies),
    })
}

pub(super) async fn roll_back(ask: Ask) -> Answered {
    let (gateway, by) = (ask.gateway.clone(), ask.holder.name.clone());
    let asked: RollBack = ask.body().await?;
    let back = aside(&gateway, move |gateway| match asked.generation {
        None => gateway.host.roll_back(&by),
        Some(generation) => gateway.host.roll_back_to(generation, &by),
    });
    back.await?.map_err(|error| match error {
        RollbackError::NothingEarlier => Problem::new(409, "nothing-earlier", error.to_string(), NextAction::Stop),
        RollbackError::NotKept { .. } => Problem::new(404, "not-kept", error.to_string(), NextAction::ChangeRequest),
    })?;
    Ok(list(&gateway))
}

pub(super) async fn reload(ask: Ask) -> Answered {
    let (gateway, by) = (ask.gateway.clone(), ask.holder.name.to_string());
    ask.body::<Nothing>().await?;
    let Some(file) = gateway.settings.configuration_file.clone() else {
        let detail = "it was started without a configuration: `tollgate serve --config` names one";
        return Err(Problem::new(409, "no-configuration", detail, NextAction::Stop));
    };
    let reloaded = aside(&gateway, move |gateway| gateway.host.reload_file(file, Cause::Request(by)));
    reloaded.await?.map_err(|error| match error {
        ReloadError::Superseded => Problem::new(409, "superseded", error.to_string(), NextAction::RetryAfter(1)),
        _ => Problem::new(422, "not-taken", error.to_string(), NextAction::ChangeRequest),
    })?;
    Ok(list(&gateway))
}

pub(super) async fn candidate(ask: Ask) -> Answered {
    let report = aside(&ask.gateway, |gateway| gateway.host.candidate()).await?;
    Ok(json!({ "candidate": report }))
}

pub(super) async fn promote(ask: Ask) -> Answered {
    let (gateway, by) = (ask.gateway.clone(), ask.holder.name.clone());
    ask.body::<Nothing>().await?;
    let promoted = aside(&gateway, move |gateway| gateway.host.promote(&by)).await?;
    promoted.map_err(|error| match error {
        PromotionError::NoCandidate => Problem::new(404, "no-candidate", error.to_string(), NextAction::Stop),
        PromotionError::Superseded => Problem::new(409, "superseded", error.to_string(), NextAction::Stop),
    })?;
    Ok(list(&gateway))
}

pub(super) async fn discard(ask: Ask) -> Answered {
    let (gateway, by) = (ask.gateway.clone(), ask.holder.name.clone());
    ask.body::<Nothing>().await?;
    let report = aside(&gateway, move |gateway| gateway.host.discard(&by)).await?;
    let none = || Problem::new(404, "no-candidate", PromotionError::NoCandidate.to_string(), NextAction::Stop);
    Ok(json!({ "candidate": report.ok_or_else(none)? }))
}
