//! The admin API: who may do what, that it answers what its document says, that bad input is the caller's mistake, and that every
//! change is written down.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_gateway::{AUDIT_FILE, Bounds};

use crate::site::{Answer, MODELS, POLICIES, Plan, Site, TOKEN};

const OPENAI: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"messages":[]}"#;
const BUDGET: &str = "[[budget]]\nscope = \"run\"\nlimit = \"10.00 USD\"\n";

async fn site() -> Site {
    Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await
}

async fn document(site: &Site) -> Value {
    site.admin(Method::GET, "/admin/v1/openapi.json", &Value::Null).await.json()
}

async fn token(site: &Site, name: &str, role: &str) -> String {
    let made = site.admin(Method::POST, "/admin/v1/tokens", &json!({ "name": name, "role": role })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["token"].as_str().expect("a token").to_owned()
}

/// Every operation of the document: method, path with something in its open places, role.
fn operations(document: &Value) -> Vec<(Method, String, String)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let path = path.replace("{name}", "run").replace("{id}", "ap-0").replace("{report}", "summary");
            operations.push((method, path, operation["x-tollgate-role"].as_str().expect("a role").to_owned()));
        }
    }
    operations
}

/// Everything that can be changed.
async fn state(site: &Site) -> Vec<Value> {
    let mut state = Vec::new();
    for path in ["generations", "switches", "budgets", "tokens", "candidate", "audit?last=1000"] {
        state.push(site.admin(Method::GET, &format!("/admin/v1/{path}"), &Value::Null).await.json());
    }
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_its_role_may_and_a_viewers_changes_nothing() {
    let site = site().await;
    let tokens = [("viewer", token(&site, "v", "viewer").await), ("operator", token(&site, "o", "operator").await)];
    let (document, before) = (document(&site).await, state(&site).await);
    let rank = |role: &str| ["viewer", "operator", "admin"].iter().position(|known| *known == role).expect("a role");
    for (method, path, role) in operations(&document) {
        for body in ["", "{}", r#"{"covers":"everything","mode":"cut","reason":"x"}"#, r#"{"name":"x","role":"admin"}"#]
        {
            let nobody = site.admin_as("", method.clone(), &path, body).await;
            assert_eq!((nobody.status.as_u16(), nobody.header("www-authenticate")), (401, Some("Bearer")), "{path}");
            assert_eq!(site.admin_as("tga_guessed", method.clone(), &path, body).await.status, 401, "{path}");
            for (own, token) in &tokens {
                if rank(own) < rank(&role) {
                    let refused = site.admin_as(token, method.clone(), &path, body).await;
                    assert_eq!(refused.status, 403, "{own} {method} {path}: {}", refused.text);
                    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
                }
            }
            if method == Method::GET {
                let looked = site.admin_as(&tokens[0].1, method.clone(), &path, body).await.status.as_u16();
                assert_eq!(looked == 403, role == "admin", "{path}: {looked}");
            }
        }
    }
    assert_eq!(state(&site).await, before);
}

/// Checks an answer against the document.
fn check(document: &Value, path: &str, method: &str, answer: &Answer) {
    let response = &document["paths"][path][method]["responses"][answer.status.as_str()];
    assert!(response.is_object(), "{method} {path} answers {}: {}", answer.status, answer.text);
    let content = response["content"].as_object().expect("content");
    let (kind, media) = content.iter().next().expect("one form");
    assert_eq!(answer.header("content-type"), Some(kind.as_str()), "{path}");
    let mut schema = media["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::options().build(&schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(&answer.json()).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:?}\n{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_what_the_document_says() {
    let site = site().await;
    let document = document(&site).await;
    for run in ["a", "b"] {
        assert_eq!(site.post(OPENAI, &[("x-tollgate-run", run)], BODY).await.status, 200);
    }
    let kill = json!({ "covers": "run=c", "mode": "cut", "reason": "wrong-branch", "for_ms": 3_600_000 });
    let limit = json!({ "limit": "5.00 USD", "hard": "6.00 USD", "reason": "too dear" });
    let name = json!({ "name": "n", "role": "viewer" });
    let nothing = json!({});
    for (method, path, template, body, status) in [
        ("get", "status", "status", &nothing, 200),
        ("get", "policies", "policies", &nothing, 200),
        ("get", "generations", "generations", &nothing, 200),
        ("get", "candidate", "candidate", &nothing, 200),
        ("post", "candidate/promote", "candidate/promote", &nothing, 404),
        ("post", "candidate/discard", "candidate/discard", &nothing, 404),
        ("post", "generations/rollback", "generations/rollback", &nothing, 409),
        ("post", "generations/rollback", "generations/rollback", &json!({ "generation": 9 }), 404),
        ("post", "reload", "reload", &nothing, 409),
        ("post", "switches", "switches", &kill, 200),
        ("get", "switches", "switches", &nothing, 200),
        ("post", "switches/lift", "switches/lift", &json!({ "covers": "run=c" }), 200),
        ("post", "switches/lift", "switches/lift", &json!({ "covers": "run=c" }), 404),
        ("get", "budgets?budget=run&accounts=1", "budgets", &nothing, 200),
        ("get", "budgets?budget=x", "budgets", &nothing, 404),
        ("post", "budgets/run/limit", "budgets/{name}/limit", &limit, 200),
        ("post", "budgets/x/limit", "budgets/{name}/limit", &limit, 404),
        ("get", "reports/summary", "reports/{report}", &nothing, 200),
        ("get", "reports/weeks?zone=Europe%2FBerlin", "reports/{report}", &nothing, 200),
        ("get", "reports/runs?count=1&from=2001-01-01T00:00:00Z", "reports/{report}", &nothing, 200),
        ("get", "reports/human?hour=120.00+USD&minutes=30", "reports/{report}", &nothing, 200),
        ("get", "reports/human", "reports/{report}", &nothing, 400),
        ("get", "reports/nonsense", "reports/{report}", &nothing, 404),
        ("get", "records?outcome=proceed&run=a&last=5&scope=run%3Da", "records", &nothing, 200),
        ("post", "tokens", "tokens", &name, 201),
        ("post", "tokens", "tokens", &name, 409),
        ("get", "tokens", "tokens", &nothing, 200),
        ("delete", "tokens/n", "tokens/{name}", &nothing, 200),
        ("delete", "tokens/n", "tokens/{name}", &nothing, 404),
        ("delete", "tokens/start", "tokens/{name}", &nothing, 409),
        ("get", "audit", "audit", &nothing, 200),
    ] {
        let asked: Method = method.to_uppercase().parse().expect("a method");
        let answer = site.admin(asked, &format!("/admin/v1/{path}"), body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        check(&document, &format!("/admin/v1/{template}"), method, &answer);
    }
}

/// Requests that cannot be meant: method, path, body, the status they get, and what they are told.
const BAD: &[(&str, &str, &str, u16, &str)] = &[
    ("GET", "/admin/v1/nothing", "", 404, "openapi.json"),
    ("GET", "/admin/v1/status/", "", 404, "there is no"),
    ("GET", "/admin/v1/%73tatus", "", 404, "there is no"),
    ("PUT", "/admin/v1/switches", "{}", 405, "takes GET, POST"),
    ("DELETE", "/admin/v1/reload", "", 405, "takes POST"),
    ("GET", "/admin/v1/audit?last=%", "", 400, "two hexadecimal digits"),
    ("GET", "/admin/v1/audit?last=%ff", "", 400, "UTF-8"),
    ("GET", "/admin/v1/audit?last=0", "", 400, "from 1 to 1000"),
    ("GET", "/admin/v1/audit?last=99999999999999999999", "", 400, "from 1 to 1000"),
    ("GET", "/admin/v1/audit?last=+5", "", 400, "from 1 to 1000"),
    ("GET", "/admin/v1/audit?last=1&last=2", "", 400, "twice"),
    ("GET", "/admin/v1/status?x=1", "", 400, "may have nothing"),
    ("GET", "/admin/v1/records?kind=colour", "", 400, "`kind=colour`"),
    ("GET", "/admin/v1/records?scope=colour", "", 400, "write a kind and a name"),
    ("GET", "/admin/v1/records?since=yesterday", "", 400, "`since=yesterday`"),
    ("GET", "/admin/v1/reports/summary?from=yesterday", "", 400, "`from=yesterday`"),
    ("GET", "/admin/v1/reports/weeks?zone=Middle-Earth", "", 400, "`zone=Middle-Earth`"),
    ("POST", "/admin/v1/switches", "{", 400, "EOF"),
    ("POST", "/admin/v1/switches", "[]", 400, "expected an object"),
    ("POST", "/admin/v1/switches", "null", 400, "expected an object"),
    ("POST", "/admin/v1/switches", "\u{0}", 400, "line 1"),
    ("POST", "/admin/v1/switches", r#"{"covers":1,"mode":"cut","reason":"x"}"#, 400, "`covers`"),
    ("POST", "/admin/v1/switches", r#"{"covers":"x","mode":"cut","reason":"x"}"#, 400, "nothing that a switch covers"),
    ("POST", "/admin/v1/switches", r#"{"covers":"everything","mode":"cut","reason":" "}"#, 400, "`reason` is missing"),
    (
        "POST",
        "/admin/v1/switches",
        r#"{"covers":"everything","mode":"cut","reason":"a\u001b[2J"}"#,
        400,
        "control character",
    ),
    (
        "POST",
        "/admin/v1/switches",
        r#"{"covers":"everything","mode":"cut","reason":"x","x":1}"#,
        400,
        "unknown field `x`",
    ),
    ("POST", "/admin/v1/switches", r#"{"covers":"everything","mode":"cut","reason":"x","for_ms":-1}"#, 400, "`for_ms`"),
    (
        "POST",
        "/admin/v1/switches",
        r#"{"covers":"everything","mode":"cut","reason":"x","for_ms":0}"#,
        400,
        "ends at once",
    ),
    ("POST", "/admin/v1/generations/rollback", r#"{"generation":1.5}"#, 400, "`generation`"),
    ("POST", "/admin/v1/reload", r#"{"x":1}"#, 400, "unknown field"),
    ("POST", "/admin/v1/budgets/run/limit", r#"{"limit":"5","reason":"x"}"#, 400, "`limit`"),
    (
        "POST",
        "/admin/v1/budgets/run/limit",
        r#"{"limit":"5.00 USD","hard":"4.00 USD","reason":"x"}"#,
        400,
        "below the limit",
    ),
    ("POST", "/admin/v1/budgets/%2F/limit", r#"{"limit":"5.00 USD","reason":"x"}"#, 404, "no budget `/`"),
    ("POST", "/admin/v1/budgets/%zz/limit", r#"{"limit":"5.00 USD","reason":"x"}"#, 400, "hexadecimal"),
    ("POST", "/admin/v1/tokens", r#"{"name":"a b","role":"viewer"}"#, 400, "no name for a token"),
    ("POST", "/admin/v1/tokens", r#"{"name":"a","role":"king"}"#, 400, "unknown variant `king`"),
    ("DELETE", "/admin/v1/tokens/%00", "", 400, "control character"),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_and_never_a_mistake_of_ours() {
    let site = site().await;
    let long = format!("/admin/v1/records?run={}", "x".repeat(20_000));
    let deep = format!("{{\"covers\":{}", "[".repeat(10_000));
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000));
    let made = [
        ("GET", long.as_str(), "", 400, "more than 1024 bytes"),
        ("POST", "/admin/v1/switches", &deep, 400, "line 1"),
        ("POST", "/admin/v1/switches", &large, 413, "more than 65536 bytes"),
    ];
    for (method, path, body, status, says) in BAD.iter().copied().chain(made) {
        let answer = site.admin_as(TOKEN, method.parse().expect("a method"), path, body).await;
        assert_eq!(answer.status, status, "{method} {path} {body:.60}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{path} {body:.60}: {problem}");
        if status == 405 {
            assert!(answer.header("allow").is_some_and(|allow| says.ends_with(allow)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_bodies_and_slow_ones_are_refused() {
    let bounds = Bounds { body_time: Duration::from_millis(50), ..Bounds::default() };
    let site = Site::open(&Plan { bounds, ..Plan::of(&[MODELS]) }).await;
    let head = format!(
        "POST /admin/v1/switches HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n"
    );
    for (rest, status) in [
        ("content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=b", "415"),
        ("content-type: application/json; charset=utf-8\r\ncontent-length: 2\r\n\r\n{}", "400"),
        ("content-type: application/json\r\ncontent-length: 10\r\n\r\n{}", "408"),
    ] {
        let mut stream =
            TcpStream::connect(site.admin_url().trim_start_matches("http://")).await.expect("a connection");
        stream.write_all(format!("{head}{rest}").as_bytes()).await.expect("room for a request");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log_with_who_and_what_it_was() {
    let site = site().await;
    let ada = token(&site, "ada", "admin").await;
    let limit = json!({ "limit": "5.00 USD", "reason": "too dear" }).to_string();
    let kill = json!({ "covers": "team=red", "mode": "drain", "reason": "wrong-branch" }).to_string();
    let lift = json!({ "covers": "team=red" }).to_string();
    for (method, path, body) in [
        (Method::POST, "/admin/v1/budgets/run/limit", limit.as_str()),
        (Method::POST, "/admin/v1/switches", &kill),
        (Method::POST, "/admin/v1/switches/lift", &lift),
        (Method::DELETE, "/admin/v1/tokens/ada", ""),
    ] {
        let answer = site.admin_as(&ada, method, path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    assert_eq!(site.admin_as(&ada, Method::GET, "/admin/v1/status", "").await.status, 401, "it was revoked");
    let read = |answer: Answer| answer.json()["entries"].as_array().expect("entries").clone();
    let entries = read(site.admin(Method::GET, "/admin/v1/audit", &Value::Null).await);
    let told: Vec<_> = entries.iter().map(|entry| [&entry["who"], &entry["action"], &entry["target"]]).collect();
    let expected = [
        ["start", "token.create", "ada"],
        ["ada", "budget.limit", "run"],
        ["ada", "switch.engage", "team=red"],
        ["ada", "switch.lift", "team=red"],
        ["ada", "token.revoke", "ada"],
    ];
    assert_eq!(json!(told), json!(expected));
    assert_eq!(entries[1]["before"], json!({ "limit": "10.00 USD", "hard": "11.00 USD" }));
    assert_eq!(entries[1]["after"], json!({ "limit": "5.00 USD", "hard": "5.50 USD", "reason": "too dear" }));
    assert_eq!((&entries[2]["before"], &entries[2]["after"]["author"]), (&Value::Null, &json!("ada")));
    assert_eq!(entries[3]["before"][0]["reason"], "wrong-branch");
    let text = fs::read_to_string(site.data.path().join(AUDIT_FILE)).expect("a log");
    assert!(!text.contains(&ada) && text.lines().count() == 5);
    for file in [AUDIT_FILE, "tokens.json"] {
        let mode = fs::metadata(site.data.path().join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_changed_holds_from_the_next_call_on_and_over_a_restart() {
    let plan = Plan::of(&[MODELS, "[[policy]]\nname = \"routing\"\n", BUDGET]);
    let site = Site::open(&plan).await;
    assert_eq!(site.post(OPENAI, &[], BODY).await.status, 200);
    let limit = json!({ "limit": "0.000001 USD", "reason": "enough" });
    let set = site.admin(Method::POST, "/admin/v1/budgets/run/limit", &limit).await;
    assert_eq!(set.json()["budget"]["limit"], "0.000001 USD", "{}", set.text);
    assert_eq!(site.post(OPENAI, &[], BODY).await.status, 402);
    let (_, data, provider) = site.end().await;
    let site = Site::open_on(&plan, data, provider).await;
    assert_eq!(site.post(OPENAI, &[], BODY).await.status, 402);
    let told = site.admin(Method::GET, "/admin/v1/budgets?budget=run", &Value::Null).await.json();
    assert_eq!(told["budgets"][0]["limit"], "0.000001 USD");
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_are_reloaded_and_rolled_back_and_candidates_promoted_by_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tollgate.toml");
    let text = [MODELS, "[reload]\nlook = \"1h\"\n", POLICIES].concat();
    fs::write(&file, &text).expect("a file");
    let site = Site::open(&Plan { file: Some(file.clone()), ..Plan::of(&[&text]) }).await;
    let ask = async |path: &str| site.admin(Method::POST, &format!("/admin/v1/{path}"), &json!({})).await;
    fs::write(&file, text.replace("name = \"routing\"\n", "name = \"routing\"\nmode = \"shadow\"\n")).expect("a file");
    let reloaded = ask("reload").await;
    assert_eq!((&reloaded.json()["running"]["id"], reloaded.status.as_u16()), (&json!(2), 200), "{}", reloaded.text);
    assert_eq!(reloaded.json()["because"], "request of start");
    let back = ask("generations/rollback").await.json();
    assert_eq!((&back["running"]["id"], &back["because"]), (&json!(1), &json!("rollback by start")));
    fs::write(&file, "version = 9").expect("a file");
    let refused = ask("reload").await;
    assert_eq!(refused.status, 422);
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("version")), "{}", refused.text);
    let candidate = "name = \"budget\"\ncandidate = { config = { slow = \"5s\" } }\n";
    fs::write(&file, text.replace("name = \"budget\"\n", candidate)).expect("a file");
    assert_eq!(ask("reload").await.status, 200);
    assert_eq!(site.post(OPENAI, &[], BODY).await.status, 200);
    let report = site.admin(Method::GET, "/admin/v1/candidate", &Value::Null).await;
    assert_eq!(report.json()["candidate"]["compared"], 1, "{}", report.text);
    check(&document(&site).await, "/admin/v1/candidate", "get", &report);
    let promoted = ask("candidate/promote").await.json();
    assert_eq!(promoted["because"], "promotion by start");
    let entries = loop {
        let entries = site.admin(Method::GET, "/admin/v1/audit", &Value::Null).await.json()["entries"].clone();
        if entries.as_array().is_some_and(|entries| entries.len() >= 5) {
            break entries;
        }
        tokio::task::yield_now().await;
    };
    let actions: Vec<&Value> = entries.as_array().expect("entries").iter().map(|entry| &entry["action"]).collect();
    let served = "generation.serve";
    assert_eq!(json!(actions), json!([served, served, served, "candidate.begin", served]));
    assert!(entries.as_array().expect("entries").iter().all(|entry| entry["who"] == "start" || entry["who"] == "host"));
}
