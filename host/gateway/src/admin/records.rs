//! Decision records, looked through on the machine where they lie.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tollgate_core::{PolicyKind, ScopeKind};
use tollgate_ledger::records::{self, Event, Filter, Item, Lost, ReadError};

use super::request::{Ask, wrong_value};
use super::{Answered, aside};
use crate::Gateway;
use crate::formats::{NextAction, Problem};

/// Records that are told where nothing is said, and the most.
const RECORDS: usize = 100;
const MAX_RECORDS: usize = 1_000;
/// Files that are looked through where nothing is said, the latest; some forty thousand decisions.
const FILES: usize = 4;
/// As many as can be configured to be kept, and more.
const MAX_FILES: usize = 1_000_000;

pub(super) async fn query(ask: Ask) -> Answered {
    let (filter, most) = (filter(&ask)?, ask.count("last", RECORDS, MAX_RECORDS)?);
    let files = ask.count("files", FILES, MAX_FILES)?;
    let found = aside(&ask.gateway, move |gateway| look(gateway, &filter, most, files)).await?;
    found.map_err(|error| Problem::new(503, "not-readable", error.to_string(), NextAction::RetryAfter(5)))
}

fn filter(ask: &Ask) -> Result<Filter, Problem> {
    let text = |name: &str| ask.text(name).map(str::to_owned);
    let mut scopes = Vec::new();
    if let Some(run) = text("run") {
        scopes.push((ScopeKind::Run, run));
    }
    if let Some(scope) = ask.text("scope") {
        let form = || wrong_value("scope", scope, &"write a kind and a name, as in `team=red`");
        let (kind, name) = scope.split_once('=').ok_or_else(form)?;
        scopes.push((kind.parse().map_err(|_| form())?, name.to_owned()));
    }
    let outcome = text("outcome");
    if let Some(word) = outcome.as_deref().filter(|word| !["proceed", "slow", "hold", "refuse"].contains(word)) {
        return Err(wrong_value("outcome", word, &"use proceed, slow, hold or refuse"));
    }
    Ok(Filter {
        since_ms: ask.value("since")?,
        until_ms: ask.value("until")?,
        outcomes: outcome.into_iter().collect(),
        task: text("task"),
        task_type: text("task_type"),
        stage: text("stage"),
        scopes,
        model: text("model"),
        by: text("by"),
        policy: text("policy"),
        kind: ask.value::<PolicyKind>("kind")?,
        verdict: text("verdict"),
    })
}

fn look(gateway: &Gateway, filter: &Filter, most: usize, files: usize) -> Result<Value, ReadError> {
    let (mut found, mut lost, mut problems) = (VecDeque::new(), Lost::default(), Vec::new());
    let mut complete = true;
    match records::read(gateway.records.folder()) {
        // Nothing was recorded, or the folder is not there.
        Err(ReadError::None { .. }) => {}
        Err(ReadError::Folder { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(records) => {
            complete = records.files() <= files;
            for item in records.latest(files) {
                match item {
                    Item::Decision(recorded) if filter.matches(&recorded.decision) => {
                        found.push_back(json!(Event::of(&recorded)));
                        if found.len() > most {
                            found.pop_front();
                            complete = false;
                        }
                    }
                    Item::Decision(_) => {}
                    Item::Lost(more) => {
                        lost.queue_full = lost.queue_full.saturating_add(more.queue_full);
                        lost.write_failed = lost.write_failed.saturating_add(more.write_failed);
                    }
                    Item::Problem(problem) => problems.push(problem.to_string()),
                }
            }
        }
    }
    Ok(json!({
        "records": found, "complete": complete, "problems": problems,
        "lost": { "queue_full": lost.queue_full, "write_failed": lost.write_failed },
    }))
}
