//! What slow and dead peers can do, on both sides, and more at once than there is room for.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_gateway::{Bounds, Times};

use crate::site::{MODELS, POLICIES, Plan, Site, listener};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"messages":[]}"#;
const BUDGET: &str = "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\"";

/// A site whose only backend is at an address.
async fn site_before(backend: &TcpListener, times: Times) -> Site {
    let address = backend.local_addr().expect("an address");
    let configuration = format!(
        "version = 1\n[limits]\ndeadline = \"10s\"\n[[model]]\nname = \"gpt-5.2\"\ntier = \"premium\"\n\
         [[backend]]\nname = \"odd\"\napi = \"openai\"\nurl = \"http://{address}/v1\"\nmodels = [\"gpt-5.2\"]\n"
    );
    Site::open(&Plan { times, ..Plan::of(&[&configuration, POLICIES, BUDGET]) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_never_answers_is_given_up_and_costs_what_was_reserved() {
    let backend = listener().await;
    let times = Times { first_byte: Duration::from_millis(50), ..Plan::of(&[]).times };
    let site = site_before(&backend, times).await;
    // The connection is held, and nothing is ever said on it.
    let (answer, accepted) = tokio::join!(site.post(OPENAI, &[], BODY), backend.accept());
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (504, &json!("upstream-timed-out")));
    assert_eq!(answer.header("x-should-retry"), Some("false"), "sending it again would pay twice");
    drop(accepted);
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("estimate")), (1, 1));
    assert!(entries.spent().as_u64() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_speaks_something_else_is_told_as_broken() {
    let backend = listener().await;
    let site = site_before(&backend, Plan::of(&[]).times).await;
    let speaking = async {
        let (mut stream, _) = backend.accept().await.expect("a connection");
        read_request(&mut stream).await;
        stream.write_all(b"\x01\x02 what is this\r\n\r\n").await.expect("room for it");
        stream
    };
    let (answer, stream) = tokio::join!(site.post(OPENAI, &[], BODY), speaking);
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (502, &json!("upstream-broke")));
    drop(stream);
    let (entries, _, _) = site.end().await;
    assert_eq!(entries.count("estimate"), 1);
}

/// Reads a request that ends in a closing brace.
async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut read).await.expect("a request"), 0, "the connection was closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_over_does_not_wait_for_its_provider_to_close_it() {
    let backend = listener().await;
    let site = site_before(&backend, Plan::of(&[]).times).await;
    let body = BODY.replacen('{', "{\"stream\":true,", 1);
    let events = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let said = format!("{head}{:x}\r\n{events}\r\n", events.len());
    for after in ["closes", "stays open", "breaks"] {
        let speaking = async {
            let (mut stream, _) = backend.accept().await.expect("a connection");
            read_request(&mut stream).await;
            stream.write_all(said.as_bytes()).await.expect("room for it");
            (after != "breaks").then_some(stream)
        };
        let (answer, stream) = tokio::join!(site.post(OPENAI, &[], &body), speaking);
        assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
        let Some(mut stream) = stream else { continue };
        if after == "closes" {
            stream.write_all(b"0\r\n\r\n").await.expect("room for it");
        }
        let closed = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut [0])).await.is_ok();
        assert_eq!(closed, after == "stays open", "what was closed in time is kept for the next call");
    }
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("post"), entries.count("estimate")), (3, 3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_ends_answers_and_settles_what_is_at_the_provider() {
    let backend = listener().await;
    let site = site_before(&backend, Times { drain: Duration::ZERO, ..Plan::of(&[]).times }).await;
    let mut client = TcpStream::connect(site.address()).await.expect("a connection");
    let request = format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    client.write_all(request.as_bytes()).await.expect("room for a request");
    let (mut stream, _) = backend.accept().await.expect("a connection");
    read_request(&mut stream).await;
    let (entries, _, _) = site.end().await;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"ending\""), "{answer}");
    assert!(answer.contains("x-should-retry: false"), "sending it again would pay twice: {answer}");
    assert_eq!((entries.count("dispatch"), entries.count("estimate")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_never_taken_for_the_whole() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await;
    for path in [OPENAI, ANTHROPIC] {
        let answer = site.post(path, &[("x-simulate", "break-after=1")], BODY).await;
        assert_eq!(answer.status, 502, "{}", answer.text);
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("estimate")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_keeps_nothing_open() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await;
    let body = r#"{"model":"gpt-5-mini","max_tokens":50000,"stream":true,"messages":[]}"#;
    let request = format!(
        "POST {ANTHROPIC} HTTP/1.1\r\nhost: x\r\nx-simulate: output=50000\r\nx-tollgate-run: r\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("room for a request");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("the beginning of an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    // From here on it reads nothing: what it is sent fills what lies between, and then the provider waits.
    let kill = json!({ "covers": "run=r", "mode": "cut", "reason": "silent", "author": "ada" });
    assert_eq!(site.admin(Method::POST, "/admin/v1/switches", &kill).await.status, 200);
    site.provider.streams_ended().await;
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("estimate")), (1, 1));
    let written = provider.billed().first().map(|bill| bill.usage.output).expect("a bill");
    assert!(written < 50_000, "the provider was kept waiting, or cut: {written} tokens");
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_for_which_there_is_no_room_is_turned_away_with_503() {
    let bounds = Bounds { body_bytes: 8 << 10, held_bytes: 12 << 10, ..Bounds::default() };
    let site = Site::open(&Plan { bounds, ..Plan::of(&[MODELS, POLICIES]) }).await;
    let large = BODY.replace("[]", &format!("[{{\"role\":\"user\",\"content\":\"{}\"}}]", "x".repeat(7 << 10)));
    site.provider.pause();
    let turned_away = async {
        while site.provider.received().is_empty() {
            tokio::task::yield_now().await;
        }
        let second = site.post(OPENAI, &[], &large).await;
        site.provider.resume();
        second
    };
    let (first, second) = tokio::join!(site.post(OPENAI, &[], &large), turned_away);
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!((second.status.as_u16(), &second.json()["error"]["code"]), (503, &json!("no-room")));
    assert_eq!((second.header("retry-after"), second.header("x-should-retry")), (Some("1"), None));
    assert_eq!(site.post(OPENAI, &[], &large).await.status, 200, "the room is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_sent_to_the_front_is_answered_with_500() {
    let bounds = Bounds { body_bytes: 4_096, header_time: Duration::from_millis(200), ..Bounds::default() };
    let times = Times { first_byte: Duration::from_secs(5), ..Plan::of(&[]).times };
    let site = Site::open(&Plan { bounds, times, ..Plan::of(&[MODELS, POLICIES]) }).await;
    let deep = format!("{{\"model\":\"m\",\"messages\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    let wide = format!("{{{}\"model\":\"m\"}}", (0..300).map(|at| format!("\"m{at}\":0,")).collect::<String>());
    let bodies = [
        "",
        "null",
        "[]",
        "7",
        "\"text\"",
        "{",
        "{\"model\":null}",
        "{\"model\":{}}",
        "{\"model\":\"\"}",
        "\u{0}\u{1}\u{2}",
        "{\"model\":\"m\",\"messages\":7,\"n\":0}",
        "{\"model\":\"m\",\"max_tokens\":18446744073709551615}",
        "{\"model\":\"m\",\"n\":18446744073709551615,\"max_tokens\":18446744073709551615}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":7}",
        "{\"model\":\"m\",\"metadata\":[1]}",
        "{\"model\":\"m\\ud800\"}",
        &deep,
        &wide,
    ];
    for path in [OPENAI, ANTHROPIC, "/v1/responses", "/v1/embeddings", "/v1/messages/count_tokens", "/v1/nothing", "/"]
    {
        for body in bodies {
            let answer = site.post(path, &[("x-tollgate-run", "r")], body).await;
            assert_ne!(answer.status, 500, "{path} {body}: {}", answer.text);
        }
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            let url = format!("http://{}{path}", site.address());
            assert!(site.raw(method, &url, &[]).await.status.is_client_error());
        }
    }
    let panicked = site.log.lock().expect("lines").iter().any(|line| line.contains("panicked"));
    assert!(!panicked, "a call panicked");
    let whole: Value = site.post(OPENAI, &[], BODY).await.json();
    assert_eq!(whole["object"], "chat.completion", "it goes on as if nothing had been");
}
