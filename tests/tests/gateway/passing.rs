//! What goes through, and that the ledger has it to the nanodollar.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tollgate_gateway::{Script, SimulatedProvider};

use crate::site::{MODELS, POLICIES, Plan, Site, billed, listener};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_each_format_costs_in_the_ledger_what_the_provider_billed() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\""])).await;
    let long = "x".repeat(9_000);
    for path in [OPENAI, ANTHROPIC] {
        for stream in [false, true, false] {
            let body = json!({
                "model": "any", "max_tokens": 50, "stream": stream,
                "system": [{ "type": "text", "text": long, "cache_control": { "type": "ephemeral" } }],
                "messages": [{ "role": "user", "content": long }, { "role": "user", "content": "hello" }],
            });
            let answer = site.post(path, &[("x-tollgate-run", "r")], &body.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(answer.header("x-tollgate-decision").is_some());
        }
    }
    let cached = site.provider.billed().iter().filter(|bill| bill.usage.cache_read > 0).count();
    assert!(cached >= 2, "the provider's cache was used");
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("post")), (6, 6));
    assert_eq!(entries.count("estimate"), 0);
    assert_eq!(entries.spent(), billed(&provider));
}

#[tokio::test(flavor = "multi_thread")]
async fn routing_changes_the_model_and_not_one_byte_beside_it() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    let body =
        "{\"max_tokens\": 10,  \"model\":\"claude-opus-4-6\", \"new_field\": [1.50, {\"a\" : null}],\n\"messages\":[]}";
    let headers = [
        ("x-tollgate-task-type", "refactoring"),
        ("anthropic-version", "2023-06-01"),
        ("x-api-key", "the-callers"),
        ("accept-encoding", "gzip"),
    ];
    let answer = site.post(ANTHROPIC, &headers, body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-model")), (200, Some("claude-haiku-4-5")));
    let received = site.provider.received().remove(0);
    assert_eq!(received.body, body.replace("claude-opus-4-6", "claude-haiku-4-5"));
    let header = |name: &str| received.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!((header("anthropic-version"), header("x-api-key")), (Some("2023-06-01"), Some("the-callers")));
    assert_eq!(header("accept-encoding"), Some("identity"), "what is compressed cannot be metered");
    assert_eq!(header("x-tollgate-task-type"), None, "our own names stay here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_gone_is_stepped_in_for_and_pays_nothing() {
    // A port that nobody listens on any more.
    let gone = listener().await.local_addr().expect("an address");
    let first =
        format!("[[backend]]\nname = \"gone\"\napi = \"openai\"\nurl = \"http://{gone}/v1\"\nmodels = [\"gpt-5.2\"]\n");
    let models = MODELS.replacen("[[backend]]", &format!("{first}[[backend]]"), 1);
    let site = Site::open(&Plan::of(&[&models, POLICIES, "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\""])).await;
    let answer = site.post(OPENAI, &[], r#"{"model":"gpt-5.2","max_tokens":9,"messages":[]}"#).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-backend")), (200, Some("openai")), "{}", answer.text);
    let (entries, _, provider) = site.end().await;
    assert_eq!(entries.count("dispatch"), 2);
    assert_eq!(entries.spent(), billed(&provider));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_look_on_change_no_model_and_replace_none_that_is_not_there() {
    let shadows = POLICIES.replace("[[policy]]", "[[policy]]\nmode = \"shadow\"");
    let site = Site::open(&Plan::of(&[MODELS, &shadows, "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\""])).await;
    let asking = |model: &str| format!(r#"{{"model":"{model}","max_tokens":9,"messages":[]}}"#);
    for (path, model) in [(OPENAI, "gpt-5.2"), (OPENAI, "gpt-5-mini"), (ANTHROPIC, "claude-opus-4-6")] {
        let answer = site.post(path, &[], &asking(model)).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-model")), (200, Some(model)), "{}", answer.text);
    }
    // One of the other provider is not there for a caller who speaks this format.
    for model in ["gpt-9", "claude-opus-4-6"] {
        let answer = site.post(OPENAI, &[], &asking(model)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &json!("unknown-model")));
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert!(answer.text.contains(&format!("`{model}`")), "{}", answer.text);
    }
    let counting = r#"{"model":"gpt-5.2","messages":[]}"#;
    assert_eq!(site.post("/v1/messages/count_tokens", &[], counting).await.status, 404);
    let premium = [("x-tollgate-tier", "premium")];
    assert_eq!(
        site.post(ANTHROPIC, &premium, &asking("any")).await.header("x-tollgate-model"),
        Some("claude-opus-4-6")
    );
    let off = json!({ "covers": "model=gpt-5.2", "mode": "drain", "reason": "too-dear" });
    assert_eq!(site.admin(Method::POST, "/admin/v1/switches", &off).await.status, 200);
    let answer = site.post(OPENAI, &[], &asking("gpt-5.2")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (503, &json!("switched-off")));
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("dispatch"), provider.billed().len()), (4, 4));
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    let answer = site.post(OPENAI, &[], &asking("gpt-9")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-model")), (200, Some("gpt-5.2")), "routing chose it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_refusal_reaches_the_caller_as_it_is_and_costs_nothing() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\""])).await;
    for (fault, status) in [("bad-request", 400), ("overloaded", 529), ("rate-limit", 429)] {
        let answer = site
            .post(ANTHROPIC, &[("x-simulate", fault)], r#"{"model":"claude-haiku-4-5","max_tokens":9,"messages":[]}"#)
            .await;
        assert_eq!((answer.status.as_u16(), &answer.json()["type"]), (status, &json!("error")), "{}", answer.text);
        assert_eq!(answer.header("x-should-retry"), None, "the provider's own word stands");
    }
    let answer = site.post(ANTHROPIC, &[], r#"{"model":"claude-haiku-4-5","max_tokens":9,"messages":[]}"#).await;
    assert_eq!(answer.status, 503, "a provider that says when to come back is left alone until then");
    assert!(answer.header("retry-after").is_some());
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("post"), entries.spent().as_u64()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_as_the_callers_provider_lists_them() {
    let site = Site::open(&Plan::of(&[MODELS])).await;
    let openai = site.get("/v1/models", &[]).await.json();
    assert_eq!(openai["data"][0]["id"], "gpt-5-mini");
    let anthropic = site.get("/v1/models", &[("anthropic-version", "2023-06-01")]).await.json();
    assert_eq!(anthropic["last_id"], "claude-opus-4-6");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_provider_gives_the_same_bytes_for_the_same_seed() {
    let mut answers = Vec::new();
    for seed in [7, 7, 8] {
        let script = Script { seed, ..Script::default() };
        let provider = Arc::new(SimulatedProvider::start(listener().await, script).expect("a provider"));
        let folder = tempfile::tempdir().expect("a folder");
        let site = Site::open_on(&Plan::of(&[MODELS, POLICIES]), folder, provider).await;
        answers.push(site.post(OPENAI, &[], r#"{"model":"gpt-5-mini","stream":true,"messages":[]}"#).await.text);
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
}
