//! `tollgate approvals`: what dispatches are held for, and what you say about it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use tollgate_core::Milliseconds;
use tollgate_gateway::{Approve, Beneficiary, Deny};

use super::{GatewayArguments, list, moment, segment, text};
use crate::output::Table;

#[derive(Args)]
pub(crate) struct ApprovalsArguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Subcommand)]
enum What {
    /// List what is pending
    List {
        /// What was decided as well.
        #[arg(long)]
        all: bool,
    },
    /// Say yes: those that wait go on
    Approve {
        /// What it is called: `approval_id` of the caller's problem.
        id: String,
        /// By how much ceilings are raised, as in "5.00 USD"; without it only the policy is content.
        #[arg(long)]
        amount: Option<String>,
        /// For how long it holds, as in `2h`.
        #[arg(long = "for", value_name = "TIME")]
        length: Milliseconds,
        /// Why; it goes into the audit log.
        #[arg(long)]
        reason: String,
        /// For whom.
        #[arg(long, value_enum, default_value_t = Whom::Run)]
        beneficiary: Whom,
    },
    /// Say no: those that wait are refused, and so is the same for a while
    Deny {
        /// What it is called.
        id: String,
        /// For how long the same is refused, as in `2h`.
        #[arg(long = "for", value_name = "TIME", default_value = "1h")]
        length: Milliseconds,
        /// Why; the caller is told.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Whom {
    /// All of the run that asked
    Run,
    /// The task that asked
    Task,
    /// The work item that it named
    WorkItem,
}

pub(crate) fn run(arguments: &ApprovalsArguments) -> anyhow::Result<()> {
    let gateway = &arguments.gateway;
    let all = matches!(arguments.what, Some(What::List { all: true }));
    let answer = match &arguments.what {
        None | Some(What::List { .. }) => {
            let answer = gateway.look(&format!("/admin/v1/approvals?state={}", if all { "all" } else { "pending" }))?;
            return gateway.show(&answer, |answer| render(list(answer, "approvals")));
        }
        Some(What::Approve { id, amount, length, reason, beneficiary }) => {
            let beneficiary = match beneficiary {
                Whom::Run => Beneficiary::Run,
                Whom::Task => Beneficiary::Task,
                Whom::WorkItem => Beneficiary::WorkItem,
            };
            let asked =
                Approve { amount: amount.clone(), for_ms: length.as_u64(), reason: reason.clone(), beneficiary };
            gateway.ask("POST", &format!("/admin/v1/approvals/{}/approve", segment(id)?), Some(&asked))?
        }
        Some(What::Deny { id, length, reason }) => {
            let asked = Deny { for_ms: length.as_u64(), reason: reason.clone() };
            gateway.ask("POST", &format!("/admin/v1/approvals/{}/deny", segment(id)?), Some(&asked))?
        }
    };
    gateway.show(&answer, |answer: &Value| render(std::slice::from_ref(answer)))
}

fn render(approvals: &[Value]) -> String {
    if approvals.is_empty() {
        return "nothing waits for an approval\n".to_owned();
    }
    let mut table = Table::new(&["approval", "state", "run", "task", "held by", "reason", "needs", "asked", "until"]);
    for approval in approvals {
        let [id, state, run, task] = ["id", "state", "run", "task"].map(|member| text(&approval[member]));
        let [policy, reason, needs, asked] =
            ["policy", "reason", "needs", "asked"].map(|member| text(&approval[member]));
        table.row([id, state, run, task, policy, reason, needs, asked, moment(&approval["ends_ms"])]);
    }
    table.render()
}
