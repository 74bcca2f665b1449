//! What the live demonstration shows, one function for each thing. What is said is what was heard.

use anyhow::bail;
use serde_json::json;
use tollgate_core::config::Api;
use tollgate_gateway::agents::{Ask, Heard, Word};

use super::Scene;
use super::site::Site;

/// What agents ask for: the best there is.
const ASKED: &str = "claude-opus-4-6";

fn ask(run: &str, team: &'static str, task_type: &'static str) -> Ask {
    Ask {
        api: Api::Anthropic,
        run: run.to_owned(),
        task: "task-1".to_owned(),
        task_type,
        stage: "coding",
        team,
        priority: "normal",
        model: ASKED,
        max_tokens: 400,
        turns: 1,
        stream: false,
        simulate: None,
    }
}

/// An answer, or the end of the demonstration.
async fn answer(site: &Site, ask: &Ask) -> anyhow::Result<(Heard, String)> {
    let heard = site.agents.ask(ask, |_| {}).await?;
    match (heard.word, heard.model.clone()) {
        (Word::Answered, Some(model)) => Ok((heard, model)),
        _ => bail!("an agent heard `{}: {}` where a model should have answered", heard.code, heard.detail),
    }
}

/// A task type that is enough for the cheapest model goes there; one that is not stays where it wants to go.
pub(super) async fn routed(site: &Site) -> anyhow::Result<Scene> {
    let mut lines = vec![format!("agent green-1 asks for {ASKED}, as all of them do:")];
    let mut models = Vec::new();
    for task_type in ["documentation", "test-plan", "security"] {
        let run = format!("green-1-{task_type}");
        let (_, model) = answer(site, &ask(&run, "green", task_type)).await?;
        lines.push(format!("  for {task_type:<14} it gets {model}"));
        models.push(model);
    }
    if models != ["claude-haiku-4-5", "claude-sonnet-4-6", ASKED] {
        bail!("the models were {}", models.join(", "));
    }
    Ok(Scene { what: "routed", run: "green-1", lines })
}

/// Background work on a budget that is nearly used up waits, and then goes.
pub(super) async fn slowed(site: &Site) -> anyhow::Result<Scene> {
    let run = "night-1";
    let night = Ask { priority: "low", max_tokens: 900, ..ask(run, "night", "boilerplate") };
    // Two calls that leave less than a fifth of the cent.
    for _ in 0..2 {
        answer(site, &Ask { simulate: Some("output=850".to_owned()), ..night.clone() }).await?;
    }
    let small = Ask { max_tokens: 40, ..night };
    let (heard, model) = answer(site, &small).await?;
    if heard.waited_ms == 0 {
        bail!("a call on a budget that is nearly used up went at once");
    }
    let lines = vec![
        format!("agent {run} works in the background on a budget of one cent, of which less than a fifth is left:"),
        format!("  its call is kept waiting for {} ms, and is then answered by {model}", heard.waited_ms),
    ];
    Ok(Scene { what: "slowed", run, lines })
}

/// A task that fails in the same way again and again: first a stronger model takes it, then a human has to.
pub(super) async fn held(site: &Site) -> anyhow::Result<Scene> {
    let run = "red-1";
    let mut lines = vec![format!("agent {run} fails the same test again and again:")];
    let mut models = Vec::new();
    for attempt in 1..=6 {
        let heard = site.agents.ask(&ask(run, "red", "refactoring"), |_| {}).await?;
        match heard.word {
            Word::Answered => {}
            Word::Held if attempt > 1 => {
                lines.push(format!("  attempt {attempt}: {} ({}, 409)", heard.detail, heard.code));
                if models.first() == models.last() {
                    bail!("no stronger model took it before: {}", models.join(", "));
                }
                return Ok(Scene { what: "held", run, lines });
            }
            _ => bail!("attempt {attempt} heard `{}: {}`", heard.code, heard.detail),
        }
        let model = heard.model.unwrap_or_default();
        lines.push(format!("  attempt {attempt}: {model} answers, the tests fail"));
        models.push(model);
        let failed =
            json!({ "run": run, "task": "task-1", "task_type": "refactoring", "status": "failed", "failure": "tests" });
        site.agents.report(&failed).await?;
    }
    bail!("six attempts went through")
}

/// An operator's switch ends an answer in the middle, and nothing of that run starts again.
pub(super) async fn killed(site: &Site) -> anyhow::Result<Scene> {
    let run = "red-2";
    // It writes so much and would then write on.
    let (tokens, events_before) = (60, 3);
    let simulate = Some(format!("output=4000, pace=10, stall-after={tokens}"));
    let stream = Ask { stream: true, max_tokens: 4_000, simulate, ..ask(run, "red", "security") };
    let (begun, mut heard_enough) = tokio::sync::mpsc::channel(1);
    let reading = site.agents.ask(&stream, |event| {
        if event >= tokens + events_before {
            // Only the first is waited for.
            let _ = begun.try_send(());
        }
    });
    let killing = async {
        heard_enough.recv().await;
        site.kill(run, "wrong-branch").await
    };
    let (heard, engaged) = tokio::join!(reading, killing);
    let heard = heard?;
    engaged?;
    if (heard.word, heard.status) != (Word::Killed, 200) {
        bail!("the stream ended with status {} and `{}: {}`", heard.status, heard.code, heard.detail);
    }
    let again = site.agents.ask(&ask(run, "red", "security"), |_| {}).await?;
    if again.word != Word::Killed {
        bail!("the run went on after it was killed: `{}: {}`", again.code, again.detail);
    }
    let lines = vec![
        format!(
            "agent {run} is {tokens} tokens into a long answer when ada says `tollgate kill --scope run={run} --cut`:"
        ),
        format!("  its stream ends with an error event: {}", heard.detail),
        format!("  its next call is not sent at all ({}, {})", again.code, again.status),
    ];
    Ok(Scene { what: "killed", run, lines })
}
