//! How it stands.

use serde_json::{Value, json};

use super::switches::engaged;
use crate::Gateway;
use crate::clock;

pub(super) fn status(gateway: &Gateway) -> Value {
    let status = gateway.host.status();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": clock::now_ms(),
        "generation": { "id": status.running.id, "because": status.because.to_string(), "loaded_ms": status.running.loaded_ms },
        "last_failure": status.last_failure.map(|failure| json!({
            "because": failure.cause.to_string(), "reason": failure.reason, "at_ms": failure.at_ms,
        })),
        "policies": policy_list(&status.running.policies),
        "backends": backends(gateway),
        "records": records(gateway),
        "switches": engaged(gateway).len(),
        "approvals": super::approvals::pending(gateway),
        "keys": { "in_force": gateway.keys.in_force(), "known": gateway.keys.count() },
        "untold": gateway.untold.document(),
        "unmetered": gateway.unmetered.document(),
        "under_way": gateway.under_way(),
    })
}

pub(super) fn policies(gateway: &Gateway) -> Value {
    let status = gateway.host.status();
    json!({
        "generation": status.running.id,
        "policies": policy_list(&status.running.policies),
        "purity": status.purity,
    })
}

/// The policies of a generation, as they fare.
pub(super) fn policy_list(policies: &[tollgate_runtime::PolicyStatus]) -> Value {
    let policy = |policy: &tollgate_runtime::PolicyStatus| {
        json!({
            "name": policy.policy, "plugin": policy.plugin, "version": policy.version, "digest": policy.digest,
            "mode": policy.mode, "service": policy.service, "last_good": policy.last_good,
        })
    };
    policies.iter().map(policy).collect()
}

fn backends(gateway: &Gateway) -> Value {
    let (serving, now_ms) = (gateway.upstream.serving(), clock::now_ms());
    let symbols = gateway.host.symbols();
    let backend = |offered: &tollgate_core::Backend| {
        let backend = serving.backend(offered.name)?;
        let models: Vec<String> = offered.models.iter().map(|model| symbols.display(*model).to_string()).collect();
        Some(json!({
            "name": backend.name, "api": backend.api.as_str(), "health": backend.health(now_ms),
            "under_way": backend.under_way(), "models": models,
        }))
    };
    serving.catalogue.backends().iter().filter_map(backend).collect()
}

/// How the decision records fare: what is lost is seen here.
fn records(gateway: &Gateway) -> Value {
    let status = gateway.records.status().unwrap_or_default();
    json!({
        "enabled": gateway.records.is_on(), "written": status.written, "waiting": status.waiting,
        "lost": { "queue_full": status.lost.queue_full, "write_failed": status.lost.write_failed },
    })
}
