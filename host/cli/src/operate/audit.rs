//! `tollgate audit`: what was changed, by whom, when.

use clap::Args;
use serde_json::Value;

use super::{GatewayArguments, list, text};
use crate::output::Table;

#[derive(Args)]
pub(crate) struct AuditArguments {
    /// Only the last so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    last: u32,
    #[command(flatten)]
    gateway: GatewayArguments,
}

pub(crate) fn run(arguments: &AuditArguments) -> anyhow::Result<()> {
    let answer = arguments.gateway.look(&format!("/admin/v1/audit?last={}", arguments.last))?;
    arguments.gateway.show(&answer, render)
}

fn render(answer: &Value) -> String {
    let mut table = Table::new(&["at", "who", "did", "to", "before", "after"]);
    for entry in list(answer, "entries") {
        table.row(["at", "who", "action", "target", "before", "after"].map(|member| text(&entry[member])));
    }
    table.render()
}
