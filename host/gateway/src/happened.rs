//! What changes by itself, or by a thread that must not wait for the disk, on its way into the audit log.

use std::sync::Arc;

use serde_json::json;
use tollgate_runtime::{Cause, Event};

use crate::admin::audit::AuditEntry;
use crate::{Gateway, clock, switches};

/// Leaves an event of the host to be written down, where it changed something.
pub(crate) fn leave(gateway: &Gateway, event: &Event) {
    if let Some(entry) = entry(gateway, event) {
        gateway.audit.leave(entry);
    }
}

fn entry(gateway: &Gateway, event: &Event) -> Option<AuditEntry> {
    let now_ms = clock::now_ms();
    Some(match event {
        Event::SwitchEngaged(switch) => {
            let document = switches::write(gateway.host.symbols(), &gateway.labels, switch);
            AuditEntry::new(now_ms, &switch.author, "switch.engage", &*document.covers).after(json!(document))
        }
        Event::GenerationServes { generation, before, cause } => {
            let entry = AuditEntry::new(now_ms, who(cause), "generation.serve", format!("generation {generation}"));
            entry
                .before(json!({ "generation": before }))
                .after(json!({ "generation": generation, "because": cause.to_string() }))
        }
        Event::CandidateBegins { generation, beside } => {
            let entry = AuditEntry::new(now_ms, "host", "candidate.begin", format!("generation {generation}"));
            entry.after(json!({ "generation": generation, "beside": beside }))
        }
        Event::CandidateDiscarded { generation, reason } => {
            let entry = AuditEntry::new(now_ms, "host", "candidate.discard", format!("generation {generation}"));
            entry.before(json!({ "generation": generation })).after(json!({ "reason": reason }))
        }
        Event::PolicyQuarantined { policy, quarantine } => {
            let entry = AuditEntry::new(now_ms, "host", "policy.quarantine", format!("policy {policy}"));
            entry.after(json!({ "until_ms": quarantine.until_ms }))
        }
        Event::PolicyReturned { policy, .. } => {
            AuditEntry::new(now_ms, "host", "policy.return", format!("policy {policy}"))
        }
        _ => return None,
    })
}

fn who(cause: &Cause) -> &str {
    match cause {
        Cause::Start => "start",
        Cause::Watched(_) => "watcher",
        Cause::Request(by) | Cause::Rollback(by) | Cause::Promotion(by) => by,
    }
}

/// Writes down what was left, until the gateway ends.
pub(crate) fn keep(gateway: &Arc<Gateway>) {
    let keeping = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = keeping.ending.cancelled() => return,
                () = keeping.audit.news.notified() => {}
            }
            let writing = Arc::clone(&keeping);
            let written = tokio::task::spawn_blocking(move || writing.audit.catch_up(clock::now_ms())).await;
            if let Ok(Err(error)) = written {
                keeping.log.line(&format!("audit: {error}"));
            }
        }
    });
}
