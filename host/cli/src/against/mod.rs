//! `tollgate replay --against`: recorded dispatches through another set of policies, and what that would have changed.
//!
//! read records ─► decide each again with the facts and switches it had ─► compare ([`compare`]) ─► add up ([`tally`]) ─► print ([`render`])
//!
//! Each dispatch keeps the facts it had. What another decision would have led to (a run that was stopped spends nothing more,
//! a task that waited fails later) is not known and not guessed.

mod compare;
mod render;
mod tally;

use std::path::Path;

use anyhow::bail;
use tollgate_core::Configuration;
use tollgate_gateway::policy_set;
use tollgate_ledger::records::{self, Item, Lost, ResultRecord};

use crate::output;
use crate::records::{tell_lost, tell_problem};
use crate::setup::SetupArguments;
use tally::Tally;

/// Decides the records of a folder again with the policies of a configuration.
pub(crate) fn run(folder: &Path, setup: &SetupArguments, json: bool) -> anyhow::Result<()> {
    if folder.is_file() {
        bail!(
            "`{}` is a file: `--against` replays the folder that `--records` wrote; a trace is replayed with `--config`",
            folder.display(),
        );
    }
    let configuration: Configuration = setup.configuration()?;
    let mut records = records::read(folder)?;
    let host = setup.host_builder()?.build(&configuration)?;
    let mut tally = Tally::default();
    let mut lost = Lost::default();
    for item in &mut records {
        match item {
            Item::Decision(recorded) if recorded.decision.input.cut => tally.pass_over(),
            Item::Decision(recorded) => {
                let (dispatch, covered) = recorded.decision.input.to_dispatch(host.symbols());
                let decision = host.decide_again(&dispatch, covered);
                let policies = tally.policies_of(decision.generation, || {
                    policy_set(decision.generation, &host.policies_of(decision.generation).unwrap_or_default())
                });
                let (result, shadow) = ResultRecord::of(&decision, &dispatch, host.symbols(), policies);
                tally.add(&recorded, &result, &shadow);
            }
            Item::Lost(more) => {
                lost.queue_full = lost.queue_full.saturating_add(more.queue_full);
                lost.write_failed = lost.write_failed.saturating_add(more.write_failed);
            }
            Item::Problem(problem) => tell_problem(&problem),
        }
    }
    if let Some(cut) = records.cut() {
        tell_problem(&cut);
    }
    tell_lost(&lost);
    let summary = tally.summary(lost.all());
    if summary.decisions == 0 {
        bail!("the records in `{}` hold no decision that can be made again", folder.display());
    }
    if json { output::print_json(&summary) } else { output::print(&render::summary(&summary)) }
}
