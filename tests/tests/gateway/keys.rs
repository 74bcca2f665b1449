//! Keys of Tollgate's own: who is let in, what they may claim, and that no key of ours reaches a provider.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_core::Priority;
use tollgate_gateway::{KeyFile, NewKey, Right, Script, SimulatedProvider};

use crate::site::{MODELS, POLICIES, Plan, Site, listener};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":9,"messages":[]}"#;

/// A data folder with keys, by their names, scopes and rights.
struct Folder {
    data: TempDir,
    file: KeyFile,
}

impl Folder {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        Self { file: KeyFile::of(data.path()), data }
    }

    fn key(&self, name: &str, scopes: &[&str], rights: &[Right]) -> String {
        let new = NewKey {
            name: name.to_owned(),
            scopes: scopes.iter().map(|scope| scope.parse().expect("a scope")).collect(),
            priority_cap: Priority::Normal,
            rights: rights.to_vec(),
            new_runs_per_minute: None,
        };
        self.file.create(new, 0).expect("a key")
    }

    async fn open(self, more: &str) -> Site {
        let provider = SimulatedProvider::start(listener().await, Script::default()).expect("a provider");
        Site::open_on(&Plan::of(&[MODELS, POLICIES, more]), self.data, Arc::new(provider)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_key_nothing_goes_and_the_callers_sdk_raises_its_own_error() {
    let folder = Folder::new();
    let secret = folder.key("ci", &["team=red"], &[]);
    let site = folder.open("").await;
    let bearer = format!("Bearer {secret}");
    for (path, header, good, kind) in [
        (OPENAI, "authorization", bearer.as_str(), "authentication_error"),
        (ANTHROPIC, "x-api-key", secret.as_str(), "authentication_error"),
    ] {
        for headers in [&[][..], &[(header, "sk-of-the-provider")], &[(header, "tg_0123")]] {
            let answer = site.post(path, headers, "{ not even read").await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["error"]["type"]),
                (401, &json!(kind)),
                "{}",
                answer.text
            );
            assert_eq!(answer.header("x-should-retry"), Some("false"));
        }
        let answer = site.post(path, &[(header, good), ("cookie", "c")], BODY).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let received = site.provider.received().pop().expect("it went");
        for name in ["authorization", "x-api-key", "x-tollgate-key", "cookie"] {
            assert_eq!(received.headers.get(name), None, "a key of ours stays here");
        }
    }
    assert_eq!(site.get("/v1/models", &[]).await.status, 401);
    assert_eq!(site.get("/v1/models", &[("x-tollgate-key", &secret)]).await.status, 200);
    assert_eq!(site.get("/healthz", &[]).await.status, 200);
    let outcome = json!({ "run": "r", "status": "failed" }).to_string();
    assert_eq!(site.post("/tollgate/v1/outcomes", &[], &outcome).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_required_where_the_configuration_says_so_although_there_is_none() {
    let site = Folder::new().open("[keys]\nrequired = true").await;
    let answer = site.post(OPENAI, &[("authorization", "Bearer sk-of-the-provider")], BODY).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (401, &json!("invalid-key")));
    assert!(site.provider.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_does_not_own_it_cannot_claim() {
    let folder = Folder::new();
    let secret = folder.key("ci", &["team=red"], &[]);
    let bold = folder.key("lead", &["team=red"], &[Right::Claim, Right::OverrideTier]);
    let site = folder.open("").await;
    let with_metadata = r#"{"model":"gpt-5-mini","max_tokens":9,"messages":[],"metadata":{"tollgate_team":"blue"}}"#;
    for (header, body, code) in [
        (("x-tollgate-scope", "team=blue"), BODY, "scope-not-owned"),
        (("x-tollgate-scope", "project=shop"), BODY, "scope-not-owned"),
        (("baggage", "tollgate.user=ada"), BODY, "scope-not-owned"),
        (("x-none", "x"), with_metadata, "scope-not-owned"),
        (("x-tollgate-tier", "premium"), BODY, "tier-not-allowed"),
    ] {
        let answer = site.post(OPENAI, &[("x-tollgate-key", &secret), header], body).await;
        let told = answer.json();
        assert_eq!((answer.status.as_u16(), &told["error"]["code"]), (403, &json!(code)), "{told}");
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("the key `ci`")), "{told}");
    }
    assert!(site.provider.received().is_empty());
    let headers = [("x-tollgate-key", secret.as_str()), ("x-tollgate-priority", "high")];
    let answer = site.post(OPENAI, &headers, BODY).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-priority")), (200, Some("normal")));
    for (tier, model) in [("premium", "gpt-5.2"), ("low", "gpt-5-mini")] {
        let headers = [("x-tollgate-key", &*bold), ("x-tollgate-tier", tier), ("x-tollgate-scope", "project=shop")];
        let answer = site.post(OPENAI, &headers, BODY).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-model")), (200, Some(model)), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_spends_for_its_own_scopes() {
    let folder = Folder::new();
    let (red, blue) = (folder.key("r", &["team=red"], &[]), folder.key("b", &["team=blue"], &[]));
    let budget = "[[budget]]\nfor = { team = \"red\" }\nlimit = \"0.00001 USD\"";
    let site = folder.open(budget).await;
    assert_eq!(site.post(OPENAI, &[("x-tollgate-key", &red)], BODY).await.status, 402);
    assert_eq!(site.post(OPENAI, &[("x-tollgate-key", &blue)], BODY).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_its_teams_and_a_success_is_the_verifiers_word() {
    let folder = Folder::new();
    let (red, blue) = (folder.key("r", &["team=red"], &[]), folder.key("b", &["team=blue"], &[]));
    let verifier = folder.key("v", &[], &[Right::Verify]);
    let site = folder.open("").await;
    let call = |key: String| {
        let site = &site;
        async move { site.post(OPENAI, &[("x-tollgate-key", &key), ("x-tollgate-run", "r")], BODY).await }
    };
    assert_eq!(call(red.clone()).await.status, 200);
    let answer = call(blue.clone()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (403, &json!("run-not-owned")));
    for (key, status, expected) in
        [(&red, "failed", 202), (&blue, "failed", 403), (&red, "success", 403), (&verifier, "success", 202)]
    {
        let outcome = json!({ "run": "r", "status": status }).to_string();
        let answer = site.post("/tollgate/v1/outcomes", &[("x-tollgate-key", key)], &outcome).await;
        assert_eq!(answer.status, expected, "{status}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_runs_of_a_key_are_bounded() {
    let folder = Folder::new();
    let secret = folder.key("ci", &[], &[]);
    let site = folder.open("[keys]\nnew_runs_per_minute = 2").await;
    let call = |run: &'static str| {
        let (site, secret) = (&site, &secret);
        async move { site.post(ANTHROPIC, &[("x-tollgate-key", secret), ("x-tollgate-run", run)], BODY).await }
    };
    assert_eq!((call("a").await.status.as_u16(), call("b").await.status.as_u16()), (200, 200));
    let answer = call("c").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    let seconds: u64 = answer.header("retry-after").and_then(|header| header.parse().ok()).expect("a time");
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(call("a").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_takes_keys_up_and_lets_them_go() {
    let folder = Folder::new();
    let file = folder.file.clone();
    let site = folder.open("").await;
    assert_eq!(site.post(OPENAI, &[], BODY).await.status, 200);
    let new = NewKey {
        name: "ci".to_owned(),
        scopes: Vec::new(),
        priority_cap: Priority::Normal,
        rights: Vec::new(),
        new_runs_per_minute: None,
    };
    let secret = file.create(new, 0).expect("a key");
    let until = |secret: String, status: u16| {
        let site = &site;
        // It ends when the gateway has looked; a test that hangs here has found a gateway that does not.
        async move { while site.get("/v1/models", &[("x-api-key", &secret)]).await.status != status {} }
    };
    until(String::new(), 401).await;
    assert_eq!(site.post(OPENAI, &[("x-api-key", &secret)], BODY).await.status, 200);
    let next = file.rotate("ci", Duration::ZERO, 1).expect("another secret");
    until(secret, 401).await;
    until(next.clone(), 200).await;
    file.revoke("ci", 2).expect("a key");
    until(next, 401).await;
    assert_eq!(site.post(OPENAI, &[], BODY).await.status, 401, "the last key that goes does not open the door");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_calls_that_say_nothing_is_told() {
    let site = Folder::new().open("").await;
    for headers in [&[][..], &[("x-tollgate-run", "r")], &[("x-tollgate-run", "r"), ("x-tollgate-task", "r")], &[]] {
        assert_eq!(site.post(OPENAI, headers, BODY).await.status, 200);
    }
    let outcome = json!({ "run": "r", "status": "failed" }).to_string();
    assert_eq!(site.post("/tollgate/v1/outcomes", &[], &outcome).await.status, 202);
    let untold = site.admin(Method::GET, "/admin/v1/status", &Value::Null).await.json()["untold"].clone();
    let expected = json!({
        "dispatches": 4, "without_run_permille": 500, "without_task_permille": 750, "without_outcome_permille": 500,
    });
    assert_eq!(untold, expected);
}
