//! A configuration that changes while calls go through: what was asked for takes effect, nothing is lost, and a mistake changes
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::site::{MODELS, POLICIES, Plan, Site};

const OPENAI: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-5-mini","max_tokens":40,"messages":[]}"#;
/// Files are looked at all the time: what a test waits for comes soon.
const LOOK: &str = "[reload]\nlook = \"1ms\"\n";

/// A configuration in a file.
struct Written {
    folder: TempDir,
    text: String,
}

impl Written {
    fn new(parts: &[&str]) -> Self {
        let written = Self { folder: tempfile::tempdir().expect("a folder"), text: parts.concat() };
        written.rewrite(&written.text);
        written
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tollgate.toml")
    }

    /// In one step: a watcher that looks all the time would see a file that is half written.
    fn rewrite(&self, text: &str) {
        replace(&self.file(), text);
    }

    fn plan(&self) -> Plan {
        Plan { file: Some(self.file()), ..Plan::of(&[&self.text]) }
    }
}

fn replace(file: &Path, text: &str) {
    let fresh = file.with_extension("fresh");
    fs::write(&fresh, text).expect("a file");
    fs::rename(fresh, file).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_renamed_and_another_added_without_losing_a_call() {
    let written = Written::new(&[MODELS, LOOK, POLICIES]);
    let site = Arc::new(Site::open(&written.plan()).await);
    let ending = Arc::new(AtomicBool::new(false));
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let (site, ending) = (Arc::clone(&site), Arc::clone(&ending));
        calls.spawn(async move {
            let mut backends = Vec::new();
            while !ending.load(Ordering::Relaxed) {
                let answer = site.post(OPENAI, &[], BODY).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                backends.push(answer.header("x-tollgate-backend").expect("a backend").to_owned());
            }
            backends
        });
    }
    let renamed = written.text.replace("name = \"openai\"", "name = \"other\"");
    let added = "[[model]]\nname = \"gpt-5-nano\"\ntier = \"low\"\n[[backend]]\nname = \"third\"\napi = \"openai\"\nmodels = [\"gpt-5-nano\"]\n";
    written.rewrite(&format!("{renamed}{added}"));
    while !site.get("/v1/models", &[]).await.text.contains("gpt-5-nano") {
        tokio::task::yield_now().await;
    }
    // Each call from here on finds the new ones.
    let answer = site.post(OPENAI, &[("x-tollgate-run", "late")], BODY).await;
    let backend = answer.header("x-tollgate-backend");
    assert!(answer.status == 200 && matches!(backend, Some("other" | "third")), "{backend:?}: {}", answer.text);
    ending.store(true, Ordering::Relaxed);
    let backends = calls.join_all().await.concat();
    assert!(backends.iter().any(|backend| backend == "openai"), "calls went through before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_budget_holds_from_then_on_and_what_was_spent_stays_spent() {
    let budget =
        |limit: &str| format!("[[budget]]\nscope = \"run\"\nlimit = \"{limit} USD\"\nhard = \"{limit} USD\"\n");
    let written = Written::new(&[MODELS, LOOK, "[[policy]]\nname = \"routing\"\n"]);
    written.rewrite(&format!("{}{}", written.text, budget("10.00")));
    let plan = Plan { configuration: format!("{}{}", written.text, budget("10.00")), ..written.plan() };
    let site = Site::open(&plan).await;
    let run = [("x-tollgate-run", "r")];
    assert_eq!(site.post(OPENAI, &run, BODY).await.status, 200);
    written.rewrite(&format!("{}{}", written.text, budget("0.00000001")));
    site.logged("generation 2 decides").await;
    let refused = site.post(OPENAI, &run, BODY).await;
    assert_eq!(refused.status, 402, "{}", refused.text);
    assert_eq!(refused.json()["budget"], "run");
    written.rewrite(&format!("{}{}", written.text, budget("10.00")));
    site.logged("generation 3 decides").await;
    assert_eq!(site.post(OPENAI, &run, BODY).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_changes_nothing_and_is_told_in_one_line() {
    let written = Written::new(&[MODELS, LOOK, POLICIES]);
    let site = Site::open(&written.plan()).await;
    let models = site.get("/v1/models", &[]).await.text;
    for (from, to, says) in [
        ("api = \"openai\"\n", "", "backend `openai` has no `api`"),
        (
            "api = \"openai\"\n",
            "api = \"openai\"\nkey_env = \"TOLLGATE_NOT_SET\"\n",
            "`$TOLLGATE_NOT_SET`, which is not set",
        ),
        ("name = \"routing\"", "name = \"routng\"", "policy `routng`"),
        ("deadline = \"10s\"", "deadline = \"11s\"", "`limits.deadline` cannot change"),
    ] {
        written.rewrite(&written.text.replace(from, to));
        assert_eq!(site.logged(says).await.len(), 1, "{says}");
        assert_eq!(site.get("/v1/models", &[]).await.text, models);
        let answer = site.post(OPENAI, &[], BODY).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-tollgate-backend")), (200, Some("openai")));
    }
    let failures = site.logged("the running policies stay").await;
    assert_eq!(failures.len(), 4, "one line for each: {failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_price_file_prices_what_comes_next() {
    let written = Written::new(&[
        "version = 1\n",
        LOOK,
        "[[model]]\nname = \"of-our-own\"\ntier = \"low\"\n[[backend]]\nname = \"b\"\napi = \"openai\"\nmodels = [\"of-our-own\"]\n",
    ]);
    let prices = written.folder.path().join("prices.json");
    fs::write(&prices, "{}").expect("a file");
    let site = Site::open(&Plan { price_file: Some(prices.clone()), ..written.plan() }).await;
    let body = BODY.replace("gpt-5-mini", "of-our-own");
    assert_eq!(site.post(OPENAI, &[], &body).await.status, 503, "nothing is sent to a model without a price");
    let price = r#"{"of-our-own": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}"#;
    replace(&prices, price);
    site.logged("generation 2 decides").await;
    let answer = site.post(OPENAI, &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    replace(&prices, "nonsense");
    assert!(site.logged("cannot read the prices").await[0].starts_with("the running policies stay"));
    assert_eq!(site.post(OPENAI, &[], &body).await.status, 200);
}
