//! A provider that is none: OpenAI's chat completions, responses and embeddings, Anthropic's messages and token counting as they are on the wire, with a
//! prompt cache, a set pace, and every way of failing, so that the gateway can be tried without a key. The same seed and the
//! same requests in the same order give the same answers. It says nothing sensible and bills nobody.
//!
//! A request may ask for something by a header, `x-simulate: output=40, stall-after=3`; see [`Plan::read`].

mod anthropic;
mod exchange;
mod openai;
mod plain;
mod plan;
mod responses;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, channel::Channel};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tollgate_core::{Usage, config::Api};

use crate::formats::Endpoint;
use crate::http::{Body, Bounds, Broken, Server, json as json_answer, read_body, set_header, typed};
use crate::identity::trace_id;
use exchange::{Exchange, Frame};
use plan::{Fault, Plan};

/// How the provider behaves where a request does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The same seed, the same answers.
    pub seed: u64,
    /// Between one token of a stream and the next.
    pub pace: Duration,
    /// How many of a thousand requests fail, each in a way that the seed chooses.
    pub faults_permille: u32,
}

impl Default for Script {
    fn default() -> Self {
        Self { seed: 1, pace: Duration::ZERO, faults_permille: 0 }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path, with what stood behind it.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty where it has more than 1 MiB.
    pub body: Bytes,
}

/// What one request would have been billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billed {
    /// The answer's id.
    pub id: String,
    /// The trace that the request's `traceparent` names, by which a bill is found again.
    pub trace: Option<String>,
    /// The model that answered.
    pub model: String,
    /// What it used, as far as it came.
    pub usage: Usage,
    /// The service tier it was served at, in OpenAI's word.
    pub tier: String,
    /// The caller was told.
    pub told: bool,
}

/// Hears of each bill as it is made.
pub type BillLine = Box<dyn Fn(&Billed) + Send + Sync>;

/// Bills and prefixes that are remembered; the oldest beyond it are dropped.
const REMEMBERED: usize = 65_536;
/// Requests, likewise.
const REMEMBERED_REQUESTS: usize = 256;
/// The largest body that is remembered, in bytes.
const REMEMBERED_BYTES: usize = 1 << 20;

/// A running provider. It ends when it is dropped.
pub struct SimulatedProvider {
    server: Server,
    state: Arc<State>,
}

struct State {
    script: Script,
    received: Mutex<VecDeque<Received>>,
    billed: Mutex<VecDeque<Billed>>,
    prefixes: Mutex<HashSet<u64>>,
    paused: watch::Sender<bool>,
    open_streams: watch::Sender<usize>,
    tell: BillLine,
}

/// A stream whose reader is there; dropped with the stream's body.
struct Open {
    state: Arc<State>,
    reader_left: CancellationToken,
}

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.open_streams.send_modify(|open| *open += 1);
        Self { state: Arc::clone(state), reader_left: CancellationToken::new() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader_left.cancel();
        self.state.open_streams.send_modify(|open| *open -= 1);
    }
}

impl SimulatedProvider {
    /// Answers on a listener.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(listener: TcpListener, script: Script) -> std::io::Result<Self> {
        Self::start_billing(listener, script, Box::new(|_| {}))
    }

    /// The same, and tells each bill as it is made; that of an answer before the answer's end is sent.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start_billing(listener: TcpListener, script: Script, tell: BillLine) -> std::io::Result<Self> {
        let state = Arc::new(State {
            script,
            received: Mutex::default(),
            billed: Mutex::default(),
            prefixes: Mutex::default(),
            paused: watch::Sender::new(false),
            open_streams: watch::Sender::new(0),
            tell,
        });
        let answering = Arc::clone(&state);
        let server = Server::start((listener, None), Bounds::default(), move |request| {
            let state = Arc::clone(&answering);
            async move { state.answer(request).await }
        })?;
        Ok(Self { server, state })
    }

    /// The base URL that clients of that API take.
    #[must_use]
    pub fn url(&self, api: Api) -> String {
        let address = self.server.address();
        match api {
            Api::Openai => format!("http://{address}/v1"),
            Api::Anthropic => format!("http://{address}"),
        }
    }

    /// Keeps every request waiting from here on.
    pub fn pause(&self) {
        self.state.paused.send_replace(true);
    }

    /// Lets them go.
    pub fn resume(&self) {
        self.state.paused.send_replace(false);
    }

    /// Waits until nobody reads a stream any more.
    pub async fn streams_ended(&self) {
        // The sender lives as long as this provider does.
        let _ = self.state.open_streams.subscribe().wait_for(|open| *open == 0).await;
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).iter().cloned().collect()
    }

    /// The last bills, oldest first; that of a stream is there once it has ended.
    #[must_use]
    pub fn billed(&self) -> Vec<Billed> {
        lock(&self.state.billed).iter().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember<T>(queue: &Mutex<VecDeque<T>>, most: usize, item: T) {
    let mut queue = lock(queue);
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let bounds = Bounds::default();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let endpoint = Endpoint::of_path(path).filter(|_| parts.method == Method::POST);
        let Some(endpoint) = endpoint else {
            self.note(&parts, Bytes::new());
            let (status, body) = plain::list(path);
            return json_answer(status, &body);
        };
        let api = endpoint.api();
        let Ok(body) = read_body(body, bounds.body_bytes, bounds.body_time).await else {
            return error(api, StatusCode::BAD_REQUEST, "the body cannot be read");
        };
        let mut paused = self.paused.subscribe();
        self.note(&parts, if body.len() <= REMEMBERED_BYTES { body.clone() } else { Bytes::new() });
        // The sender lives as long as this state does.
        let _ = paused.wait_for(|paused| !paused).await;
        let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
            return error(api, StatusCode::BAD_REQUEST, "the body is not JSON");
        };
        let header = parts.headers.get("x-simulate").and_then(|value| value.to_str().ok());
        let plan = match Plan::read(&self.script, header, &body) {
            Ok(plan) => plan,
            Err(mistake) => return error(api, StatusCode::BAD_REQUEST, &mistake),
        };
        if let Some(refused) = refusal(api, plan.fault) {
            return refused;
        }
        let trace = trace_id(&parts.headers);
        let exchange = Exchange::plan((endpoint, trace), &asked, &body, &plan, |prefix| self.cached(prefix));
        if endpoint.writes() && asked.get("stream").and_then(Value::as_bool).unwrap_or(false) {
            return self.stream(endpoint, &asked, exchange, plan);
        }
        self.whole(endpoint, &asked, &exchange, &plan)
    }

    fn whole(self: &Arc<Self>, endpoint: Endpoint, asked: &Value, exchange: &Exchange, plan: &Plan) -> Response<Body> {
        let mut answer = match endpoint {
            Endpoint::ChatCompletions => openai::whole(exchange),
            Endpoint::Responses => responses::whole(exchange),
            Endpoint::Embeddings => plain::embeddings(exchange, asked),
            Endpoint::Messages => anthropic::whole(exchange),
            Endpoint::CountTokens => plain::count(exchange),
        };
        if !plan.tells_usage
            && let Some(answer) = answer.as_object_mut()
        {
            answer.remove("usage");
        }
        let told = plan.tells_usage && !matches!(plan.fault, Some(Fault::Garbage | Fault::BreakAfter(_)));
        if !endpoint.is_free() {
            self.bill(exchange.bill(u64::MAX, told));
        }
        let mut response = match plan.fault {
            Some(Fault::Garbage) => {
                typed(StatusCode::OK, "application/json", "{\"choices\": [{{{ not what was announced")
            }
            Some(Fault::BreakAfter(_)) => half(&answer),
            _ => json_answer(StatusCode::OK, &answer),
        };
        set_header(&mut response, "request-id", &exchange.id);
        response
    }

    fn bill(&self, bill: Billed) {
        (self.tell)(&bill);
        remember(&self.billed, REMEMBERED, bill);
    }

    fn note(&self, parts: &Parts, body: Bytes) {
        let path = parts.uri.path_and_query().map_or(parts.uri.path(), PathAndQuery::as_str).to_owned();
        remember(&self.received, REMEMBERED_REQUESTS, Received { path, headers: parts.headers.clone(), body });
    }

    /// Whether a prefix is in the cache; it is from now on.
    fn cached(&self, prefix: u64) -> bool {
        let mut prefixes = lock(&self.prefixes);
        if prefixes.len() >= REMEMBERED {
            prefixes.clear();
        }
        !prefixes.insert(prefix)
    }

    fn stream(self: Arc<Self>, endpoint: Endpoint, asked: &Value, exchange: Exchange, plan: Plan) -> Response<Body> {
        let frames = match endpoint {
            Endpoint::Responses => responses::frames(&exchange, plan.tells_usage),
            Endpoint::Messages => anthropic::frames(&exchange, plan.tells_usage),
            _ => {
                let options = asked.get("stream_options").and_then(|options| options.get("include_usage"));
                openai::frames(&exchange, plan.tells_usage && options.and_then(Value::as_bool).unwrap_or(false))
            }
        };
        let (sender, body) = Channel::<Bytes, Broken>::new(1);
        let open = Open::new(&self);
        let reader_left = open.reader_left.clone();
        let body = body.map_frame(move |frame| {
            let _open_until_dropped = &open;
            frame
        });
        let id = exchange.id.clone();
        // It ends with its last frame, or when the client has left.
        #[expect(
            clippy::disallowed_methods,
            reason = "a simulated answer has nothing to settle: it may die with the process"
        )]
        tokio::spawn(async move { self.play(endpoint, &exchange, &plan, frames, (sender, reader_left)).await });
        let mut response = Response::new(body.boxed_unsync());
        set_header(&mut response, "content-type", "text/event-stream; charset=utf-8");
        set_header(&mut response, "request-id", &id);
        response
    }

    async fn play(
        &self,
        endpoint: Endpoint,
        exchange: &Exchange,
        plan: &Plan,
        frames: Vec<Frame>,
        (mut sender, reader_left): (http_body_util::channel::Sender<Bytes, Broken>, CancellationToken),
    ) {
        let (mut written, mut told) = (0, false);
        for frame in frames {
            if frame.is_token {
                match plan.fault {
                    Some(Fault::BreakAfter(tokens)) if written >= tokens => {
                        self.bill(exchange.bill(written, told));
                        return sender.abort(Broken);
                    }
                    Some(Fault::StallAfter(tokens)) if written >= tokens => {
                        self.bill(exchange.bill(written, told));
                        return reader_left.cancelled().await;
                    }
                    Some(Fault::Garbage) => {
                        self.bill(exchange.bill(written, told));
                        let _ = sender.send_data("data: {{{ not what was announced".into()).await;
                        return;
                    }
                    Some(Fault::ErrorAfter(tokens)) if written >= tokens => {
                        self.bill(exchange.bill(written, told));
                        let event = match endpoint {
                            Endpoint::Responses => responses::error_frame(),
                            Endpoint::Messages => anthropic::error_frame(),
                            _ => openai::error_frame(),
                        };
                        let _ = sender.send_data(event.into()).await;
                        return;
                    }
                    _ => {}
                }
                if !plan.pace.is_zero() {
                    tokio::time::sleep(plan.pace).await;
                }
            }
            if sender.send_data(frame.text.into()).await.is_err() {
                break;
            }
            written += u64::from(frame.is_token);
            told |= frame.tells_usage;
        }
        self.bill(exchange.bill(written, told));
    }
}

/// Half of an answer, and then the connection ends.
fn half(answer: &Value) -> Response<Body> {
    let text = answer.to_string();
    let (mut sender, body) = Channel::<Bytes, Broken>::new(1);
    let first = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    // The channel is new and has room for one.
    let _ = sender.try_send(hyper::body::Frame::data(first));
    sender.abort(Broken);
    let mut response = Response::new(body.boxed_unsync());
    set_header(&mut response, "content-type", "application/json");
    response
}

fn error(api: Api, status: StatusCode, message: &str) -> Response<Body> {
    let body = match api {
        Api::Openai => openai::error(status, message),
        Api::Anthropic => anthropic::error(status, message),
    };
    json_answer(status, &body)
}

/// The faults that come instead of an answer.
fn refusal(api: Api, fault: Option<Fault>) -> Option<Response<Body>> {
    let overloaded = match api {
        Api::Openai => StatusCode::SERVICE_UNAVAILABLE,
        Api::Anthropic => StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
    };
    let mut response = match fault? {
        Fault::RateLimit => error(api, StatusCode::TOO_MANY_REQUESTS, "too many requests, slow down"),
        Fault::Overloaded => error(api, overloaded, "overloaded"),
        Fault::ServerError => error(api, StatusCode::INTERNAL_SERVER_ERROR, "something went wrong on our side"),
        Fault::BadRequest => error(api, StatusCode::BAD_REQUEST, "the prompt is too long"),
        Fault::Garbage | Fault::BreakAfter(_) | Fault::StallAfter(_) | Fault::ErrorAfter(_) => return None,
    };
    if fault == Some(Fault::RateLimit) {
        set_header(&mut response, "retry-after", "2");
    }
    Some(response)
}
