//! A gateway with a simulated provider behind it, on real sockets of this machine, and a client before it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tollgate_core::config::Api;
use tollgate_core::{Configuration, Nanodollars};
use tollgate_gateway::{Billed, Bounds, Running, Script, Settings, SimulatedProvider, Times, TlsFiles};
use tollgate_ledger::prices::{CostOptions, PriceTable, ServiceTier};
use tollgate_ledger::report::Period;
use tollgate_ledger::store::Sqlite;
use tollgate_ledger::{DATABASE, ExportFormat, export};
use tollgate_runtime::Host;
use tollgate_tests::{guests_folder, plugins_folder};

pub(crate) const TOKEN: &str = "an-admin-token";

/// Two models of each format, and no policies.
pub(crate) const MODELS: &str = r#"
version = 1
task_types = ["refactoring", "security"]
[limits]
deadline = "10s"
[[model]]
name = "claude-haiku-4-5"
tier = "low"
[[model]]
name = "claude-opus-4-6"
tier = "premium"
[[model]]
name = "gpt-5-mini"
tier = "low"
[[model]]
name = "gpt-5.2"
tier = "premium"
[[backend]]
name = "anthropic"
api = "anthropic"
models = ["claude-haiku-4-5", "claude-opus-4-6"]
[[backend]]
name = "openai"
api = "openai"
models = ["gpt-5-mini", "gpt-5.2"]
"#;

/// The shipped policies.
pub(crate) const POLICIES: &str = r#"
[[policy]]
name = "kill-switch"
[[policy]]
name = "retry-ceiling"
[[policy]]
name = "routing"
[[policy]]
name = "budget"
"#;

/// What a site is made of.
pub(crate) struct Plan {
    pub(crate) configuration: String,
    pub(crate) times: Times,
    pub(crate) bounds: Bounds,
    pub(crate) tls: Option<TlsFiles>,
    /// Where the configuration is from; it is watched.
    pub(crate) file: Option<PathBuf>,
    pub(crate) price_file: Option<PathBuf>,
}

impl Plan {
    pub(crate) fn of(parts: &[&str]) -> Self {
        // What waits here waits for a fault of the machine alone.
        let times = Times { drain: Duration::from_secs(60), queue: Duration::ZERO, ..Times::default() };
        let configuration = parts.concat();
        Self { configuration, times, bounds: Bounds::default(), tls: None, file: None, price_file: None }
    }
}

pub(crate) struct Site {
    /// What operators read.
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    pub(crate) provider: Arc<SimulatedProvider>,
    pub(crate) data: TempDir,
    running: Running,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).map_err(|error| format!("{error}: {}", self.text)).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Site {
    pub(crate) async fn open(plan: &Plan) -> Self {
        let provider = SimulatedProvider::start(listener().await, Script::default()).expect("a provider");
        Self::open_on(plan, tempfile::tempdir().expect("a folder"), Arc::new(provider)).await
    }

    /// On what an earlier site left behind.
    pub(crate) async fn open_on(plan: &Plan, data: TempDir, provider: Arc<SimulatedProvider>) -> Self {
        let configuration = Configuration::parse(&plan.configuration).expect("a configuration");
        let builder = Host::builder().plugin_folder(plugins_folder()).compile_cache(guests_folder().join("compiled"));
        let settings = Settings {
            data: data.path().to_owned(),
            bounds: plan.bounds,
            times: plan.times,
            admin_token: TOKEN.to_owned(),
            tls: plan.tls.clone(),
            configuration_file: plan.file.clone(),
            price_file: plan.price_file.clone(),
        };
        let url = |api: Api| Some(provider.url(api));
        let listeners = (listener().await, listener().await);
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&lines);
        let log = Box::new(move |line: &str| {
            eprintln!("log: {line}");
            log.lock().expect("a log").push(line.to_owned());
        });
        let opened = Running::open(builder, &configuration, PriceTable::builtin(), settings, listeners, url, log);
        let running = opened.expect("a gateway");
        Self { log: lines, provider, data, running, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request, and gives what begins to come back.
    pub(crate) async fn begin(&self, path: &str, headers: &[(&str, &str)], body: &str) -> http::Response<Incoming> {
        self.send(Method::POST, &format!("http://{}{path}", self.running.address()), headers, body).await
    }

    /// Sends a request, and reads its answer whole.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        whole(self.begin(path, headers, body).await).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        whole(self.send(Method::GET, &format!("http://{}{path}", self.running.address()), headers, "").await).await
    }

    /// The same on the admin listener, with the token.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let url = format!("http://{}{path}", self.running.admin_address());
        whole(self.send(method, &url, &[("authorization", &bearer)], &body.to_string()).await).await
    }

    /// Sends a request to the admin listener as it is: a token where one is named, and a body as it is written.
    pub(crate) async fn admin_as(&self, token: &str, method: Method, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let url = format!("http://{}{path}", self.running.admin_address());
        whole(self.send(method, &url, if token.is_empty() { &headers[1..] } else { &headers }, body).await).await
    }

    async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request");
        self.client.request(request).await.expect("an answer")
    }

    /// Ends the gateway, and gives what the ledger has.
    pub(crate) async fn end(self) -> (Entries, TempDir, Arc<SimulatedProvider>) {
        self.running.end().await;
        (Entries::read(self.data.path()), self.data, self.provider)
    }

    /// Waits until a line of the log says something, and gives all lines that do.
    pub(crate) async fn logged(&self, words: &str) -> Vec<String> {
        loop {
            let lines = self.log.lock().expect("a log").clone();
            let said: Vec<String> = lines.into_iter().filter(|line| line.contains(words)).collect();
            if !said.is_empty() {
                return said;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address()
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.running.admin_address())
    }

    pub(crate) async fn raw(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        whole(self.send(method, url, headers, "").await).await
    }
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

pub(crate) async fn whole(response: http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole answer").to_bytes();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// The ledger's entries, as it exports them.
pub(crate) struct Entries(Vec<Entry>);

#[derive(serde::Deserialize)]
struct Entry {
    kind: String,
    /// As it is written: a float could lose a nanodollar.
    spent_usd: Box<RawValue>,
}

impl Entries {
    fn read(data: &Path) -> Self {
        let store = Sqlite::open(&data.join(DATABASE)).expect("a ledger");
        assert!(store.verify().expect("a check").is_clean(), "every account is what its entries add up to");
        let mut text = Vec::new();
        export(&store, ExportFormat::JsonLines, Period::default(), &mut text).expect("an export");
        let lines = String::from_utf8(text).expect("text");
        Self(lines.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect())
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.0.iter().filter(|entry| entry.kind == kind).count()
    }

    /// What all of them spent.
    pub(crate) fn spent(&self) -> Nanodollars {
        let spent =
            self.0.iter().map(|entry| Nanodollars::from_decimal(entry.spent_usd.get()).expect("an amount").as_u64());
        Nanodollars::new(spent.sum())
    }
}

fn tier(word: &str) -> ServiceTier {
    match word {
        "priority" => ServiceTier::Priority,
        "flex" => ServiceTier::Flex,
        _ => ServiceTier::Standard,
    }
}

/// What the provider billed, at list prices.
pub(crate) fn billed(provider: &SimulatedProvider) -> Nanodollars {
    let prices = PriceTable::builtin();
    let cost = |bill: &Billed| {
        let price = *prices.lookup(&bill.model).price().as_ref().expect("a price");
        price
            .cost(&bill.usage, CostOptions { tier: tier(&bill.tier), ..CostOptions::default() })
            .expect("a cost")
            .as_u64()
    };
    Nanodollars::new(provider.billed().iter().map(cost).sum())
}
