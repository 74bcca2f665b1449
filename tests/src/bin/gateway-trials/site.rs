//! A gateway and a simulated provider as processes, and how they are set up.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::{env, fs};

use serde_json::{Value, json};

use crate::process::Program;
use crate::wire::{Connection, request};

/// A simulated provider that writes its bills down.
pub(crate) struct Provider {
    program: Program,
    pub(crate) address: SocketAddr,
}

/// A gateway.
pub(crate) struct Gateway {
    program: Program,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    token: String,
}

/// Where a trial keeps its files; removed when it ends, unless something panics or `$TOLLGATE_KEEP` is set.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("tollgate-trial-").tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() || env::var_os("TOLLGATE_KEEP").is_some() {
            self.0.disable_cleanup(true);
            eprintln!("what there is lies in `{}`", self.0.path().display());
        }
    }
}

fn tollgate() -> Command {
    let program = env::var_os("TOLLGATE_BIN").unwrap_or_else(|| {
        panic!("TOLLGATE_BIN is not set: run this as `cargo xtask soak gateway`, which builds what it runs")
    });
    Command::new(program)
}

/// The address behind `NAME=http://` in a line.
fn address_in(line: &str, name: &str) -> Option<SocketAddr> {
    let rest = line.split_once(&format!("{name}=http://"))?.1;
    rest.split('/').next()?.trim().parse().ok()
}

impl Provider {
    pub(crate) fn start(folder: &Folder, seed: u64) -> Self {
        let mut command = tollgate();
        command.args(["simulate", "provider", "--listen", "127.0.0.1:0", "--pace", "0ms", "--seed", &seed.to_string()]);
        command.arg("--bill").arg(folder.path("bill.jsonl"));
        let greeting = |line: &str| address_in(line, "ANTHROPIC_BASE_URL");
        let (program, address) = Program::start(&mut command, &folder.path("provider.log"), greeting);
        Self { program, address }
    }

    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    pub(crate) fn end(self) {
        self.program.end("INT");
    }
}

impl Gateway {
    /// Starts one on the data and with the configuration in a folder.
    pub(crate) fn start(folder: &Folder) -> Self {
        let data = folder.path("data");
        let mut command = tollgate();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--config").arg(folder.path("tollgate.toml")).arg("--data").arg(&data);
        let greeting = |line: &str| address_in(line, "ANTHROPIC_BASE_URL");
        let (program, address) = Program::start(&mut command, &folder.path("gateway.log"), greeting);
        // It is there before the greeting is.
        let admin: Value = serde_json::from_slice(&fs::read(data.join("admin.json")).unwrap()).unwrap();
        let text = |name: &str| admin[name].as_str().unwrap().to_owned();
        Self { program, address, admin: text("address").parse().unwrap(), token: text("token") }
    }

    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.program.has_ended()
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        self.program.kill();
    }

    pub(crate) fn end(self) -> ExitStatus {
        self.program.end("TERM")
    }

    /// A connection for operators, which can be open before it is needed.
    pub(crate) async fn operator(&self) -> Operator {
        Operator { connection: Connection::open(self.admin).await.unwrap(), token: self.token.clone() }
    }
}

/// Speaks to the admin listener.
pub(crate) struct Operator {
    connection: Connection,
    token: String,
}

impl Operator {
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.token);
        self.connection.send(&request(path, &[("authorization", &bearer)], &body.to_string())).await.unwrap();
        let head = self.connection.head().await.unwrap();
        let body = self.connection.whole(head).await.unwrap();
        (head.status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Engages a switch that cuts.
    pub(crate) async fn cut(&mut self, covers: &str) {
        let switch = json!({ "covers": covers, "mode": "cut", "reason": "trial", "author": "trial" });
        let (status, body) = self.post("/admin/v1/switches", &switch).await;
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) async fn lift(&mut self, covers: &str) {
        let (status, body) = self.post("/admin/v1/switches/lift", &json!({ "covers": covers })).await;
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// What is before the gateway's models: both formats, so many backends of each, all of them at one address.
pub(crate) fn configuration(models: &Models, backends: usize, provider: SocketAddr) -> String {
    let mut text = "version = 1\n".to_owned();
    for (name, tier) in models.openai.iter().chain(models.anthropic) {
        text.push_str(&format!("[[model]]\nname = \"{name}\"\ntier = \"{tier}\"\n"));
    }
    for number in 0..backends {
        for (api, models, path) in [("openai", models.openai, "/v1"), ("anthropic", models.anthropic, "")] {
            let names: Vec<_> = models.iter().map(|(name, _)| *name).collect();
            if !names.is_empty() {
                text.push_str(&format!(
                    "[[backend]]\nname = \"{api}-{number}\"\napi = \"{api}\"\nurl = \"http://{provider}{path}\"\nmodels = {names:?}\n"
                ));
            }
        }
    }
    for policy in ["kill-switch", "retry-ceiling", "routing", "budget"] {
        text.push_str(&format!("[[policy]]\nname = \"{policy}\"\n"));
    }
    for scope in ["organisation", "team", "run", "key"] {
        text.push_str(&format!("[[budget]]\nscope = \"{scope}\"\nlimit = \"1000000.00 USD\"\n"));
    }
    text
}

/// The models of each format, with their tiers.
pub(crate) struct Models {
    pub(crate) openai: &'static [(&'static str, &'static str)],
    pub(crate) anthropic: &'static [(&'static str, &'static str)],
}

pub(crate) const ALL_MODELS: Models = Models {
    openai: &[("gpt-5-mini", "low"), ("gpt-5.2", "premium")],
    anthropic: &[("claude-haiku-4-5", "low"), ("claude-opus-4-6", "premium")],
};

/// A port that was free a moment ago, for programs that cannot choose one themselves.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Lines of a gateway's log that tell of a panic.
pub(crate) fn panics(folder: &Folder) -> u64 {
    let log = fs::read_to_string(folder.path("gateway.log")).unwrap();
    log.lines().filter(|line| line.contains("panicked")).count() as u64
}
