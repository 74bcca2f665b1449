//! Each format that is metered, and what cannot be.

use http::Method;
use serde_json::{Value, json};
use tollgate_core::config::Api;

use crate::site::{MODELS, POLICIES, Plan, Site, billed};

const RESPONSES: &str = "/v1/responses";
const EMBEDDINGS: &str = "/v1/embeddings";
const COUNT: &str = "/v1/messages/count_tokens";
const BUDGET: &str = "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\"\n";

/// With a model that embeds, which is the cheapest there is.
fn models() -> String {
    let embedding = "[[model]]\nname = \"text-embedding-3-small\"\ntier = \"low\"\n[[backend]]";
    MODELS.replacen("[[backend]]", embedding, 1).replace("\"gpt-5.2\"]", "\"gpt-5.2\", \"text-embedding-3-small\"]")
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_cost_in_the_ledger_what_the_provider_billed_at_every_tier() {
    let site = Site::open(&Plan::of(&[&models(), POLICIES, BUDGET])).await;
    for tier in ["default", "flex", "priority"] {
        for stream in [false, true] {
            let body = json!({
                "model": "gpt-5.2", "max_output_tokens": 20, "stream": stream, "service_tier": tier, "new": [1.50],
                "instructions": "be brief", "input": [{ "role": "user", "content": "hello" }],
            });
            let answer = site.post(RESPONSES, &[("x-tollgate-run", "r")], &body.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let last = if stream { last_event(&answer.text)["response"].clone() } else { answer.json() };
            assert_eq!((&last["status"], &last["service_tier"]), (&json!("incomplete"), &json!(tier)));
            assert_eq!(last["usage"]["output_tokens"], 20);
        }
    }
    let received = site.provider.received();
    assert!(received.iter().all(|received| received.path == RESPONSES && received.body.ends_with(b"}")));
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("post"), entries.count("estimate")), (6, 0));
    assert_eq!(entries.spent(), billed(&provider));
}

fn last_event(text: &str) -> Value {
    let data = text.lines().rev().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    serde_json::from_str(data).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_responses_that_breaks_ends_with_an_error_event_of_its_form() {
    let site = Site::open(&Plan::of(&[&models(), POLICIES, BUDGET])).await;
    let body = r#"{"model":"gpt-5.2","max_output_tokens":20,"stream":true,"input":"hello"}"#;
    let answer = site.post(RESPONSES, &[("x-simulate", "break-after=3")], body).await;
    let error = last_event(&answer.text);
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("upstream-broke")), "{error}");
    let numbers: Vec<u64> = answer.text.lines().filter_map(|line| line.strip_prefix("data: ")).map(number).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "the event has the next number");
    assert_eq!(error["error"]["message"], error["message"]);
    let (entries, ..) = site.end().await;
    assert_eq!((entries.count("post"), entries.count("estimate")), (0, 1));
}

fn number(event: &str) -> u64 {
    serde_json::from_str::<Value>(event).expect("JSON")["sequence_number"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn context_that_the_server_holds_is_reserved_at_the_models_most_and_the_background_is_refused() {
    // All of what the model takes, 272,000 tokens at 1.75 dollars a million, is more than this.
    let budget = "[[budget]]\nscope = \"run\"\nlimit = \"0.30 USD\"\nhard = \"0.30 USD\"";
    let site = Site::open(&Plan::of(&[&models(), "[[policy]]\nname = \"routing\"\n", budget])).await;
    let body = |more: Value| {
        let mut body = json!({ "model": "gpt-5.2", "max_output_tokens": 9, "input": "go on" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body.to_string()
    };
    let premium = [("x-tollgate-tier", "premium")];
    for held in [json!({ "previous_response_id": "resp_1" }), json!({ "conversation": "conv_1" })] {
        let answer = site.post(RESPONSES, &premium, &body(held)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (402, &json!("budget-exceeded")));
    }
    let answer = site.post(RESPONSES, &premium, &body(json!({ "background": true }))).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("`background` cannot be metered"), "{}", answer.text);
    assert_eq!(site.post(RESPONSES, &premium, &body(json!({ "previous_response_id": null }))).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_is_made_by_the_model_that_was_asked_for_and_by_no_other() {
    let site = Site::open(&Plan::of(&[&models(), POLICIES, BUDGET])).await;
    let body = json!({ "model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 8 }).to_string();
    let answer = site.post(EMBEDDINGS, &[], &body).await;
    assert_eq!((answer.status.as_u16(), answer.json()["data"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(site.provider.received()[0].body, body, "not one byte is another");
    for model in ["text-embedding-3-large", "m"] {
        let answer = site.post(EMBEDDINGS, &[], &json!({ "model": model, "input": "x" }).to_string()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &json!("unknown-model")));
    }
    let chat = r#"{"model":"m","max_tokens":9,"messages":[]}"#;
    let answer = site.post("/v1/chat/completions", &[("x-tollgate-task-type", "refactoring")], chat).await;
    assert_eq!(answer.header("x-tollgate-model"), Some("gpt-5-mini"), "no conversation goes to a model that embeds");
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("post"), entries.count("estimate")), (2, 0));
    assert_eq!(entries.spent(), billed(&provider));
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_is_decided_and_recorded_and_costs_nothing() {
    let nothing = "[[budget]]\nscope = \"run\"\nlimit = \"0.000000001 USD\"\nhard = \"0.000000001 USD\"";
    let site = Site::open(&Plan::of(&[&models(), "[[policy]]\nname = \"routing\"\n", nothing])).await;
    let body = r#"{"model":"claude-opus-4-6","messages":[{"role":"user","content":"hello"}],"tools":[]}"#;
    let answer = site.post(&format!("{COUNT}?beta=true"), &[("x-tollgate-run", "r")], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0));
    let received = site.provider.received().remove(0);
    assert_eq!(
        (received.path.as_str(), received.body.as_ref()),
        ("/v1/messages/count_tokens?beta=true", body.as_bytes())
    );
    let kill = json!({ "covers": "run=r", "mode": "drain", "reason": "stop", "author": "ada", "for_ms": null });
    assert_eq!(site.admin(Method::POST, "/admin/v1/switches", &kill).await.status, 200);
    assert_eq!(site.post(COUNT, &[("x-tollgate-run", "r")], body).await.status, 503, "a switch holds for it too");
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("post"), entries.count("estimate")), (1, 1, 0));
    assert_eq!((entries.spent().as_u64(), provider.billed().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_metered_goes_only_where_it_is_named_and_is_counted() {
    let site = Site::open(&Plan::of(&[&models(), POLICIES, "[gateway]\nunmetered_routes = [\"/v1/files\"]"])).await;
    for path in ["/v1/batches", "/v1/filesystem", "/v1/files/../batches", "/v1/files/%2e%2e/batches", "/v1/files//x"] {
        assert_eq!(site.get(path, &[]).await.status, 404, "{path}");
    }
    assert!(site.provider.received().is_empty());
    let answer = site.get("/v1/files?limit=2", &[("authorization", "Bearer sk-1")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-backend")), (200, Some("openai")));
    assert_eq!(answer.json()["object"], "list");
    assert_eq!(site.provider.received()[0].path, "/v1/files?limit=2");
    let answer = site.get("/v1/files/f", &[("anthropic-version", "2023-06-01")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-backend")), (404, Some("anthropic")));
    let status = site.admin(Method::GET, "/admin/v1/status", &Value::Null).await.json();
    assert_eq!(status["unmetered"], json!({ "/v1/files": 2 }));
    let kill = json!({ "covers": "everything", "mode": "drain", "reason": "stop", "author": "ada", "for_ms": null });
    assert_eq!(site.admin(Method::POST, "/admin/v1/switches", &kill).await.status, 200);
    assert_eq!(site.get("/v1/files", &[]).await.status, 503, "a switch holds for it too");
    assert!(site.provider.url(Api::Openai).ends_with("/v1"));
}
