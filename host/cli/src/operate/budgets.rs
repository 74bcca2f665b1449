//! `tollgate budgets`: what budgets allow, how they stand, and a limit that is changed while the gateway runs.

use clap::{Args, Subcommand};
use serde_json::Value;
use tollgate_gateway::SetLimit;

use super::{GatewayArguments, list, moment, segment, text};
use crate::output::Table;

#[derive(Args)]
pub(crate) struct BudgetsArguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Only this budget.
    #[arg(long, value_name = "NAME")]
    budget: Option<String>,
    /// At most so many accounts, the fullest first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    accounts: u32,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Subcommand)]
enum What {
    /// Change what a budget allows; it holds over restarts, until the configuration changes it
    Set {
        /// Which budget.
        budget: String,
        /// What a window allows, as in "25.00 USD".
        #[arg(long)]
        limit: String,
        /// What the ledger never lets pass; 110 % of the limit where nothing is said.
        #[arg(long)]
        hard: Option<String>,
        /// Why; it goes into the audit log.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) fn run(arguments: &BudgetsArguments) -> anyhow::Result<()> {
    let gateway = &arguments.gateway;
    match &arguments.what {
        None => {
            let only = arguments.budget.as_deref().map(segment).transpose()?;
            let only = only.map(|name| format!("&budget={name}")).unwrap_or_default();
            let answer = gateway.look(&format!("/admin/v1/budgets?accounts={}{only}", arguments.accounts))?;
            gateway.show(&answer, render)
        }
        Some(What::Set { budget, limit, hard, reason }) => {
            let asked = SetLimit { limit: limit.clone(), hard: hard.clone(), reason: reason.clone() };
            let path = format!("/admin/v1/budgets/{}/limit", segment(budget)?);
            let answer = gateway.ask("POST", &path, Some(&asked))?;
            gateway.show(&answer, |answer| {
                let budget = &answer["budget"];
                format!(
                    "`{}` allows {} from now on, and never more than {}\n",
                    text(&budget["name"]),
                    text(&budget["limit"]),
                    text(&budget["hard"])
                )
            })
        }
    }
}

fn render(answer: &Value) -> String {
    let mut budgets = Table::new(&["budget", "limit", "never above", "window", "owner"]);
    for budget in list(answer, "budgets") {
        budgets.row(["name", "limit", "hard", "window", "owner"].map(|member| text(&budget[member])));
    }
    let mut accounts = Table::new(&["account", "spent", "reserved", "left", "used", "until"]);
    for account in list(answer, "accounts") {
        let [name, spent, reserved, left] =
            ["account", "spent", "reserved", "left"].map(|member| text(&account[member]));
        let permille = account["used_permille"].as_u64().unwrap_or(0);
        let used = format!("{}.{} %", permille / 10, permille % 10);
        accounts.row([name, spent, reserved, left, used, moment(&account["window_end_ms"])]);
    }
    format!("{}\n{}", budgets.render(), accounts.render())
}
