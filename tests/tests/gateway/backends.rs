//! Backends: their keys, how they are asked how they are, and how long they may take.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_gateway::{KeyFile, NewKey, Script, SimulatedProvider};

use crate::site::{MODELS, POLICIES, Plan, Site, listener};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":9,"messages":[]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_backends_key_takes_the_callers_place_and_is_read_again_when_its_file_changes() {
    let data = tempfile::tempdir().expect("a folder");
    let new = NewKey {
        name: "ci".to_owned(),
        scopes: Vec::new(),
        priority_cap: tollgate_core::Priority::Normal,
        rights: Vec::new(),
        new_runs_per_minute: None,
    };
    let secret = KeyFile::of(data.path()).create(new, 0).expect("a key");
    let file = data.path().join("provider.key");
    fs::write(&file, "sk-first\n").expect("a file");
    let key_file = format!("key_file = \"{}\"", file.display());
    let models = MODELS.replace("api = \"anthropic\"", &format!("api = \"anthropic\"\n{key_file}"));
    let models = models.replace("api = \"openai\"", &format!("api = \"openai\"\n{key_file}"));
    let provider = Arc::new(SimulatedProvider::start(listener().await, Script::default()).expect("a provider"));
    let site = Site::open_on(&Plan::of(&[&models, POLICIES]), data, provider).await;
    let sent = |path: &'static str, header: &'static str| {
        let (site, secret) = (&site, &secret);
        async move {
            let headers = [("authorization", &*format!("Bearer {secret}")), ("x-api-key", secret)];
            assert_eq!(site.post(path, &headers, BODY).await.status, 200);
            let received = site.provider.received().pop().expect("it went").headers;
            assert!(received.values().all(|value| !value.as_bytes().ends_with(secret.as_bytes())), "{received:?}");
            received.get(header).and_then(|value| value.to_str().ok()).map(str::to_owned)
        }
    };
    assert_eq!(sent(OPENAI, "authorization").await.as_deref(), Some("Bearer sk-first"));
    assert_eq!(sent(ANTHROPIC, "x-api-key").await.as_deref(), Some("sk-first"));
    fs::write(&file, "sk-second-one").expect("a file");
    site.logged("backend `openai` is called with another key").await;
    assert_eq!(sent(OPENAI, "authorization").await.as_deref(), Some("Bearer sk-second-one"));
}

/// Answers each request with a status, and tells nobody what was asked.
async fn answering(status: &'static str) -> std::net::SocketAddr {
    let listener = listener().await;
    let address = listener.local_addr().expect("an address");
    begin(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "it ends with the test")]
fn begin(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_says_it_is_not_well_is_left_alone() {
    let unwell = answering("503 Service Unavailable").await;
    let backend = format!(
        "[[backend]]\nname = \"unwell\"\napi = \"openai\"\nurl = \"http://{unwell}/v1\"\nmodels = [\"gpt-5.2\"]\n\
         health = {{ path = \"/health\", interval = \"1s\" }}\n"
    );
    let models = MODELS.replacen("[[backend]]", &format!("{backend}[[backend]]"), 1);
    let site = Site::open(&Plan::of(&[&models, POLICIES])).await;
    site.logged("backend `unwell` does not say that it is well").await;
    for _ in 0..3 {
        let answer = site.post(OPENAI, &[], BODY).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-backend")), (200, Some("openai")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_may_have_less_time_than_others() {
    let models = MODELS.replace("api = \"openai\"", "api = \"openai\"\ntimeouts = { between_pieces = \"50ms\" }");
    let site = Site::open(&Plan::of(&[&models, POLICIES])).await;
    let body = r#"{"model":"gpt-5-mini","max_tokens":9,"stream":true,"messages":[]}"#;
    let answer = site.post(OPENAI, &[("x-simulate", "stall-after=2")], body).await;
    assert!(answer.text.contains("upstream-stalled"), "{}", answer.text);
    let models = MODELS.replace("api = \"anthropic\"", "api = \"anthropic\"\ntimeouts = { first_byte = \"50ms\" }");
    let site = Site::open(&Plan::of(&[&models, POLICIES])).await;
    site.provider.pause();
    let answer = site.post(ANTHROPIC, &[], BODY).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (504, &json!("timeout_error")));
}
