//! What does not go through, and how its caller is told.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tollgate_core::Nanodollars;
use tollgate_gateway::{Bounds, Times};
use tollgate_ledger::estimate::{InputSize, OutputLimit, worst_case};
use tollgate_ledger::prices::{PriceTable, ServiceTier};

use crate::site::{MODELS, POLICIES, Plan, Site, billed};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"messages":[]}"#;

/// One model, so that every dispatch has the same price; no policies, so that only the ledger can refuse.
fn one_model(budget: Nanodollars) -> String {
    format!(
        "version = 1\n[[model]]\nname = \"gpt-5.2\"\ntier = \"premium\"\n\
         [[backend]]\nname = \"openai\"\napi = \"openai\"\nmodels = [\"gpt-5.2\"]\n\
         [[policy]]\nname = \"routing\"\n\
         [[budget]]\nscope = \"run\"\nlimit = \"{budget}\"\nhard = \"{budget}\"\n"
    )
}

fn worst_case_of(body: &str, max_tokens: u64) -> Nanodollars {
    let prices = PriceTable::builtin();
    let price = *prices.lookup("gpt-5.2").price().as_ref().expect("a price");
    let output = OutputLimit { max_tokens: Some(max_tokens), answers: 1 };
    worst_case(price, ServiceTier::Standard, InputSize::Bytes(body.len() as u64), output).expect("a bound").amount
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_at_once_on_a_budget_for_twenty_exactly_twenty_go() {
    let budget = Nanodollars::new(worst_case_of(BODY, 40).as_u64() * 20);
    let site = Arc::new(Site::open(&Plan::of(&[&one_model(budget)])).await);
    site.provider.pause();
    let (told, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let (site, told) = (Arc::clone(&site), told.clone());
        calls.spawn(async move {
            // It writes as much as it may: the output costs what was reserved for it.
            let headers = [("x-tollgate-run", "r"), ("x-simulate", "output=40")];
            let answer = site.post(OPENAI, &headers, BODY).await;
            if answer.status != 200 {
                told.send(answer.status.as_u16()).expect("the test listens");
            }
            answer.status
        });
    }
    for _ in 0..180 {
        assert_eq!(refused.recv().await, Some(402));
    }
    // All are decided: those that wait at the provider may be answered.
    site.provider.resume();
    let went = calls.join_all().await.into_iter().filter(|status| *status == 200).count();
    assert_eq!((went, site.provider.received().len()), (20, 20));
    let site = Arc::into_inner(site).expect("all calls have ended");
    let (entries, _, provider) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("post")), (20, 20));
    assert_eq!(entries.spent(), billed(&provider));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_budget_is_told_as_the_callers_provider_tells_it() {
    let plan = Plan::of(&[
        MODELS,
        "[[policy]]\nname = \"routing\"\n[[budget]]\nscope = \"run\"\nlimit = \"0.00001 USD\"\nowner = \"ada\"\nwindow = \"day\"",
    ]);
    let site = Site::open(&plan).await;
    for (path, kind) in [(OPENAI, "insufficient_quota"), (ANTHROPIC, "rate_limit_error")] {
        let answer = site.post(path, &[], BODY).await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["error"]["type"]), (429, &json!(kind)), "{body}");
        assert_eq!((&body["budget"], &body["owner"]), (&json!("run"), &json!("ada")));
        assert_eq!(body["remaining"], "0.000011 USD", "the ceiling of 110 %");
        let seconds: u64 = answer.header("retry-after").and_then(|header| header.parse().ok()).expect("a time");
        assert_eq!(answer.header("x-should-retry").is_none(), seconds <= 60, "an SDK would ignore a longer wait");
        let decision = body["decision_id"].as_str().expect("a name");
        assert!(decision.parse::<tollgate_ledger::records::DecisionId>().is_ok(), "{decision}");
    }
    assert!(site.provider.received().is_empty(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_one_line_that_says_what_to_change() {
    let plan = Plan { bounds: Bounds { body_bytes: 1_000, ..Bounds::default() }, ..Plan::of(&[MODELS, POLICIES]) };
    let site = Site::open(&plan).await;
    let large = format!("{{\"model\":\"{}\"}}", "m".repeat(1_000));
    let none: [(&str, &str); 0] = [];
    for (path, headers, body, status, says) in [
        (OPENAI, &none[..], "{", 400, "the body is not a JSON object"),
        (OPENAI, &none[..], "{\"messages\":[]}", 400, "`model` is missing"),
        (OPENAI, &none[..], "{\"model\":\"a\",\"model\":\"b\"}", 400, "`model` twice"),
        (ANTHROPIC, &[("x-tollgate-priority", "urgent")][..], BODY, 400, "use low, normal or high"),
        (ANTHROPIC, &none[..], large.as_str(), 413, "more than 1000 bytes"),
        ("/v1/batches", &none[..], BODY, 404, "cannot be metered"),
        (
            OPENAI,
            &none[..],
            r#"{"model":"gpt-5-mini","messages":[{"content":[{"type":"image_url"}]}],"n":9000000000000}"#,
            403,
            "has no bound",
        ),
    ] {
        let answer = site.post(path, headers, body).await;
        let told = answer.json();
        assert_eq!(answer.status, status, "{told}");
        assert!(told["error"]["message"].as_str().is_some_and(|message| message.contains(says)), "{told}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert_eq!(site.get(OPENAI, &[]).await.status, 405);
    assert!(site.provider.received().is_empty());
}

/// Reports a failure of a task.
async fn fail(site: &Site, run: &str, failure: &str) {
    let outcome = json!({ "run": run, "status": "failed", "failure": failure });
    assert_eq!(site.post("/tollgate/v1/outcomes", &[], &outcome.to_string()).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn reported_failures_raise_the_floor_then_slow_then_ask_a_human() {
    let plan = Plan::of(&[MODELS, POLICIES]);
    let plan = Plan { times: Times { longest_wait: Duration::ZERO, ..plan.times }, ..plan };
    let site = Site::open(&plan).await;
    let headers = [("x-tollgate-run", "r"), ("x-tollgate-task-type", "refactoring")];
    let model = async || site.post(ANTHROPIC, &headers, BODY).await.header("x-tollgate-model").map(str::to_owned);
    assert_eq!(model().await.as_deref(), Some("claude-haiku-4-5"));
    fail(&site, "r", "a").await;
    fail(&site, "r", "b").await;
    assert_eq!(model().await.as_deref(), Some("claude-opus-4-6"), "two failures raise the floor");
    fail(&site, "r", "c").await;
    let slowed = site.post(ANTHROPIC, &headers, BODY).await;
    assert_eq!(
        (slowed.status.as_u16(), &slowed.json()["error"]["type"]),
        (429, &json!("rate_limit_error")),
        "no patience is left"
    );
    assert!(slowed.header("retry-after").is_some());
    fail(&site, "r", "d").await;
    let held = site.post(ANTHROPIC, &headers, BODY).await;
    assert_eq!((held.status.as_u16(), held.header("x-should-retry")), (409, Some("false")), "{}", held.text);
    assert_eq!(
        (&held.json()["next_action"], &held.json()["policy"]),
        (&json!("ask-for-approval"), &json!("retry-ceiling"))
    );
    assert_eq!(site.post(ANTHROPIC, &[("x-tollgate-run", "other")], BODY).await.status, 200, "another run goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slowed_call_waits_and_is_decided_again() {
    let patient = "[[policy]]\nname = \"retry-ceiling\"\n[policy.config.back_off]\nbase = \"2s\"\n[[policy]]\nname = \"routing\"\n";
    let site = Site::open(&Plan::of(&[MODELS, patient])).await;
    for failure in ["a", "b", "c"] {
        fail(&site, "r", failure).await;
    }
    let answer = site.post(ANTHROPIC, &[("x-tollgate-run", "r")], BODY).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("x-tollgate-waited-ms").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_verifier_may_report_a_success() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    let headers = [("x-tollgate-run", "r")];
    for failure in ["a", "b", "c", "d"] {
        fail(&site, "r", failure).await;
    }
    let success = json!({ "run": "r", "status": "success" }).to_string();
    assert_eq!(site.post("/tollgate/v1/outcomes", &[("authorization", "Bearer guess")], &success).await.status, 403);
    assert_eq!(site.post(OPENAI, &headers, BODY).await.status, 409);
    let bearer = format!("Bearer {}", crate::site::TOKEN);
    assert_eq!(site.post("/tollgate/v1/outcomes", &[("authorization", &bearer)], &success).await.status, 202);
    assert_eq!(site.post(OPENAI, &headers, BODY).await.status, 200);
    for wrong in [r#"{"run":"r","status":"great"}"#, r#"{"status":"failed"}"#, r#"{"run":"r","status":"failed","x":1}"#]
    {
        assert_eq!(site.post("/tollgate/v1/outcomes", &[], wrong).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_budgets_than_a_dispatch_can_have_are_told_as_such() {
    let budgets: String =
        (0..17).map(|n| format!("[[budget]]\nname = \"b{n}\"\nfor = {{}}\nlimit = \"1.00 USD\"\n")).collect();
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, &budgets])).await;
    let answer = site.post(OPENAI, &[], BODY).await;
    assert!(answer.status == 503 && answer.text.contains("17 budgets cover this dispatch"), "{}", answer.text);
    assert!(site.provider.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_in_the_reports_once() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    for run in ["good", "bad"] {
        assert_eq!(site.post(OPENAI, &[("x-tollgate-run", run)], BODY).await.status, 200);
    }
    let bearer = format!("Bearer {}", crate::site::TOKEN);
    let success = json!({ "run": "good", "status": "success", "lines_production": 400, "lines_test": -3 }).to_string();
    // A client that tries again says it twice.
    for _ in 0..2 {
        assert_eq!(site.post("/tollgate/v1/outcomes", &[("authorization", &bearer)], &success).await.status, 202);
    }
    fail(&site, "bad", "tests").await;
    fail(&site, "nobody's", "tests").await;
    let summary = site.admin(Method::GET, "/admin/v1/reports/summary", &json!(null)).await.json();
    let told = ["calls", "tasks_done", "failed_calls", "lines_production"].map(|name| summary[name].as_i64());
    assert_eq!(told, [Some(2), Some(1), Some(1), Some(400)], "{summary}");
    assert_eq!(summary["cost_usd"].as_f64().map(|cost| cost > 0.0), Some(true));
    let unknown = site.admin(Method::GET, "/admin/v1/reports/work-item?name=x", &json!(null)).await;
    assert!(unknown.status == 404 && unknown.text.contains("no-such-work-item"), "{}", unknown.text);
    let absurd = json!({ "run": "r", "status": "failed", "lines_production": 1_u64 << 40 }).to_string();
    assert_eq!(site.post("/tollgate/v1/outcomes", &[], &absurd).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_answers_nobody_without_the_token() {
    let site = Site::open(&Plan::of(&[MODELS])).await;
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", crate::site::TOKEN)]] {
        for path in ["/admin/v1/status", "/admin/v1/switches", "/nowhere"] {
            let answer = site.raw(Method::GET, &format!("{}{path}", site.admin_url()), headers).await;
            assert_eq!(answer.status, 401);
        }
    }
    assert_eq!(site.admin(Method::GET, "/admin/v1/status", &json!(null)).await.json()["under_way"], 0);
}
