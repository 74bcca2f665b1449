//! One span for each dispatch, in the caller's trace, with the attributes that OpenTelemetry has for generative AI.

use crate::collector::WATCHED;
use crate::site::{MODELS, POLICIES, Plan, Site, billed, whole};
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const PLAIN: &str = r#"{"model":"gpt-5.2","max_tokens":40,"messages":[]}"#;
const STREAM: &str = r#"{"model":"m","max_tokens":40,"stream":true,"messages":[]}"#;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_a_child_of_the_callers_and_the_providers_parent() {
    let watched = &*WATCHED;
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=1"),
        ("x-request-id", "callers-1"),
        ("x-tollgate-run", "span-plain"),
        ("x-tollgate-task-type", "refactoring"),
        ("x-tollgate-stage", "coding"),
    ];
    let answer = site.post(OPENAI, &headers, PLAIN).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (200, Some("callers-1")));
    let sent = site.provider.received().remove(0).headers;
    let (_, _, provider) = site.end().await;
    let spans = watched.of_run("span-plain").await;
    let [span] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert_eq!((hex(&span.0.trace_id), hex(&span.0.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!(sent["traceparent"], format!("00-{TRACE}-{}-01", hex(&span.0.span_id)));
    assert_eq!(
        (&sent["tracestate"], &sent["x-request-id"]),
        (&"vendor=1".parse().unwrap(), &"callers-1".parse().unwrap())
    );
    assert_eq!((span.0.name.as_str(), span.0.kind), ("chat gpt-5.2", 3), "a client's span");
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-5.2"),
        ("tollgate.request.id", "callers-1"),
        ("tollgate.verdict", "proceed"),
        ("tollgate.task_type", "refactoring"),
        ("tollgate.stage", "coding"),
        ("tollgate.backend", "openai"),
    ] {
        assert_eq!(span.text(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(span.text("gen_ai.response.model").as_deref(), answer.header("x-tollgate-model"));
    assert_eq!(span.text("tollgate.decision.id").as_deref(), answer.header("x-tollgate-decision"));
    let bill = provider.billed().remove(0).usage;
    assert_eq!(span.number("gen_ai.usage.input_tokens"), bill.input().map(|input| i64::try_from(input).unwrap()));
    assert_eq!(span.number("gen_ai.usage.output_tokens"), Some(i64::try_from(bill.output).unwrap()));
    let cost = i64::try_from(billed(&provider).as_u64()).unwrap();
    assert_eq!(
        (span.number("tollgate.cost.nanodollars"), span.flag("tollgate.cost.estimated")),
        (Some(cost), Some(false))
    );
    assert_eq!((span.number("http.response.status_code"), span.text("error.type")), (Some(200), None));
    assert!(!span.is_error());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streams_span_ends_with_the_stream_and_knows_what_it_used() {
    let watched = &*WATCHED;
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    let answer = site.post(ANTHROPIC, &[("x-tollgate-run", "span-stream")], STREAM).await;
    assert!(answer.text.contains("message_stop"));
    let (_, _, provider) = site.end().await;
    let spans = watched.of_run("span-stream").await;
    let [span] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert!(span.0.parent_span_id.is_empty(), "nobody said where it belongs");
    let output = provider.billed().remove(0).usage.output;
    assert_eq!(span.number("gen_ai.usage.output_tokens"), Some(i64::try_from(output).unwrap()));
    assert_eq!(span.text("gen_ai.provider.name").as_deref(), Some("anthropic"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_an_error_of_its_kind() {
    let watched = &*WATCHED;
    let budget = "[[budget]]\nname = \"small\"\nfor = { team = \"poor\" }\nlimit = \"0.000001 USD\"";
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, budget])).await;
    let poor = [("x-tollgate-run", "span-refused"), ("x-tollgate-scope", "team=poor")];
    let refused = site.post(ANTHROPIC, &poor, STREAM).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    site.post(OPENAI, &[("x-tollgate-run", "span-bad"), ("x-simulate", "bad-request")], PLAIN).await;
    let broken = [("x-tollgate-run", "span-broken"), ("x-simulate", "break-after=2")];
    site.post(OPENAI, &broken, STREAM).await;
    let mut open =
        site.begin(ANTHROPIC, &[("x-tollgate-run", "span-cut"), ("x-simulate", "stall-after=2")], STREAM).await;
    open.body_mut().frame().await.expect("a piece").expect("a piece");
    let kill = json!({ "covers": "run=span-cut", "mode": "cut", "reason": "wrong-branch", "author": "ada" });
    assert_eq!(site.admin(Method::POST, "/admin/v1/switches", &kill).await.status, 200);
    whole(open).await;
    site.end().await;
    let problem = refused.json()["error"]["type"].clone();
    assert!(problem.is_string());
    for (run, error, status) in
        [("span-bad", "400", 400), ("span-broken", "upstream-broke", 200), ("span-cut", "switched-off", 200)]
    {
        let spans = watched.of_run(run).await;
        let [span] = spans.as_slice() else { panic!("{run}: {} spans", spans.len()) };
        assert_eq!(span.text("error.type").as_deref(), Some(error), "{run}");
        assert_eq!(span.number("http.response.status_code"), Some(status), "{run}");
        assert!(span.is_error(), "{run}");
    }
    let spans = watched.of_run("span-refused").await;
    let [span] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert_ne!(span.text("tollgate.verdict").as_deref(), None);
    assert_eq!(span.number("http.response.status_code"), Some(i64::from(refused.status.as_u16())));
    assert_eq!(span.number("tollgate.cost.nanodollars"), None, "nothing went");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_name_gets_one_that_reaches_the_provider() {
    let _watched = &*WATCHED;
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    for bad in [None, Some("two words"), Some("")] {
        let headers: Vec<_> = bad.map(|bad| ("x-request-id", bad)).into_iter().collect();
        let answer = site.post(OPENAI, &headers, PLAIN).await;
        let name = answer.header("x-request-id").expect("a name").to_owned();
        let sent = site.provider.received().pop().expect("a request").headers;
        assert_eq!((name.len(), sent["x-request-id"].to_str().unwrap()), (32, name.as_str()));
    }
    let refused = site.post("/v1/unknown", &[("x-request-id", "mine")], "{}").await;
    assert_eq!((refused.status.as_u16(), refused.header("x-request-id")), (404, Some("mine")));
    let outcome = r#"{"run":"r","status":"failed"}"#;
    let told = site.post("/tollgate/v1/outcomes", &[("x-request-id", "mine-too")], outcome).await;
    assert_eq!((told.status.as_u16(), told.header("x-request-id")), (202, Some("mine-too")));
}
