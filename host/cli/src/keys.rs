//! `tollgate keys`: who may ask, made and taken away in the data folder. A gateway that runs on it takes each change up within a second.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use tollgate_core::{Milliseconds, Priority};
use tollgate_gateway::{KeyDocument, KeyFile, NewKey, OwnScope, Right};

use crate::output::{self, Table};

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, and print its secret: this once, since only its hash is kept.
    ///
    /// From the first key on, a request without a valid one is refused.
    Create(CreateArguments),
    /// List the keys, without their secrets.
    List(FolderArguments),
    /// Give a key another secret, and print it; the old one holds a while longer.
    Rotate(RotateArguments),
    /// Take a key away.
    Revoke(RevokeArguments),
}

#[derive(Args)]
pub(crate) struct FolderArguments {
    /// The data folder of the gateway.
    #[arg(long, value_name = "FOLDER", default_value = ".tollgate")]
    data: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct CreateArguments {
    /// What budgets, records and messages call it.
    name: String,
    /// A scope that it has, as in `team=red`; a name that ends in `*` stands for all that begin so. May be given several times.
    #[arg(long = "scope", value_name = "KIND=NAME")]
    scopes: Vec<OwnScope>,
    /// What it may do besides: `claim` scopes of kinds that it has none of, `override-tier`, `verify` (report a success).
    #[arg(long = "may", value_name = "RIGHT", value_delimiter = ',')]
    rights: Vec<Right>,
    /// The highest priority that its requests get.
    #[arg(long, default_value = "normal")]
    priority_cap: Priority,
    /// How many new runs it may begin in a minute; what the configuration says where nothing is said.
    #[arg(long, value_name = "NUMBER")]
    new_runs_per_minute: Option<u32>,
    #[command(flatten)]
    folder: FolderArguments,
}

#[derive(Args)]
pub(crate) struct RotateArguments {
    /// Which key.
    name: String,
    /// How long the old secret holds.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    overlap: Milliseconds,
    #[command(flatten)]
    folder: FolderArguments,
}

#[derive(Args)]
pub(crate) struct RevokeArguments {
    /// Which key.
    name: String,
    #[command(flatten)]
    folder: FolderArguments,
}

pub(crate) fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Create(arguments) => create(arguments),
        KeysCommand::List(arguments) => list(&arguments),
        KeysCommand::Rotate(arguments) => {
            let overlap = Duration::from_millis(arguments.overlap.as_u64());
            let secret = file(&arguments.folder).rotate(&arguments.name, overlap, now_ms())?;
            tell(&arguments.folder, &arguments.name, &secret)
        }
        KeysCommand::Revoke(arguments) => {
            let held = file(&arguments.folder).revoke(&arguments.name, now_ms())?;
            if arguments.folder.json {
                return output::print_json(&json!({ "name": arguments.name, "revoked": held }));
            }
            let told = if held { "is revoked" } else { "was revoked before" };
            output::print(&format!("the key `{}` {told}\n", arguments.name))
        }
    }
}

fn create(arguments: CreateArguments) -> anyhow::Result<()> {
    let CreateArguments { name, scopes, rights, priority_cap, new_runs_per_minute, folder } = arguments;
    let new = NewKey { name: name.clone(), scopes, priority_cap, rights, new_runs_per_minute };
    let secret = file(&folder).create(new, now_ms())?;
    tell(&folder, &name, &secret)
}

fn tell(folder: &FolderArguments, name: &str, secret: &str) -> anyhow::Result<()> {
    if folder.json {
        return output::print_json(&json!({ "name": name, "secret": secret }));
    }
    output::print(&format!("{secret}\n"))?;
    // Apart from the secret, so that a script can take that alone.
    eprintln!("the secret of the key `{name}`, shown this once: send it where your provider's key would go");
    Ok(())
}

fn list(arguments: &FolderArguments) -> anyhow::Result<()> {
    let (keys, now_ms) = (file(arguments).read()?, now_ms());
    if arguments.json {
        return output::print_json(&json!({ "keys": keys }));
    }
    if keys.is_empty() {
        return output::print("there is no key: `tollgate keys create <name>` makes one\n");
    }
    let mut table = Table::new(&["key", "scopes", "may", "priority up to", "secrets", "state"]);
    for key in &keys {
        table.row([
            key.name.clone(),
            joined(key.scopes.iter().map(ToString::to_string)),
            joined(key.rights.iter().map(|right| right.as_str().to_owned())),
            key.priority_cap.to_string(),
            live(key, now_ms).to_string(),
            if key.revoked_ms.is_some() { "revoked" } else { "in force" }.to_owned(),
        ]);
    }
    output::print(&table.render())
}

fn live(key: &KeyDocument, now_ms: u64) -> usize {
    key.secrets.iter().filter(|secret| secret.expires_ms.is_none_or(|end| now_ms < end)).count()
}

fn joined(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

fn file(arguments: &FolderArguments) -> KeyFile {
    KeyFile::of(&arguments.data)
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
