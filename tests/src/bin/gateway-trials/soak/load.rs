//! Clients that ask as agents do: runs of some calls, each reported as it ended; and everything that can go wrong with one.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::random::Random;
use crate::wire::{Connection, request};

/// Calls of a run.
const CALLS: u64 = 16;
/// Runs that each client takes turns with: the gateway remembers a million, and memory is to be seen flat before that.
const RUNS: u64 = 32;

/// What a call has in store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It ends well, and is told what it used.
    Well,
    /// It ends, and nobody is told what it used.
    Untold,
    /// The client does not wait for the end.
    Left,
    /// The provider refuses it.
    Refused,
}

/// What a client knows about a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    /// What the client was answered; zero where it did not wait.
    pub(crate) status: u16,
}

pub(crate) struct Load {
    gateway: SocketAddr,
    token: String,
    seed: u64,
    begun: AtomicU64,
    ending: AtomicBool,
    asked: Mutex<Vec<(u64, Asked)>>,
    /// Why calls did not go, by the gateway's word for it.
    refused: Mutex<BTreeMap<String, u64>>,
}

/// A call as it is asked.
struct Plan {
    kind: Kind,
    stream: bool,
    anthropic: bool,
    simulate: String,
    /// Where the client leaves: after so many pieces, and after having waited for more so long.
    leaves: Option<(u64, Duration)>,
}

impl Load {
    pub(crate) fn new(gateway: SocketAddr, token: String, seed: u64) -> Self {
        let (begun, ending) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { gateway, token, seed, begun, ending, asked: Mutex::default(), refused: Mutex::default() }
    }

    pub(crate) fn start(self: &Arc<Self>, connections: u64) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..connections {
            let load = Arc::clone(self);
            clients.spawn(async move { load.client(number).await });
        }
        clients
    }

    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Calls so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// What was asked, by the call's number.
    pub(crate) fn asked(&self) -> Vec<(u64, Asked)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Why calls did not go, and how many.
    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.refused.lock().unwrap())
    }

    async fn client(&self, number: u64) {
        let mut random = Random::new(self.seed, number);
        let mut connection = Connection::open(self.gateway).await.unwrap();
        let mut asked = Vec::new();
        'runs: for turn in 0_u64.. {
            let run = format!("run-{number}-{}", turn % RUNS);
            for _ in 0..CALLS {
                if self.ending.load(Ordering::Relaxed) {
                    break 'runs;
                }
                let (plan, call) = (Plan::draw(&mut random), self.begun.fetch_add(1, Ordering::Relaxed));
                let answered = self.one(&mut connection, &plan, call, &run, &mut random).await;
                asked.push((call, Asked { kind: plan.kind, status: answered.as_ref().copied().unwrap_or(0) }));
                // A client that has left, or whose answer broke off, comes back on another connection.
                if answered.is_err() || plan.leaves.is_some() {
                    connection = Connection::open(self.gateway).await.unwrap();
                }
            }
            if self.report(&mut connection, &run).await.is_err() {
                connection = Connection::open(self.gateway).await.unwrap();
            }
        }
        self.asked.lock().unwrap().extend(asked);
    }

    /// One call; the status it was answered with. An error where its connection ended before its answer did.
    async fn one(
        &self,
        connection: &mut Connection,
        plan: &Plan,
        call: u64,
        run: &str,
        random: &mut Random,
    ) -> io::Result<u16> {
        connection.send(&plan.request(call, run, random)).await?;
        let Some((pieces, wait)) = plan.leaves else {
            let head = connection.head().await?;
            let body = connection.whole(head).await?;
            if head.status != 200 {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let word = body["title"].as_str().unwrap_or("said by the provider").to_owned();
                *self.refused.lock().unwrap().entry(word).or_default() += 1;
            }
            return Ok(head.status);
        };
        if pieces == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut head = connection.head().await?;
        let reading = async {
            for _ in 0..pieces {
                if connection.piece(&mut head).await?.is_none() {
                    break;
                }
            }
            Ok::<_, io::Error>(())
        };
        tokio::select! {
            read = reading => read?,
            () = sleep(wait.max(Duration::from_millis(1))) => {}
        }
        Ok(head.status)
    }

    /// The run has gone well; what failed in it was the provider's doing.
    async fn report(&self, connection: &mut Connection, run: &str) -> io::Result<()> {
        let bearer = format!("Bearer {}", self.token);
        let body = format!(r#"{{"run":"{run}","status":"success","finished":true}}"#);
        connection.send(&request("/tollgate/v1/outcomes", &[("authorization", &bearer)], &body)).await?;
        connection.swallow().await.map(|_| ())
    }
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let (stream, anthropic) = (random.below(2) == 0, random.below(2) == 0);
        let few = random.below(4);
        let plan = |kind, simulate: String| Self { kind, stream, anthropic, simulate, leaves: None };
        let wait = Duration::from_millis(random.below(50));
        match random.below(1_000) {
            0..=49 => plan(Kind::Untold, "no-usage".to_owned()),
            50..=89 => plan(Kind::Untold, "garbage".to_owned()),
            90..=129 => plan(Kind::Untold, format!("break-after={few}")),
            130..=159 => Self { stream: true, ..plan(Kind::Untold, format!("error-after={few}")) },
            // Nothing more comes, so the client gives up.
            160..=179 => Self {
                stream: true,
                leaves: Some((u64::MAX, wait)),
                ..plan(Kind::Untold, format!("stall-after={few}"))
            },
            180..=219 => Self { leaves: Some((few, Duration::ZERO)), ..plan(Kind::Left, "pace=1".to_owned()) },
            220..=229 => Self { leaves: Some((0, Duration::ZERO)), ..plan(Kind::Left, String::new()) },
            230..=239 => plan(Kind::Refused, "bad-request".to_owned()),
            240..=241 => plan(Kind::Refused, "error".to_owned()),
            242 if random.below(20) == 0 => plan(Kind::Refused, "rate-limit".to_owned()),
            _ => plan(Kind::Well, String::new()),
        }
    }

    fn request(&self, call: u64, run: &str, random: &mut Random) -> Vec<u8> {
        let trace = format!("00-{:032x}-00000000000000ff-01", call + 1);
        let headers = [
            ("traceparent", &*trace),
            ("x-tollgate-run", run),
            ("x-tollgate-scope", "team=red, organisation=all"),
            ("x-simulate", &*self.simulate),
            ("authorization", "Bearer a-key"),
        ];
        let (path, system) = match self.anthropic {
            true => (
                "/v1/messages",
                r#""system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],"#,
            ),
            false => ("/v1/chat/completions", ""),
        };
        let (most, text) = (8 + random.below(40), "words ".repeat(random.below(200) as usize));
        let body = format!(
            r#"{{"model":"any","max_tokens":{most},"stream":{},{system}"messages":[{{"role":"user","content":"{text}{call}"}}]}}"#,
            self.stream
        );
        request(path, &headers, &body)
    }
}
