//! Prompts and keys are written nowhere: marked ones are sent down every path, and looked for in all that stays or leaves.

use std::fs;
use std::path::Path;

use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

use crate::collector::WATCHED;
use crate::site::{MODELS, POLICIES, Plan, Site, TOKEN, whole};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const PROMPT: &str = "zebra-marked-prompt";
const KEY: &str = "sk-marked-quagga-key";
const BUDGETS: &str = "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\"\n\
    [[budget]]\nname = \"poor\"\nfor = { team = \"poor\" }\nlimit = \"0.000001 USD\"";

fn body(stream: bool) -> String {
    json!({
        "model": "m", "max_tokens": 30, "stream": stream, "system": PROMPT,
        "messages": [{ "role": "user", "content": PROMPT }],
        "tools": [{ "name": "t", "description": PROMPT, "input_schema": { "type": "object" } }],
    })
    .to_string()
}

/// What leaves a backend as healthy as it was; then, each with a gateway of its own, what does not.
const FAULTS: [&[&str]; 6] = [
    &["", "bad-request", "garbage", "no-usage", "unknown-word"],
    &["rate-limit"],
    &["overloaded"],
    &["error"],
    &["break-after=2"],
    &["error-after=2"],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_marked_prompt_and_key_are_found_nowhere() {
    let watched = &*WATCHED;
    let bearer = format!("Bearer {KEY}");
    let keys = [("authorization", bearer.as_str()), ("x-api-key", KEY)];
    let mut sent = 0;
    for faults in FAULTS {
        let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGETS])).await;
        for path in [OPENAI, ANTHROPIC] {
            for fault in faults {
                for stream in [false, true] {
                    // A run for each: none is stopped for the failures of another.
                    let run = format!("{path}-{fault}-{stream}");
                    let asked = [keys[0], keys[1], ("x-simulate", fault), ("x-tollgate-run", &run)];
                    site.post(path, &asked, &body(stream)).await;
                }
            }
            if faults.len() > 1 {
                refused_and_left(&site, path, &keys).await;
            }
        }
        sent += site.provider.received().iter().filter(|request| find(&request.body, PROMPT)).count();
        assert_clean(site).await;
    }
    // Twenty answers of healthy backends, two that were left, one that was cut for each format, and a fault of each kind at least.
    assert!(sent >= 30, "the provider got {sent} prompts: without them nothing is shown by this");
    let (spans, log) = (watched.raw().await, watched.log());
    assert!(find(&spans, "gen_ai.operation.name") && log.contains("settled") && log.contains("answered"));
    assert!(is_clean(&spans), "spans");
    assert!(is_clean(log.as_bytes()), "log");
}

/// Refused by a budget, unreadable, for nobody, named badly, left in the middle, cut, and told about.
async fn refused_and_left(site: &Site, path: &str, keys: &[(&str, &str); 2]) {
    let with = |more: (&'static str, &'static str)| [keys[0], keys[1], more];
    site.post(path, &with(("x-tollgate-scope", "team=poor")), &body(false)).await;
    site.post(path, &with(("x-tollgate-priority", "urgent")), &body(false)).await;
    for unreadable in [
        format!("{{\"model\": \"m\", {PROMPT}"),
        format!("{{\"model\": \"m\", \"max_tokens\": \"{PROMPT}\"}}"),
        format!("{{\"model\": \"m\", \"{PROMPT}\": 1, \"{PROMPT}\": 2}}"),
    ] {
        site.post(path, keys, &unreadable).await;
    }
    site.post(&format!("/v1/unknown?{PROMPT}"), keys, &body(false)).await;
    site.get("/v1/models", keys).await;
    let mut left = site.begin(path, &with(("x-simulate", "stall-after=2")), &body(true)).await;
    left.body_mut().frame().await.expect("a piece").expect("a piece");
    drop(left);
    let run = if path == OPENAI { "cut-openai" } else { "cut-anthropic" };
    let mut cut = site
        .begin(path, &[keys[0], keys[1], ("x-tollgate-run", run), ("x-simulate", "stall-after=2")], &body(true))
        .await;
    cut.body_mut().frame().await.expect("a piece").expect("a piece");
    let covers = format!("run={run}");
    let kill = json!({ "covers": covers, "mode": "cut", "reason": "wrong-branch", "author": "ada" });
    assert_eq!(site.admin(Method::POST, "/admin/v1/switches", &kill).await.status, 200);
    whole(cut).await;
    for outcome in [
        json!({ "run": "r", "status": "failed", "failure": PROMPT, "proposal_key": PROMPT }).to_string(),
        format!("{{\"run\": \"r\", \"status\": \"failed\", \"prompt\": \"{PROMPT}\"}}"),
        format!("{{ {PROMPT}"),
    ] {
        site.post("/tollgate/v1/outcomes", keys, &outcome).await;
    }
}

/// Looks at the metrics, the lines for operators, and every file that is left.
async fn assert_clean(site: Site) {
    let admin = format!("Bearer {TOKEN}");
    let url = format!("{}/metrics", site.admin_url());
    let scraped = site.raw(Method::GET, &url, &[("authorization", &admin)]).await.text;
    assert!(scraped.contains("tollgate_requests") && is_clean(scraped.as_bytes()), "metrics");
    let lines = site.log.lock().expect("a log").join("\n");
    assert!(is_clean(lines.as_bytes()), "{lines}");
    let (_, data, _) = site.end().await;
    let mut files = 0;
    look_into(data.path(), &mut files);
    assert!(files >= 3, "a ledger and records were written");
}

fn look_into(folder: &Path, files: &mut usize) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            look_into(&path, files);
        } else {
            *files += 1;
            assert!(is_clean(&fs::read(&path).expect("a file")), "{}", path.display());
        }
    }
}

fn is_clean(bytes: &[u8]) -> bool {
    [PROMPT, KEY, TOKEN].iter().all(|secret| !find(bytes, secret))
}

fn find(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
