//! `tollgate kill`, `unkill` and `switches`: stop what must not go on, on a running gateway.

use anyhow::bail;
use clap::Args;
use serde_json::Value;
use tollgate_core::{Milliseconds, SwitchMode};
use tollgate_gateway::{KillRequest, SwitchDocument, UnkillRequest};

use crate::operate::GatewayArguments;
use crate::output::{self, Table};

#[derive(Args)]
pub(crate) struct KillArguments {
    #[command(flatten)]
    covers: Covers,
    /// Cut open streams as well; without it, what runs may end.
    #[arg(long)]
    cut: bool,
    /// Why; callers are told.
    #[arg(long, default_value = "stopped-by-an-operator")]
    reason: String,
    /// After how long it ends by itself, as in `2h`; without it, it holds until it is lifted.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Milliseconds>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Args)]
pub(crate) struct UnkillArguments {
    #[command(flatten)]
    covers: Covers,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Args)]
pub(crate) struct SwitchesArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Covers {
    /// A scope, as in `team=red` or `run=2026-03-02-08`.
    #[arg(long, value_name = "KIND=NAME")]
    scope: Option<String>,
    /// A model, on any backend.
    #[arg(long)]
    model: Option<String>,
    /// A task type.
    #[arg(long)]
    task_type: Option<String>,
    /// Every dispatch.
    #[arg(long)]
    everything: bool,
}

impl Covers {
    fn text(&self) -> String {
        let named = |kind: &str, name: &Option<String>| name.as_ref().map(|name| format!("{kind}={name}"));
        let scope =
            self.scope.clone().or_else(|| named("model", &self.model)).or_else(|| named("task-type", &self.task_type));
        scope.unwrap_or_else(|| "everything".to_owned())
    }
}

pub(crate) fn kill(arguments: &KillArguments) -> anyhow::Result<()> {
    let asked = KillRequest {
        covers: arguments.covers.text(),
        mode: if arguments.cut { SwitchMode::Cut } else { SwitchMode::Drain },
        reason: arguments.reason.clone(),
        author: std::env::var("USER").ok().filter(|user| !user.is_empty()),
        for_ms: arguments.length.map(Milliseconds::as_u64),
    };
    ask(&arguments.gateway, "POST", "/admin/v1/switches", Some(&serde_json::to_value(asked)?))
}

pub(crate) fn unkill(arguments: &UnkillArguments) -> anyhow::Result<()> {
    let asked = UnkillRequest { covers: arguments.covers.text() };
    ask(&arguments.gateway, "POST", "/admin/v1/switches/lift", Some(&serde_json::to_value(asked)?))
}

pub(crate) fn switches(arguments: &SwitchesArguments) -> anyhow::Result<()> {
    ask(&arguments.gateway, "GET", "/admin/v1/switches", None)
}

/// Sends it, and shows the switches that are engaged from then on.
fn ask(gateway: &GatewayArguments, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<()> {
    let answer = gateway.ask(method, path, body)?;
    if gateway.json {
        return output::print_json(&answer);
    }
    let Some(switches) = answer.get("switches") else {
        bail!("the gateway's answer has no `switches`: is it another version?")
    };
    let switches: Vec<SwitchDocument> = serde_json::from_value(switches.clone())?;
    if switches.is_empty() {
        return output::print("no switch is engaged\n");
    }
    let mut table = Table::new(&["covers", "mode", "reason", "by", "ends"]);
    for switch in switches {
        let mode = match switch.mode {
            SwitchMode::Drain => "drain",
            SwitchMode::Cut => "cut",
        };
        let ends = switch.expires_ms.and_then(|end| jiff::Timestamp::from_millisecond(i64::try_from(end).ok()?).ok());
        let ends = ends.map_or_else(|| "when lifted".to_owned(), |end| end.to_string());
        table.row([switch.covers, mode.to_owned(), switch.reason, switch.author, ends]);
    }
    output::print(&table.render())
}
