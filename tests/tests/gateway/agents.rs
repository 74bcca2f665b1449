//! Simulated agents: what they do follows from their seed, and what becomes of them from the policies.

use std::collections::BTreeSet;
use std::sync::Mutex;

use http::Method;
use serde_json::json;
use tollgate_core::config::Api;
use tollgate_gateway::agents::{AgentClient, Ask, Became, RunReport, Word, drive};

use crate::site::{MODELS, POLICIES, Plan, Site, TOKEN};

async fn runs(at_once: usize) -> Vec<RunReport> {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES])).await;
    let client = AgentClient::new(&format!("http://{}", site.address()), None, Some(TOKEN.to_owned()));
    let told = Mutex::new(Vec::new());
    let reports = drive(&client, (1, 12, at_once), |report| {
        told.lock().expect("a list").push(report.run.clone());
    });
    let reports = reports.await.expect("a gateway");
    let mut told = told.into_inner().expect("a list");
    told.sort();
    assert_eq!(told, reports.iter().map(|report| report.run.clone()).collect::<Vec<_>>(), "each is told once");
    reports
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_comes_to_the_same() {
    let reports = runs(1).await;
    let essence = |reports: &[RunReport]| {
        reports.iter().map(|report| (report.run.clone(), report.became, report.calls, report.done)).collect::<Vec<_>>()
    };
    assert_eq!(essence(&reports), essence(&runs(1).await));
    assert_eq!(essence(&reports), essence(&runs(6).await), "runs do not know of each other");
    let became: BTreeSet<Became> = reports.iter().map(|report| report.became).collect();
    assert!(became.contains(&Became::Succeeded) && became.contains(&Became::Held), "{became:?}");
    let held = reports.iter().find(|report| report.became == Became::Held).expect("one");
    assert!(held.why.starts_with("approval-needed: ") && held.failed_attempts < 12, "{}", held.why);
    assert!(reports.iter().any(|report| report.routed > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_what_became_of_its_call() {
    let poor =
        "[[budget]]\nname = \"poor\"\nfor = { team = \"poor\" }\nlimit = \"0.000001 USD\"\nhard = \"0.000001 USD\"\n";
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, poor])).await;
    let client = AgentClient::new(&format!("http://{}", site.address()), None, None);
    for (api, model) in [(Api::Openai, "gpt-5.2"), (Api::Anthropic, "claude-opus-4-6")] {
        let ask = |team: &'static str, run: &str, simulate: Option<&str>, stream| Ask {
            api,
            run: format!("{run}-{model}"),
            task: "t".to_owned(),
            task_type: "refactoring",
            stage: "coding",
            team,
            priority: "normal",
            model,
            max_tokens: 20,
            turns: 1,
            stream,
            simulate: simulate.map(str::to_owned),
        };
        let heard = client.ask(&ask("red", "a", None, true), |_| {}).await.expect("a gateway");
        assert_eq!((heard.word, heard.status), (Word::Answered, 200), "{}", heard.detail);
        let heard = client.ask(&ask("poor", "b", None, false), |_| {}).await.expect("a gateway");
        assert_eq!(heard.word, Word::Refused, "{}", heard.detail);
        let bad = client.ask(&ask("red", "c", Some("bad-request"), false), |_| {}).await.expect("a gateway");
        assert_eq!((bad.word, bad.code.as_str()), (Word::Failed, "invalid_request_error"));
        let broken = client.ask(&ask("red", "d", Some("break-after=2"), true), |_| {}).await.expect("a gateway");
        assert_eq!((broken.word, broken.code.as_str()), (Word::Failed, "upstream-broke"));
        let (sender, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let stalled = ask("red", "e", Some("stall-after=2"), true);
        let asking = client.ask(&stalled, |_| {
            // Only the first is waited for.
            let _ = sender.send(());
        });
        let cutting = async {
            begun.recv().await.expect("an event");
            let covers = format!("run=e-{model}");
            let kill = json!({ "covers": covers, "mode": "cut", "reason": "wrong-branch", "author": "ada" });
            site.admin(Method::POST, "/admin/v1/switches", &kill).await
        };
        let (heard, _) = tokio::join!(asking, cutting);
        let heard = heard.expect("a gateway");
        assert_eq!((heard.word, heard.detail.as_str()), (Word::Killed, "stopped by ada: wrong-branch"));
    }
}
