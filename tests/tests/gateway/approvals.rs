//! Held calls: told where to ask, or kept until somebody says yes or no; and what a yes is worth.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tollgate_gateway::Times;

use crate::site::{Answer, MODELS, POLICIES, Plan, Site};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"messages":[]}"#;
const STREAM: &str = r#"{"model":"gpt-5-mini","max_tokens":4,"stream":true,"messages":[]}"#;
const RUN: [(&str, &str); 2] = [("x-tollgate-run", "r"), ("x-tollgate-priority", "low")];
const WAITING: [(&str, &str); 3] = [RUN[0], RUN[1], ("prefer", "wait=60")];
/// What can wait needs an approval for everything; what a call can cost stays below the ceiling.
const BUDGET: &str = "[[budget]]\nscope = \"run\"\nlimit = \"0.000001 USD\"\nhard = \"1.00 USD\"\n";

async fn site_with(times: Times) -> Site {
    Site::open(&Plan { times, ..Plan::of(&[MODELS, POLICIES, BUDGET]) }).await
}

async fn decide(site: &Site, id: &str, what: &str, body: &Value) -> Answer {
    site.admin(Method::POST, &format!("/admin/v1/approvals/{id}/{what}"), body).await
}

async fn pending(site: &Site) -> Vec<Value> {
    let listed = site.admin(Method::GET, "/admin/v1/approvals", &Value::Null).await.json();
    listed["approvals"].as_array().expect("a list").clone()
}

/// Waits until so many calls have asked.
async fn asked(site: &Site, times: u64) -> String {
    loop {
        if let Some(one) = pending(site).await.first().filter(|one| one["asked"] == times) {
            return one["id"].as_str().expect("a name").to_owned();
        }
        tokio::task::yield_now().await;
    }
}

fn yes() -> Value {
    json!({ "for_ms": 3_600_000, "reason": "looked at it" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_call_is_told_where_to_ask_and_goes_once_somebody_said_yes() {
    let site = site_with(Plan::of(&[]).times).await;
    let held = site.post(OPENAI, &RUN, BODY).await;
    let problem = held.json();
    assert_eq!((held.status.as_u16(), held.header("x-should-retry")), (409, Some("false")), "{problem}");
    assert_eq!((&problem["error"]["code"], &problem["policy"]), (&json!("approval-needed"), &json!("budget")));
    let id = problem["approval_id"].as_str().expect("a name");
    let url = problem["approval_url"].as_str().expect("a place");
    assert_eq!(url, format!("{}/admin/v1/approvals/{id}", site.admin_url()));
    assert_eq!(problem["approval_command"], format!("tollgate approvals approve {id}"));
    for again in 2..4 {
        assert_eq!(site.post(ANTHROPIC, &RUN, BODY).await.json()["approval_id"], id, "it joins what is pending");
        let known = pending(&site).await;
        assert_eq!((known.len(), &known[0]["asked"], &known[0]["run"]), (1, &json!(again), &json!("r")));
    }
    let approved = decide(&site, id, "approve", &yes()).await;
    assert_eq!((approved.status.as_u16(), &approved.json()["verdict"]["beneficiary"]), (200, &json!("run=r")));
    assert_eq!(site.post(OPENAI, &RUN, BODY).await.status, 200);
    assert_eq!(decide(&site, id, "deny", &json!({ "reason": "no" })).await.status, 409, "it has been decided");
    assert!(pending(&site).await.is_empty());
    let audit = site.admin(Method::GET, "/admin/v1/audit", &Value::Null).await.json();
    assert_eq!(
        (&audit["entries"][0]["action"], &audit["entries"][0]["who"]),
        (&json!("approval.approve"), &json!("start"))
    );
    assert_eq!(audit["entries"][0]["before"]["state"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_waits_gets_no_byte_before_the_verdict_and_its_stream_after_it() {
    let site = site_with(Plan::of(&[]).times).await;
    let first = site.begin(ANTHROPIC, &WAITING, STREAM);
    let second = site.post(ANTHROPIC, &WAITING, STREAM);
    let approving = async {
        let id = asked(&site, 2).await;
        assert!(site.provider.received().is_empty(), "nothing was sent");
        decide(&site, &id, "approve", &yes()).await
    };
    let (first, second, approved) = tokio::join!(first, second, approving);
    assert_eq!((first.status().as_u16(), second.status.as_u16(), approved.status.as_u16()), (200, 200, 200));
    assert!(crate::site::whole(first).await.text.contains("message_stop") && second.text.contains("message_stop"));
    assert_eq!(site.provider.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_reaches_whoever_waits_and_whoever_asks_again() {
    let site = site_with(Plan::of(&[]).times).await;
    let waiting = site.post(OPENAI, &WAITING, BODY);
    let denying = async {
        let id = asked(&site, 1).await;
        decide(&site, &id, "deny", &json!({ "reason": "it loops" })).await
    };
    let (refused, denied) = tokio::join!(waiting, denying);
    assert_eq!((refused.status.as_u16(), denied.status.as_u16()), (403, 200), "{}", refused.text);
    for answer in [refused, site.post(OPENAI, &RUN, BODY).await] {
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), &problem["error"]["code"]), (403, &json!("approval-denied")));
        assert_eq!(problem["detail"], "denied by start: it loops");
    }
    assert!(site.provider.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_bounded_whatever_the_caller_says() {
    let times = Times { longest_hold: Duration::from_millis(20), ..Plan::of(&[]).times };
    let site = site_with(times).await;
    let held = site.post(OPENAI, &[RUN[0], RUN[1], ("prefer", "wait=99999999")], BODY).await;
    assert_eq!(held.status, 409);
    assert!(held.json()["approval_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_outlasts_a_restart() {
    let plan = Plan::of(&[MODELS, POLICIES, BUDGET]);
    let site = site_with(plan.times).await;
    let id = site.post(OPENAI, &RUN, BODY).await.json()["approval_id"].as_str().expect("a name").to_owned();
    let before = pending(&site).await;
    let (_, data, provider) = site.end().await;
    let site = Site::open_on(&plan, data, provider).await;
    assert_eq!(pending(&site).await, before);
    assert_eq!(decide(&site, &id, "approve", &yes()).await.status, 200);
    assert_eq!(site.post(OPENAI, &RUN, BODY).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_raises_a_ceiling_by_its_amount_and_more_has_to_be_asked_for() {
    // What the call is expected to cost lies between the two, and what it can cost at most above both.
    let budget = "[[budget]]\nscope = \"run\"\nlimit = \"0.0002 USD\"\nhard = \"0.0005 USD\"\n";
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, budget])).await;
    let body = format!("{{\"model\":\"m\",\"max_tokens\":40,\"messages\":[\"{}\"]}}", "x".repeat(3_000));
    let ask = async || site.post(OPENAI, &[("x-tollgate-run", "r"), ("x-tollgate-priority", "low")], &body).await;
    for (policy, amount) in [("budget", Value::Null), ("ledger", json!("0.001 USD"))] {
        let held = ask().await;
        let problem = held.json();
        assert_eq!((held.status.as_u16(), &problem["policy"]), (409, &json!(policy)), "{problem}");
        let id = problem["approval_id"].as_str().expect("a name");
        let yes = json!({ "amount": amount, "for_ms": 3_600_000, "reason": "worth it" });
        assert_eq!(decide(&site, id, "approve", &yes).await.status, 200);
    }
    let went = ask().await;
    assert_eq!(went.status, 200, "{}", went.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_cannot_be_meant_is_refused() {
    let site = site_with(Plan::of(&[]).times).await;
    let id = site.post(OPENAI, &RUN, BODY).await.json()["approval_id"].as_str().expect("a name").to_owned();
    for (what, body, status, says) in [
        ("approve", json!({ "reason": "x" }), 400, "for_ms"),
        ("approve", json!({ "for_ms": 0, "reason": "x" }), 400, "from 1 to"),
        ("approve", json!({ "for_ms": 5, "reason": "" }), 400, "`reason` is missing"),
        ("approve", json!({ "for_ms": 5, "reason": "x", "amount": "5" }), 400, "`amount`"),
        ("approve", json!({ "for_ms": 5, "reason": "x", "beneficiary": "work-item" }), 400, "no work item"),
        ("deny", json!({ "for_ms": 5 }), 400, "reason"),
    ] {
        let refused = decide(&site, &id, what, &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        assert!(refused.text.contains(says), "{}", refused.text);
    }
    assert_eq!(decide(&site, "ap-0", "approve", &yes()).await.status, 404);
    assert_eq!(pending(&site).await.len(), 1, "nothing was decided");
}
