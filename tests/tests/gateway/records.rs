//! Every decision on live traffic is recorded, under the name that its caller is told; never a prompt or a key.

use std::fs;

use tollgate_gateway::RECORDS_FOLDER;
use tollgate_ledger::records::{Event, Item, Recorded, read};

use crate::site::{MODELS, POLICIES, Plan, Site};

const ANTHROPIC: &str = "/v1/messages";
const PROMPT: &str = "the-secret-of-the-prompt";

fn body(content: &str) -> String {
    format!(
        "{{\"model\":\"claude-opus-4-6\",\"max_tokens\":9,\"messages\":[{{\"role\":\"user\",\"content\":\"{content}\"}}]}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_recorded_under_the_name_that_its_caller_is_told() {
    let plan = Plan::of(&[MODELS, POLICIES]);
    let site = Site::open(&plan).await;
    let headers = [
        ("x-api-key", "sk-the-key"),
        ("x-tollgate-run", "r"),
        ("x-tollgate-task", "t"),
        ("x-tollgate-task-type", "security"),
        ("x-tollgate-scope", "team=red"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let went = site.post(ANTHROPIC, &headers, &body(PROMPT)).await;
    assert_eq!(went.status, 200, "{}", went.text);
    let switch =
        serde_json::json!({ "covers": "team=red", "mode": "drain", "reason": "wrong-branch", "author": "ada" });
    assert_eq!(site.admin(http::Method::POST, "/admin/v1/switches", &switch).await.status, 200);
    let refused = site.post(ANTHROPIC, &headers, &body(PROMPT)).await;
    assert_eq!(refused.status, 503);
    let (_, data, _) = site.end().await;
    let folder = data.path().join(RECORDS_FOLDER);
    let recorded: Vec<Box<Recorded>> = read(&folder)
        .expect("records")
        .filter_map(|item| match item {
            Item::Decision(recorded) => Some(recorded),
            Item::Lost(_) | Item::Problem(_) => None,
        })
        .collect();
    assert_eq!(recorded.len(), 2);
    let ids: Vec<String> = recorded.iter().map(|recorded| recorded.decision.decision_id.to_string()).collect();
    assert_eq!(Some(ids[0].as_str()), went.header("x-tollgate-decision"));
    assert_eq!(refused.json()["decision_id"], ids[1]);
    let event = serde_json::to_value(Event::of(&recorded[0])).expect("an event");
    assert_eq!(event["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(event["input"]["scopes"]["team"]["name"], "red");
    assert_eq!(event["input"]["task"]["name"], "t");
    assert_eq!(event["result"]["outcome"], "proceed");
    assert!(event["input"]["scopes"]["key"].get("name").is_none(), "{event}");
    for file in fs::read_dir(&folder).expect("a folder") {
        let bytes = fs::read(file.expect("a file").path()).expect("a file");
        for secret in [PROMPT, "sk-the-key"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_can_be_switched_off() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, "[records]\nenabled = false\n"])).await;
    let answer = site.post(ANTHROPIC, &[], &body(PROMPT)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-tollgate-decision").map(str::len), Some(32), "a name of its own all the same");
    let (_, data, _) = site.end().await;
    assert!(!data.path().join(RECORDS_FOLDER).exists());
}
