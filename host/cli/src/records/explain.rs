//! `tollgate explain`: one recorded decision, with every fact and where it came from, and every verdict.

use std::fmt::Write;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use tollgate_ledger::records::{self, DecisionId, Event, Item, Recorded};

use super::facts::Fact;
use super::{RecordsArguments, facts, render, tell_problem};
use crate::output::{self, Table};

#[derive(Args)]
pub(crate) struct ExplainArguments {
    /// The decision, as `tollgate log` names it.
    decision: DecisionId,
    #[command(flatten)]
    records: RecordsArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    event: Event<'a>,
    facts: &'a [Fact],
}

pub(crate) fn run(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let recorded = find(arguments)?;
    let facts = facts::of(&recorded.decision.input)?;
    if arguments.json {
        return output::print_json(&Explained { event: Event::of(&recorded), facts: &facts });
    }
    let mut text = String::new();
    explain(&mut text, &recorded, &facts)?;
    output::print(&text)
}

fn find(arguments: &ExplainArguments) -> anyhow::Result<Recorded> {
    let folder = &arguments.records.records;
    let mut records = records::read(folder)?;
    let mut lost = 0_u64;
    for item in &mut records {
        match item {
            Item::Decision(recorded) if recorded.decision.decision_id == arguments.decision => return Ok(*recorded),
            Item::Decision(_) => {}
            Item::Lost(more) => lost = lost.saturating_add(more.all()),
            Item::Problem(problem) => tell_problem(&problem),
        }
    }
    if let Some(cut) = records.cut() {
        tell_problem(&cut);
    }
    let lost = if lost > 0 { format!(", where {lost} decisions were lost") } else { String::new() };
    bail!(
        "no decision `{}` in `{}`{lost}: it is in another folder, or in a file that was deleted for its age",
        arguments.decision,
        folder.display(),
    )
}

fn explain(text: &mut String, recorded: &Recorded, facts: &[Fact]) -> anyhow::Result<()> {
    let decision = &recorded.decision;
    let (input, result) = (&decision.input, &decision.result);
    writeln!(text, "{}", render::headline(result))?;
    writeln!(
        text,
        "decision {}, at {}, by generation {} in {} ns",
        decision.decision_id,
        records::rfc3339(input.now_ms),
        result.generation,
        decision.metrics.timer_decide_ns,
    )?;
    writeln!(text, "\nverdicts")?;
    let is_shadow = |verdict| decision.shadow.iter().any(|shadow| std::ptr::eq(shadow, verdict));
    text.push_str(&render::verdicts(decision.verdicts().map(|verdict| (verdict, is_shadow(verdict)))));
    let covered = &input.covered;
    if covered.by.is_some() || !covered.candidates.is_empty() {
        writeln!(text, "\nswitches")?;
    }
    if let Some(switch) = &covered.by {
        writeln!(text, "  {}", render::switch(switch))?;
    }
    if let Some(reason) = covered.candidates_reason.as_ref().filter(|_| !covered.candidates.is_empty()) {
        writeln!(text, "  over the models of candidates {:?}: {}", covered.candidates, reason.text())?;
    }
    writeln!(text, "\nfacts; those that are not listed had their neutral values")?;
    text.push_str(&render::facts(facts));
    if input.cut {
        writeln!(text, "  longer lists were cut: this cannot be decided again as it was")?;
    }
    writeln!(text, "\npolicies")?;
    let mut table = Table::new(&["policy", "plugin", "version", "digest"]);
    for policy in &recorded.policies.policies {
        let cells = [&*policy.policy, &policy.plugin, &policy.version, &policy.digest];
        table.row(cells.map(str::to_owned));
    }
    text.push_str(&table.render());
    Ok(())
}
