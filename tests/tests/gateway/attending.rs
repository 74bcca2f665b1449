//! Kill switches see what is under way: a stream on its way, a call that has just been paid, and more than was reserved.

use http_body_util::BodyExt;
use serde_json::Value;

use crate::site::{Plan, Site, whole};

const OPENAI: &str = "/v1/chat/completions";
const ONE_MODEL: &str = "version = 1\n[limits]\ndeadline = \"10s\"\n[[model]]\nname = \"gpt-5.2\"\ntier = \"premium\"\n\
    [[backend]]\nname = \"openai\"\napi = \"openai\"\nmodels = [\"gpt-5.2\"]\n[[policy]]\nname = \"routing\"\n";
/// Some 350 tokens of output.
const CEILING: &str = "[[policy]]\nname = \"kill-switch\"\n[policy.config.run_cost]\nceiling = \"0.005 USD\"\n";

fn stream(max_tokens: u32) -> String {
    format!("{{\"model\":\"m\",\"max_tokens\":{max_tokens},\"stream\":true,\"messages\":[]}}")
}

/// The tokens that a client saw, and the last event.
fn read(text: &str) -> (usize, Value) {
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect();
    let tokens = events
        .iter()
        .filter(|event| event["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()))
        .count();
    (tokens, events.last().expect("an event").clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_when_what_it_costs_passes_the_ceiling_of_its_run() {
    let site = Site::open(&Plan::of(&[ONE_MODEL, CEILING])).await;
    let headers = [("x-tollgate-run", "r"), ("x-simulate", "output=10000")];
    let cut = site.post(OPENAI, &headers, &stream(10_000)).await;
    let (tokens, last) = read(&cut.text);
    assert_eq!(cut.status, 200);
    assert_eq!(last["error"]["code"], "switched-off", "{last}");
    assert!(last["detail"].as_str().is_some_and(|detail| detail.contains("policy:kill-switch: run-cost")), "{last}");
    assert!((1..5_000).contains(&tokens), "{tokens} tokens went through");
    assert_eq!(site.post(OPENAI, &headers, &stream(5)).await.status, 503, "nothing new starts in this run");
    assert_eq!(site.post(OPENAI, &[("x-tollgate-run", "s")], &stream(5)).await.status, 200);
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("estimate"), entries.count("post")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_paid_cuts_what_else_its_run_has_under_way() {
    let site = Site::open(&Plan::of(&[ONE_MODEL, CEILING])).await;
    let mut open = site.begin(OPENAI, &[("x-tollgate-run", "r"), ("x-simulate", "stall-after=2")], &stream(100)).await;
    open.body_mut().frame().await.expect("a piece").expect("a piece");
    let body = stream(5_000).replace("\"stream\":true", "\"stream\":false");
    let paid = site.post(OPENAI, &[("x-tollgate-run", "r"), ("x-simulate", "output=300")], &body).await;
    assert_eq!(paid.status, 200, "{}", paid.text);
    let (_, last) = read(&whole(open).await.text);
    assert_eq!(last["error"]["code"], "switched-off", "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outgrows_its_reservation_holds_more_and_ends_where_it_may_not() {
    let budget = |hard: &str| format!("[[budget]]\nscope = \"run\"\nlimit = \"0.01 USD\"\nhard = \"{hard} USD\"\n");
    // A provider that does not keep to the limit it was given.
    let headers = [("x-tollgate-run", "r"), ("x-simulate", "ignore-limit,output=2000")];
    let site = Site::open(&Plan::of(&[ONE_MODEL, &budget("1.00")])).await;
    let (tokens, last) = read(&site.post(OPENAI, &headers, &stream(100)).await.text);
    assert_eq!((tokens, last.get("error")), (2_000, None), "{last}");
    let (entries, _, _) = site.end().await;
    assert!(entries.count("extend") > 0);
    let site = Site::open(&Plan::of(&[ONE_MODEL, &budget("0.01")])).await;
    let (tokens, last) = read(&site.post(OPENAI, &headers, &stream(100)).await.text);
    assert_eq!((&last["error"]["code"], &last["budget"]), (&"budget-exceeded".into(), &"run".into()), "{last}");
    assert!(tokens < 2_000, "{tokens}");
}
