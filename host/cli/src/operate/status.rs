//! `tollgate status`: how a running gateway stands.

use clap::Args;
use serde_json::Value;

use super::{GatewayArguments, list, moment, text};
use crate::output::Table;

#[derive(Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
}

pub(crate) fn run(arguments: &StatusArguments) -> anyhow::Result<()> {
    let status = arguments.gateway.look("/admin/v1/status")?;
    arguments.gateway.show(&status, render)
}

fn render(status: &Value) -> String {
    let mut whole = Table::new(&["", ""]);
    let mut line = |name: &str, value: String| whole.row([name.to_owned(), value]);
    let generation = &status["generation"];
    line(
        "generation",
        format!("{} ({}), {}", generation["id"], text(&generation["because"]), moment(&generation["loaded_ms"])),
    );
    line("calls under way", text(&status["under_way"]));
    line("switches engaged", text(&status["switches"]));
    if let Some(pending) = status.get("approvals") {
        line("approvals pending", text(pending));
    }
    let (records, share) = (&status["records"], |name: &str| permille(&status["untold"][name]));
    line(
        "decisions recorded",
        format!("{} ({})", records["written"], if records["enabled"] == true { "on" } else { "off" }),
    );
    line("decisions not recorded", lost(&records["lost"]));
    line("calls without a run", share("without_run_permille"));
    line("calls without a task", share("without_task_permille"));
    line("calls without an outcome", share("without_outcome_permille"));
    let mut policies = Table::new(&["policy", "version", "mode", "evaluations", "failures", "left alone until"]);
    for policy in list(status, "policies") {
        let service = &policy["service"];
        policies.row([
            text(&policy["name"]),
            text(&policy["version"]),
            text(&policy["mode"]),
            text(&service["evaluations"]),
            text(&service["failures"]),
            moment(&service["quarantine"]["until_ms"]),
        ]);
    }
    let mut backends = Table::new(&["backend", "api", "health", "calls", "models"]);
    for backend in list(status, "backends") {
        let models: Vec<String> = list(backend, "models").iter().map(text).collect();
        let [name, api, health, calls] = ["name", "api", "health", "under_way"].map(|member| text(&backend[member]));
        backends.row([name, api, health, calls, models.join(", ")]);
    }
    let failure = &status["last_failure"];
    let failed = match failure.is_null() {
        true => String::new(),
        false => format!("\n the last configuration was not taken: {}\n", text(&failure["reason"])),
    };
    format!("{}\n{}\n{}{failed}", whole.render(), policies.render(), backends.render())
}

fn permille(value: &Value) -> String {
    let permille = value.as_u64().unwrap_or(0);
    format!("{}.{} %", permille / 10, permille % 10)
}

fn lost(lost: &Value) -> String {
    let of = |name: &str| lost[name].as_u64().unwrap_or(0);
    of("queue_full").saturating_add(of("write_failed")).to_string()
}
