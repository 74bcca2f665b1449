//! `tollgate generations`, `rollback`, `reload`, `promote`, `discard`: which policies decide.

use clap::Args;
use serde_json::{Value, json};
use tollgate_gateway::RollBack;

use super::{GatewayArguments, list, moment, text};
use crate::output::Table;

#[derive(Args)]
pub(crate) struct GenerationsArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Args)]
pub(crate) struct RollBackArguments {
    /// The generation that is to decide again; the one before where nothing is said.
    generation: Option<u64>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

pub(crate) fn list_them(arguments: &GenerationsArguments) -> anyhow::Result<()> {
    let answer = arguments.gateway.look("/admin/v1/generations")?;
    arguments.gateway.show(&answer, render)
}

pub(crate) fn roll_back(arguments: &RollBackArguments) -> anyhow::Result<()> {
    let asked = RollBack { generation: arguments.generation };
    let answer = arguments.gateway.ask("POST", "/admin/v1/generations/rollback", Some(&asked))?;
    arguments.gateway.show(&answer, render)
}

pub(crate) fn reload(arguments: &GenerationsArguments) -> anyhow::Result<()> {
    act(arguments, "/admin/v1/reload")
}

pub(crate) fn promote(arguments: &GenerationsArguments) -> anyhow::Result<()> {
    act(arguments, "/admin/v1/candidate/promote")
}

pub(crate) fn discard(arguments: &GenerationsArguments) -> anyhow::Result<()> {
    let answer = arguments.gateway.ask("POST", "/admin/v1/candidate/discard", Some(&json!({})))?;
    arguments.gateway.show(&answer, |answer| compared(&answer["candidate"]))
}

pub(crate) fn candidate(arguments: &GenerationsArguments) -> anyhow::Result<()> {
    let answer = arguments.gateway.look("/admin/v1/candidate")?;
    arguments.gateway.show(&answer, |answer| match answer["candidate"].is_null() {
        true => "no candidate is under way\n".to_owned(),
        false => compared(&answer["candidate"]),
    })
}

fn act(arguments: &GenerationsArguments, path: &str) -> anyhow::Result<()> {
    let answer = arguments.gateway.ask("POST", path, Some(&json!({})))?;
    arguments.gateway.show(&answer, render)
}

fn render(answer: &Value) -> String {
    let mut table = Table::new(&["generation", "loaded", "because", "policies"]);
    let mut row = |generation: &Value, because: &Value, mark: &str| {
        let policies = list(generation, "policies").iter().map(|policy| {
            let shadow = if policy["mode"] == "shadow" { " (shadow)" } else { "" };
            format!("{} {}{shadow}", text(&policy["name"]), text(&policy["version"]))
        });
        let number = format!("{}{mark}", generation["id"]);
        let policies = policies.collect::<Vec<_>>().join(", ");
        table.row([number, moment(&generation["loaded_ms"]), text(because), policies]);
    };
    row(&answer["running"], &answer["because"], " (decides)");
    for generation in list(answer, "earlier") {
        row(generation, &generation["because"], "");
    }
    table.render()
}

fn compared(report: &Value) -> String {
    let mut table = Table::new(&["", "runs", "candidate"]);
    let dollars = |name: &str| {
        let nanodollars = report[name].as_u64().unwrap_or(0);
        tollgate_core::Nanodollars::new(nanodollars).to_string()
    };
    table.row(["expected cost".to_owned(), dollars("live_cost"), dollars("candidate_cost")]);
    for (name, member) in [
        ("evaluations", "evaluations"),
        ("failures", "failures"),
        ("median, ns", "p50_ns"),
        ("99th percentile, ns", "p99_ns"),
    ] {
        table.row([name.to_owned(), text(&report["live"][member]), text(&report["candidate"][member])]);
    }
    format!(
        " generation {} decided {} times beside what runs, and {} times the same; {} were not compared\n{}",
        report["generation"],
        report["compared"],
        report["agreed"],
        report["lost"],
        table.render()
    )
}
