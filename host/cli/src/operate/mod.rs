//! Commands for a gateway that runs: each is one request to its admin listener, and what came of it.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod budgets;
pub(crate) mod generations;
pub(crate) mod status;
pub(crate) mod tokens;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tollgate_gateway::AdminClient;

use crate::output;
use crate::serve::admin_of;

/// Where the token of another gateway than the one of `--data` is taken from: a command line can be read by others.
const TOKEN_VARIABLE: &str = "TOLLGATE_ADMIN_TOKEN";

/// Which gateway.
#[derive(Args)]
pub(crate) struct GatewayArguments {
    /// The data folder of a gateway on this machine.
    #[arg(long, value_name = "FOLDER", default_value = ".tollgate", global = true)]
    pub(crate) data: PathBuf,
    /// The admin address of a gateway that is reached otherwise; its token is taken from $TOLLGATE_ADMIN_TOKEN.
    #[arg(long, value_name = "ADDRESS", global = true)]
    admin: Option<String>,
    /// The certificate that the gateway of `--admin` shows, where it speaks TLS: that one is believed, and no other.
    #[arg(long, value_name = "FILE", global = true, requires = "admin")]
    admin_cert: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl GatewayArguments {
    /// Sends a request, and gives what came back.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> anyhow::Result<Value> {
        let body = body.map(serde_json::to_value).transpose()?;
        Ok(self.client()?.call(method, path, body.as_ref())?)
    }

    /// Looks at something.
    pub(crate) fn look(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, None::<&Value>)
    }

    fn client(&self) -> anyhow::Result<AdminClient> {
        let Some(address) = &self.admin else { return admin_of(&self.data) };
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        let token = token.with_context(|| format!("`--admin` takes its token from ${TOKEN_VARIABLE}: set it"))?;
        Ok(AdminClient { address: address.clone(), token, certificate: self.admin_cert.clone() })
    }

    /// Shows an answer: as it came, or as text.
    pub(crate) fn show(&self, answer: &Value, text: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        if self.json { output::print_json(answer) } else { output::print(&text(answer)) }
    }
}

/// A member in words; nothing where it is not there.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The members of a list; none where it is not there.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A moment as it is shown.
pub(crate) fn moment(value: &Value) -> String {
    let moment = value.as_i64().and_then(|moment| Timestamp::from_millisecond(moment).ok());
    moment.map_or_else(String::new, |moment| moment.to_string())
}

/// A segment of a path: everything that could be taken for another one is encoded.
pub(crate) fn segment(text: &str) -> anyhow::Result<String> {
    if text.is_empty() {
        bail!("a name is missing");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Ok(text.bytes().map(encode).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("team red/1?ä").unwrap(), "team%20red%2F1%3F%C3%A4");
        assert!(segment("").is_err());
    }
}
