//! Streams: metered, hidden from nobody who asked, and settled however they end.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::Value;
use tollgate_gateway::Times;

use crate::site::{MODELS, POLICIES, Plan, Site, billed, whole};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const BUDGET: &str = "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\"";
const STREAM: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"stream":true,"messages":[]}"#;

/// The data of a stream's events.
fn data(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_only_the_gateway_asked_for_is_not_shown_and_is_settled() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await;
    let quiet = site.post(OPENAI, &[], STREAM).await.text;
    assert!(!quiet.contains("prompt_tokens"), "{quiet}");
    assert_eq!(data(&quiet).last(), Some(&"[DONE]"));
    let asking = STREAM.replace("\"stream\"", "\"stream_options\":{\"include_usage\":true},\"stream\"");
    let told = site.post(OPENAI, &[], &asking).await.text;
    assert!(told.contains("prompt_tokens"));
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("post"), entries.count("estimate")), (2, 0));
    assert_eq!(entries.spent(), billed(&provider));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_tells_is_settled_as_estimated() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await;
    for (path, fault) in
        [(OPENAI, "no-usage"), (ANTHROPIC, "no-usage"), (ANTHROPIC, "error-after=3"), (OPENAI, "break-after=3")]
    {
        let answer = site.post(path, &[("x-simulate", fault)], STREAM).await;
        assert_eq!(answer.status, 200);
        if fault == "break-after=3" {
            let last: Value = serde_json::from_str(data(&answer.text).last().expect("an event")).expect("JSON");
            assert_eq!(last["error"]["code"], "upstream-broke");
        }
    }
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("estimate"), entries.count("post")), (4, 0));
    assert!(entries.spent().as_u64() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_stalls_is_ended_with_an_error_event() {
    let plan = Plan::of(&[MODELS, POLICIES, BUDGET]);
    let times = Times { between_pieces: Duration::from_millis(50), ..plan.times };
    let site = Site::open(&Plan { times, ..plan }).await;
    let answer = site.post(ANTHROPIC, &[("x-simulate", "stall-after=2")], STREAM).await;
    assert!(answer.text.ends_with("\n\n"));
    let last: Value = serde_json::from_str(data(&answer.text).last().expect("an event")).expect("JSON");
    assert_eq!((&last["type"], &last["error"]["type"]), (&"error".into(), &"timeout_error".into()));
    let (entries, _, _) = site.end().await;
    assert_eq!(entries.count("estimate"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_settled_and_its_upstream_closed() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await;
    let mut response = site.begin(ANTHROPIC, &[("x-simulate", "stall-after=2")], STREAM).await;
    response.body_mut().frame().await.expect("a piece").expect("a piece");
    drop(response);
    // The gateway ends only when nothing is under way any more: it has noticed.
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("estimate")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_gateway_cuts_what_does_not_end() {
    let plan = Plan::of(&[MODELS, POLICIES, BUDGET]);
    let times = Times { drain: Duration::ZERO, ..plan.times };
    let site = Site::open(&Plan { times, ..plan }).await;
    let mut response = site.begin(OPENAI, &[("x-simulate", "stall-after=2")], STREAM).await;
    response.body_mut().frame().await.expect("a piece").expect("a piece");
    let ((entries, _, _), text) = tokio::join!(site.end(), async { whole(response).await.text });
    let last: Value = serde_json::from_str(data(&text).last().expect("an event")).expect("JSON");
    assert_eq!(last["error"]["code"], "ending");
    assert_eq!(entries.count("estimate"), 1);
}
