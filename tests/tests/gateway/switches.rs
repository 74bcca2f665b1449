//! Switches: engaged while calls run, lifted, and kept over a restart.

use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::site::{MODELS, POLICIES, Plan, Site, whole};

const ANTHROPIC: &str = "/v1/messages";
const OPENAI: &str = "/v1/chat/completions";
const STREAM: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"stream":true,"messages":[]}"#;
const RED: [(&str, &str); 2] = [("x-tollgate-scope", "team=red"), ("x-simulate", "stall-after=2")];
const SWITCHES: &str = "/admin/v1/switches";
const LIFT: &str = "/admin/v1/switches/lift";

fn kill(covers: &str, mode: &str) -> Value {
    json!({ "covers": covers, "mode": mode, "reason": "wrong-branch", "author": "ada" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_ends_open_streams_with_an_error_event_and_nothing_new_starts() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, "[[budget]]\nscope = \"team\"\nlimit = \"10.00 USD\""])).await;
    let mut open = Vec::new();
    for path in [ANTHROPIC, OPENAI] {
        let mut response = site.begin(path, &RED, STREAM).await;
        // The provider has begun: this stream is open.
        response.body_mut().frame().await.expect("a piece").expect("a piece");
        open.push(response);
    }
    assert_eq!(site.admin(Method::POST, SWITCHES, &kill("team=red", "cut")).await.status, 200);
    for response in open {
        let text = whole(response).await.text;
        let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("an event");
        let last: Value = serde_json::from_str(last).expect("JSON");
        assert_eq!(last["error"]["message"], "stopped by ada: wrong-branch");
    }
    let refused = site.post(ANTHROPIC, &RED, STREAM).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-should-retry")), (503, Some("false")), "{}", refused.text);
    assert_eq!(site.provider.received().len(), 2);
    assert_eq!(site.post(ANTHROPIC, &[("x-tollgate-scope", "team=blue")], STREAM).await.status, 200);
    assert_eq!(site.admin(Method::POST, LIFT, &json!({ "covers": "team=red" })).await.status, 200);
    assert_eq!(site.post(ANTHROPIC, &RED[..1], STREAM).await.status, 200);
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("estimate"), entries.count("post")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_reaches_every_stream_once_and_closes_what_is_behind_it() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, "[[budget]]\nscope = \"team\"\nlimit = \"10.00 USD\""])).await;
    let mut open = Vec::new();
    for number in 0..60 {
        let path = if number % 2 == 0 { ANTHROPIC } else { OPENAI };
        let mut response = site.begin(path, &RED, STREAM).await;
        response.body_mut().frame().await.expect("a piece").expect("a piece");
        open.push(response);
    }
    assert_eq!(site.admin(Method::POST, SWITCHES, &kill("team=red", "cut")).await.status, 200);
    // It has cut what it covers when it is answered, however soon it is lifted.
    assert_eq!(site.admin(Method::POST, LIFT, &json!({ "covers": "team=red" })).await.status, 200);
    for response in open {
        let text = whole(response).await.text;
        assert_eq!(text.matches("switched off").count(), 1, "{text}");
        let last = text.trim_end().rsplit("\n\n").next().expect("an event");
        assert!(last.contains("switched off"), "nothing comes after it: {text}");
    }
    site.provider.streams_ended().await;
    let (entries, _, _) = site.end().await;
    assert_eq!((entries.count("dispatch"), entries.count("estimate"), entries.count("post")), (60, 60, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_what_runs_end() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    site.provider.pause();
    let running = async { site.post(ANTHROPIC, &[("x-tollgate-run", "r")], STREAM).await };
    let draining = async {
        while site.provider.received().is_empty() {
            tokio::task::yield_now().await;
        }
        let killed = site.admin(Method::POST, SWITCHES, &kill("everything", "drain")).await;
        site.provider.resume();
        killed.status
    };
    let (answer, killed) = tokio::join!(running, draining);
    assert_eq!((answer.status.as_u16(), killed.as_u16()), (200, 200), "{}", answer.text);
    assert!(answer.text.contains("message_stop"));
    assert_eq!(site.post(ANTHROPIC, &[], STREAM).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_reaches_a_call_that_waits_for_its_answer() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    site.provider.pause();
    let waiting = async { site.post(OPENAI, &[], r#"{"model":"gpt-5-mini","max_tokens":9,"messages":[]}"#).await };
    let cutting = async {
        while site.provider.received().is_empty() {
            tokio::task::yield_now().await;
        }
        site.admin(Method::POST, SWITCHES, &kill("everything", "cut")).await
    };
    let (answer, _) = tokio::join!(waiting, cutting);
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (503, &json!("switched-off")));
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_outlast_a_restart() {
    let plan = Plan::of(&[MODELS, POLICIES]);
    let site = Site::open(&plan).await;
    let timed =
        json!({ "covers": "model=gpt-5.2", "mode": "drain", "reason": "dear", "author": "ada", "for_ms": 3_600_000 });
    assert_eq!(site.admin(Method::POST, SWITCHES, &timed).await.status, 200);
    assert_eq!(site.admin(Method::POST, SWITCHES, &kill("run=r", "cut")).await.status, 200);
    let before = site.admin(Method::GET, SWITCHES, &json!(null)).await.json();
    let (_, data, provider) = site.end().await;
    let site = Site::open_on(&plan, data, provider).await;
    assert_eq!(site.admin(Method::GET, SWITCHES, &json!(null)).await.json(), before);
    assert_eq!(site.post(OPENAI, &[("x-tollgate-run", "r")], STREAM).await.status, 503);
    let other = site.post(OPENAI, &[("x-tollgate-run", "s")], STREAM).await;
    assert_eq!(other.header("x-tollgate-model"), Some("gpt-5-mini"), "the other model is switched off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_on_nothing_is_refused() {
    let site = Site::open(&Plan::of(&[MODELS])).await;
    for (covers, says) in [
        ("model=gpt-9", "no configuration names the model `gpt-9`"),
        ("crew=red", "`crew=red` is nothing that a switch covers"),
        ("team=", "`team=` is nothing that a switch covers"),
    ] {
        let answer = site.admin(Method::POST, SWITCHES, &kill(covers, "cut")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.contains(says), "{}", answer.text);
    }
    let nothing = site.admin(Method::POST, LIFT, &json!({ "covers": "team=red" })).await;
    assert_eq!(nothing.status, 404);
}
