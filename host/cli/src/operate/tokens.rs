//! `tollgate tokens`: who may do what on the admin listener. Where no gateway runs, the file of the data folder is changed.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_gateway::{CreateToken, Role, Tokens};

use super::{GatewayArguments, list, moment, segment, text};
use crate::output::Table;
use crate::serve::ADMIN_FILE;

#[derive(Args)]
pub(crate) struct TokensArguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Subcommand)]
enum What {
    /// Make a token, and print it: this once
    Create {
        /// What its holder is called; the audit log knows them by it.
        name: String,
        /// What it may do: look (viewer), run (operator), or change limits and tokens (admin).
        #[arg(long)]
        role: Role,
    },
    /// List the tokens, without their secrets
    List,
    /// End a token at once
    Revoke {
        /// Whose.
        name: String,
    },
}

pub(crate) fn run(arguments: &TokensArguments) -> anyhow::Result<()> {
    let gateway = &arguments.gateway;
    let answer = if gateway.admin.is_none() && !gateway.data.join(ADMIN_FILE).exists() {
        without_a_gateway(arguments)?
    } else {
        match &arguments.what {
            What::Create { name, role } => {
                gateway.ask("POST", "/admin/v1/tokens", Some(&CreateToken { name: name.clone(), role: *role }))?
            }
            What::List => gateway.look("/admin/v1/tokens")?,
            What::Revoke { name } => {
                gateway.ask("DELETE", &format!("/admin/v1/tokens/{}", segment(name)?), None::<&Value>)?
            }
        }
    };
    gateway.show(&answer, |answer| match answer.get("token") {
        Some(token) => format!("{}\n", text(token)),
        None => render(answer),
    })
}

fn without_a_gateway(arguments: &TokensArguments) -> anyhow::Result<Value> {
    let tokens = Tokens::open(&arguments.gateway.data)?;
    match &arguments.what {
        What::Create { name, role } => {
            std::fs::create_dir_all(&arguments.gateway.data)?;
            let (token, secret) = tokens.create(name, *role, "command-line")?;
            return Ok(json!({ "name": token.name, "role": token.role, "token": secret }));
        }
        What::List => {}
        What::Revoke { name } => drop(tokens.revoke(name)?),
    }
    Ok(json!({ "tokens": tokens.list() }))
}

fn render(answer: &Value) -> String {
    let mut table = Table::new(&["token", "role", "made by", "made"]);
    for token in list(answer, "tokens") {
        let [name, role, author] = ["name", "role", "author"].map(|member| text(&token[member]));
        table.row([name, role, author, moment(&token["created_ms"])]);
    }
    table.render()
}
