//! One request of an agent, as its SDK would send it, and what it hears.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tollgate_core::config::Api;

/// A caller of a gateway.
pub struct AgentClient {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: Option<String>,
    verifier: Option<String>,
}

/// Nobody answers, or not as a gateway does.
#[derive(Debug, thiserror::Error)]
#[error("no gateway answers at `{base}`: {why}; start one with `tollgate serve`")]
pub struct AgentError {
    base: String,
    why: String,
}

/// One request for a model.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The format it speaks.
    pub api: Api,
    /// The run.
    pub run: String,
    /// The task.
    pub task: String,
    /// What kind of task it is.
    pub task_type: &'static str,
    /// The pipeline step.
    pub stage: &'static str,
    /// The team that pays.
    pub team: &'static str,
    /// `low`, `normal` or `high`.
    pub priority: &'static str,
    /// The model that the agent would take.
    pub model: &'static str,
    /// The most tokens that may come back.
    pub max_tokens: u32,
    /// Turns before this one, all of which are sent again.
    pub turns: u32,
    /// Whether the answer is to come as it is made.
    pub stream: bool,
    /// Words for a simulated provider.
    pub simulate: Option<String>,
}

/// What an agent hears.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it comes to.
    pub word: Word,
    /// The status it began with.
    pub status: u16,
    /// What refused it, in a few words with hyphens; nothing for an answer.
    pub code: String,
    /// Why, for people.
    pub detail: String,
    /// The model that answered.
    pub model: Option<String>,
    /// How long the gateway kept it waiting, in milliseconds.
    pub waited_ms: u64,
    /// After how many seconds another try may help.
    pub retry_after: Option<u64>,
    /// What `tollgate explain` takes.
    pub decision: Option<String>,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The model answered.
    Answered,
    /// A human has to approve it.
    Held,
    /// It may not go.
    Refused,
    /// A switch stopped it, before or in the middle.
    Killed,
    /// The provider failed, or the answer broke off.
    Failed,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(600);

impl AgentClient {
    /// A caller of the gateway at a base such as `http://127.0.0.1:4800`. It sends `key` where an SDK would, and reports successes
    /// with `verifier`, without which it keeps them to itself.
    #[must_use]
    pub fn new(base: &str, key: Option<String>, verifier: Option<String>) -> Self {
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Self { client: Client::builder(TokioExecutor::new()).build_http(), base, key, verifier }
    }

    /// Sends a request and hears it out. `on_event` is told the number of each event of a stream as it comes.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn ask(&self, ask: &Ask, on_event: impl FnMut(u64)) -> Result<Heard, AgentError> {
        let path = match ask.api {
            Api::Openai => "/v1/chat/completions",
            Api::Anthropic => "/v1/messages",
        };
        let mut request = Request::post(format!("{}{path}", self.base))
            .header("x-tollgate-run", &ask.run)
            .header("x-tollgate-task", &ask.task)
            .header("x-tollgate-task-type", ask.task_type)
            .header("x-tollgate-stage", ask.stage)
            .header("x-tollgate-priority", ask.priority)
            .header("x-tollgate-scope", format!("team={}", ask.team));
        if let Some(simulate) = &ask.simulate {
            request = request.header("x-simulate", simulate);
        }
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let response = self.send(request, ask.body()).await?;
        Ok(hear(response, on_event).await)
    }

    /// Reports what became of a task: `success`, `failed`, `timeout` or `rejected`. Whether it was taken.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn report(&self, outcome: &Value) -> Result<bool, AgentError> {
        let success = outcome.get("status").and_then(Value::as_str) == Some("success");
        let key = if success { self.verifier.as_ref() } else { self.key.as_ref().or(self.verifier.as_ref()) };
        if success && key.is_none() {
            return Ok(false);
        }
        let mut request = Request::post(format!("{}/tollgate/v1/outcomes", self.base));
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        Ok(self.send(request, outcome.to_string()).await?.status().is_success())
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Result<Response<Incoming>, AgentError> {
        let failed = |why: String| AgentError { base: self.base.clone(), why };
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(error.to_string()))?;
        let answered = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        answered.map_err(|_| failed("it does not answer in time".to_owned()))?.map_err(|error| {
            // What the client says is only that it failed; why is said by what is beneath.
            let beneath = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
            failed(beneath.map_or_else(|| error.to_string(), ToString::to_string))
        })
    }
}

impl Ask {
    /// The conversation so far and a set of tools, as coding agents send them.
    fn body(&self) -> String {
        let mut messages = Vec::new();
        for turn in 0..self.turns {
            let (asked, said) =
                (format!("turn {turn}: {}", CODE.repeat(4)), format!("done {turn}: {}", CODE.repeat(2)));
            messages.push(json!({ "role": "user", "content": asked }));
            messages.push(json!({ "role": "assistant", "content": said }));
        }
        let last = format!("{} of {}: {CODE}", self.stage, self.task);
        let schema =
            json!({ "type": "object", "properties": { "path": { "type": "string" }, "patch": { "type": "string" } } });
        let body = match self.api {
            Api::Openai => {
                messages.push(json!({ "role": "user", "content": last }));
                let function = json!({ "name": "edit_file", "description": "Change a file", "parameters": schema });
                json!({
                    "model": self.model, "max_completion_tokens": self.max_tokens, "stream": self.stream,
                    "messages": messages, "tools": [{ "type": "function", "function": function }],
                })
            }
            Api::Anthropic => {
                let cached = json!({ "type": "text", "text": last, "cache_control": { "type": "ephemeral" } });
                messages.push(json!({ "role": "user", "content": [cached] }));
                json!({
                    "model": self.model, "max_tokens": self.max_tokens, "stream": self.stream, "messages": messages,
                    "tools": [{ "name": "edit_file", "description": "Change a file", "input_schema": schema }],
                })
            }
        };
        body.to_string()
    }
}

const CODE: &str = "fn main() { let total: u64 = rows.iter().map(|row| row.cost).sum(); println!(\"{total}\"); }\n";

/// Reads an answer to its end, and says what it comes to.
async fn hear(response: Response<Incoming>, mut on_event: impl FnMut(u64)) -> Heard {
    let (parts, mut body) = response.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let number = |name: &str| header(name).and_then(|value| value.parse().ok());
    let mut heard = Heard {
        word: if parts.status.is_success() { Word::Answered } else { Word::Refused },
        status: parts.status.as_u16(),
        code: String::new(),
        detail: String::new(),
        model: header("x-tollgate-model"),
        waited_ms: number("x-tollgate-waited-ms").unwrap_or(0),
        retry_after: number("retry-after").filter(|_| header("x-should-retry").as_deref() != Some("false")),
        decision: header("x-tollgate-decision"),
    };
    let stream = header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let (mut text, mut seen, mut events) = (Vec::new(), 0, 0);
    loop {
        match body.frame().await {
            None => break,
            Some(Err(_)) => {
                heard.word = Word::Failed;
                heard.detail = "the answer broke off".to_owned();
                return heard;
            }
            Some(Ok(frame)) => {
                let piece = frame.into_data().unwrap_or_default();
                text.extend_from_slice(&piece);
                // Several events may come in one piece, and one in several.
                while let Some(end) = stream.then(|| find(&text[seen..], b"\n\n")).flatten() {
                    seen += end + 2;
                    events += 1;
                    on_event(events);
                }
            }
        }
    }
    let text = String::from_utf8_lossy(&text);
    let last =
        if stream { text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back() } else { Some(&*text) };
    if let Some(problem) = last.and_then(|last| serde_json::from_str::<Value>(last).ok()) {
        heard.take(&problem);
    }
    heard
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

impl Heard {
    /// What a problem of the gateway, or an error of the provider, says.
    fn take(&mut self, problem: &Value) {
        let Some(error) = problem.get("error").filter(|error| !error.is_null()) else { return };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = problem.get("problem").or_else(|| problem.get("type")).and_then(text).unwrap_or_default();
        self.detail = error.get("message").and_then(text).unwrap_or_default();
        let ours = kind.rsplit_once("/problems/").map(|(_, code)| code.to_owned());
        self.word = match ours.as_deref() {
            Some("switched-off" | "stopped") => Word::Killed,
            Some("approval-needed") => Word::Held,
            Some("upstream-broke" | "upstream-timed-out" | "upstream-unreachable" | "upstream-stalled" | "ending") => {
                Word::Failed
            }
            Some(_) => Word::Refused,
            None => Word::Failed,
        };
        self.code = ours.or_else(|| error.get("type").and_then(text)).unwrap_or_default();
        self.decision = self.decision.take().or_else(|| problem.get("decision_id").and_then(text));
    }
}
