//! `/metrics`: what it counts is what happened, and a scraper can read it.

use http::{Method, header};
use http_body_util::BodyExt;

use crate::exposition::{self, Metrics};
use crate::site::{Answer, MODELS, POLICIES, Plan, Site, TOKEN, billed};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";
const PLAIN: &str = r#"{"model":"gpt-5.2","max_tokens":40,"messages":[]}"#;
const STREAM: &str = r#"{"model":"m","max_tokens":40,"stream":true,"messages":[]}"#;
const BUDGET: &str =
    "[[budget]]\nname = \"teams\"\nfor = { team = \"*\" }\nlimit = \"10.00 USD\"\nhard = \"10.00 USD\"\n";
const SMALL: &str =
    "[[budget]]\nname = \"poor\"\nfor = { team = \"poor\" }\nlimit = \"0.000001 USD\"\nhard = \"0.000001 USD\"\n";

async fn scrape(site: &Site, headers: &[(&str, &str)]) -> Answer {
    site.raw(Method::GET, &format!("{}/metrics", site.admin_url()), headers).await
}

async fn metrics(site: &Site) -> Metrics {
    let bearer = format!("Bearer {TOKEN}");
    let answer = scrape(site, &[("authorization", &bearer), ("accept", "application/openmetrics-text")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.headers[header::CONTENT_TYPE].to_str().expect("text").starts_with("application/openmetrics-text"));
    exposition::read(&answer.text).map_err(|error| format!("{error}\n{}", answer.text)).expect("a page")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_happened() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET, SMALL])).await;
    let before = metrics(&site).await;
    assert_eq!(before.of("tollgate_generation"), Some(1.0));
    assert_eq!(before.of("tollgate_budget_remaining_usd{budget=\"teams\",scope=\"team\"}"), Some(10.0));
    let red = [("x-tollgate-scope", "team=red"), ("x-tollgate-run", "secret-run-name")];
    for (path, body) in [(OPENAI, PLAIN), (OPENAI, STREAM), (ANTHROPIC, STREAM)] {
        assert_eq!(site.post(path, &red, body).await.status, 200);
    }
    let refused = site.post(OPENAI, &[("x-tollgate-scope", "team=poor")], PLAIN).await;
    assert!(refused.status.is_client_error());
    site.post(OPENAI, &[red[0], ("x-simulate", "bad-request")], PLAIN).await;
    let mut open = site.begin(ANTHROPIC, &[red[0], ("x-simulate", "stall-after=2")], STREAM).await;
    open.body_mut().frame().await.expect("a piece").expect("a piece");
    let during = metrics(&site).await;
    assert_eq!((during.of("tollgate_streams_open"), during.of("tollgate_requests_open")), (Some(1.0), Some(1.0)));
    drop(open);
    let of = |series: &str| during.of(series).unwrap_or_default();
    let ok = of("tollgate_requests_total{format=\"openai\",status=\"200\"}")
        + of("tollgate_requests_total{format=\"anthropic\",status=\"200\"}");
    assert!((ok - 4.0).abs() < 0.5);
    let status = refused.status.as_u16();
    assert!((of(&format!("tollgate_requests_total{{format=\"openai\",status=\"{status}\"}}")) - 1.0).abs() < 0.5);
    assert!((of("tollgate_upstream_failures_total{backend=\"openai\",failure=\"refused\"}") - 1.0).abs() < 0.5);
    assert!((during.sum("tollgate_outcomes_total") - 6.0).abs() < 0.5);
    assert!((of("tollgate_decision_duration_seconds_count") - 6.0).abs() < 0.5);
    assert!((of("tollgate_decision_duration_seconds_bucket{le=\"+Inf\"}") - 6.0).abs() < 0.5);
    let first = "tollgate_decision_duration_seconds_bucket{le=\"2.5e-7\"}";
    assert!(during.series.contains_key(first), "{:?}", during.series.keys());
    let routed: f64 = during
        .series
        .iter()
        .filter(|(series, _)| {
            series.starts_with("tollgate_decisions_total{kind=\"routing\",policy=\"routing\",version=")
        })
        .map(|(_, count)| count)
        .sum();
    assert!(routed >= 5.0, "{during:?}");
    let spent = during.sum("tollgate_spend_usd_total");
    let left = of("tollgate_budget_remaining_usd{budget=\"teams\",scope=\"team\"}");
    assert!(left < 10.0 - spent && spent > 0.0, "{left} after {spent}, and one is reserved");
    let (_, _, provider) = site.end().await;
    // What was open was not billed yet when it was looked at.
    assert!(
        (spent * 1e9).round() <= billed(&provider).to_string().trim_end_matches(" USD").parse::<f64>().unwrap() * 1e9
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_label_is_a_callers_to_make_up() {
    let site = Site::open(&Plan::of(&[MODELS, POLICIES, BUDGET])).await;
    let before = metrics(&site).await.series.len();
    for call in 0..50 {
        let run = format!("run-{call}");
        let scope = format!("team=team-{call}");
        let body = PLAIN.replace("gpt-5.2", &format!("model-{call}"));
        site.post(OPENAI, &[("x-tollgate-run", &run), ("x-tollgate-scope", &scope), ("x-tollgate-stage", &run)], &body)
            .await;
    }
    let after = metrics(&site).await;
    assert!(after.series.len() < before + 20, "{before} series before, {} after", after.series.len());
    assert!(after.series.keys().all(|series| !series.contains("run-") && !series.contains("team-1")));
    let known = [
        "backend",
        "budget",
        "estimated",
        "failure",
        "format",
        "kind",
        "le",
        "model",
        "outcome",
        "policy",
        "scope",
        "status",
        "verdict",
        "version",
    ];
    assert!(after.labels.iter().all(|label| known.contains(&label.as_str())), "{:?}", after.labels);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_the_token_unless_they_are_open() {
    let site = Site::open(&Plan::of(&[MODELS])).await;
    assert_eq!(scrape(&site, &[]).await.status, 401);
    let plan = Plan::of(&[MODELS, "[telemetry]\nopen_metrics = true\n"]);
    let site = Site::open(&plan).await;
    let answer = scrape(&site, &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers[header::CONTENT_TYPE].to_str().expect("text").starts_with("text/plain; version=0.0.4"));
    assert!(answer.text.contains("# TYPE tollgate_requests_total counter"), "{}", answer.text);
    let status = format!("{}/admin/v1/status", site.admin_url());
    assert_eq!(site.raw(Method::GET, &status, &[]).await.status, 401, "only the metrics are open");
}
