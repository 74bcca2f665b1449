//! One run: plans, works on its tasks one after the other, reports what became of each, and tries again as agents do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tollgate_core::config::Api;

use super::call::{AgentClient, AgentError, Ask, Heard, Word};
use super::script::{Fate, RunScript, TaskScript};

/// Lines of product code that an agent writes in a call.
const LINES_OF_A_CALL: u32 = 40;
/// Attempts after which an agent gives up by itself, and calls that a runaway makes.
const MOST_ATTEMPTS: u32 = 12;
const MOST_CALLS: u32 = 40;
/// Times that a request is sent again where the answer says that it may help, and the longest wait before it.
const MOST_TRIES: u32 = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// All of its tasks were done.
    Succeeded,
    /// A human has to approve what it wants.
    Held,
    /// It was refused.
    Refused,
    /// A switch stopped it.
    Killed,
    /// It gave up by itself.
    GaveUp,
}

/// What became of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Its name.
    pub run: String,
    /// The team that pays.
    pub team: &'static str,
    /// The format it speaks.
    pub format: &'static str,
    /// Requests that it sent.
    pub calls: u32,
    /// Those that went to another model than the agent asked for.
    pub routed: u32,
    /// By model, those that were answered.
    pub models: BTreeMap<String, u32>,
    /// Those that were kept waiting, and for how long in all, in milliseconds.
    pub slowed: u32,
    /// See above.
    pub waited_ms: u64,
    /// Attempts at tasks that failed or were rejected.
    pub failed_attempts: u32,
    /// Tasks that were done, of so many.
    pub done: u32,
    /// See above.
    pub tasks: u32,
    /// What it came to.
    pub became: Became,
    /// Why, where that is not a success.
    pub why: String,
}

/// Why a run does not go on.
enum Stop {
    Became(Became, String),
    Unreachable(AgentError),
}

impl From<AgentError> for Stop {
    fn from(error: AgentError) -> Self {
        Self::Unreachable(error)
    }
}

struct Playing<'a> {
    client: &'a AgentClient,
    script: &'a RunScript,
    report: RunReport,
    turns: u32,
}

/// Plays a run to its end.
pub(super) async fn play(client: &AgentClient, script: &RunScript) -> Result<RunReport, AgentError> {
    let report = RunReport {
        run: script.name.clone(),
        team: script.team,
        format: script.api.as_str(),
        calls: 0,
        routed: 0,
        models: BTreeMap::new(),
        slowed: 0,
        waited_ms: 0,
        failed_attempts: 0,
        done: 0,
        tasks: u32::try_from(script.tasks.len()).unwrap_or(u32::MAX),
        became: Became::Succeeded,
        why: String::new(),
    };
    let mut playing = Playing { client, script, report, turns: 0 };
    match playing.all().await {
        Ok(()) => {}
        Err(Stop::Became(became, why)) => (playing.report.became, playing.report.why) = (became, why),
        Err(Stop::Unreachable(error)) => return Err(error),
    }
    Ok(playing.report)
}

impl Playing<'_> {
    async fn all(&mut self) -> Result<(), Stop> {
        let plan = TaskScript { name: "plan".into(), task_type: "specification", fate: Fate::Succeeds, calls: 1 };
        self.call(&plan, "planning").await?;
        for task in &self.script.tasks {
            self.task(task).await?;
            self.report.done += 1;
        }
        let finished = json!({ "run": self.script.name, "status": "success", "finished": true });
        self.client.report(&finished).await?;
        Ok(())
    }

    async fn task(&mut self, task: &TaskScript) -> Result<(), Stop> {
        let (fails, word) = match task.fate {
            Fate::Succeeds => (0, "failed"),
            Fate::Stumbles(times) => (times, "failed"),
            Fate::IsRejected(times) => (times, "rejected"),
            Fate::Loops => (MOST_ATTEMPTS, "failed"),
            Fate::RunsAway => return self.run_away(task).await,
        };
        for attempt in 0..fails {
            self.attempt(task).await?;
            self.report.failed_attempts += 1;
            // Whoever loops fails in the same way each time.
            let failure = if task.fate == Fate::Loops { "tests".to_owned() } else { format!("tests-{attempt}") };
            self.tell(task, word, &failure).await?;
        }
        if task.fate == Fate::Loops {
            return Err(Stop::Became(Became::GaveUp, format!("{} failed {fails} times", task.name)));
        }
        self.attempt(task).await?;
        self.tell(task, "success", "").await
    }

    /// Calls without an end, each larger than the one before.
    async fn run_away(&mut self, task: &TaskScript) -> Result<(), Stop> {
        for _ in 0..MOST_CALLS {
            self.turns += 4;
            self.call(task, "coding").await?;
        }
        Err(Stop::Became(Became::GaveUp, format!("{MOST_CALLS} calls of {} came to nothing", task.name)))
    }

    async fn attempt(&mut self, task: &TaskScript) -> Result<(), Stop> {
        for _ in 0..task.calls {
            self.turns += 1;
            self.call(task, "coding").await?;
        }
        self.call(task, "verifying").await
    }

    async fn tell(&self, task: &TaskScript, status: &str, failure: &str) -> Result<(), Stop> {
        let mut outcome = json!({
            "run": self.script.name, "task": task.name, "task_type": task.task_type, "status": status,
        });
        if !failure.is_empty() {
            outcome["failure"] = failure.into();
        }
        if status == "success" {
            outcome["lines_production"] = (task.calls * LINES_OF_A_CALL).into();
        }
        self.client.report(&outcome).await?;
        Ok(())
    }

    /// One request; sent again where the answer says that this may help.
    async fn call(&mut self, task: &TaskScript, stage: &'static str) -> Result<(), Stop> {
        let ask = self.ask(task, stage);
        for tried in 1.. {
            let heard = self.client.ask(&ask, |_| {}).await?;
            self.count(&ask, &heard);
            let became = match heard.word {
                Word::Answered => return Ok(()),
                Word::Held => Became::Held,
                Word::Killed => Became::Killed,
                Word::Refused => Became::Refused,
                Word::Failed => Became::GaveUp,
            };
            match heard.retry_after {
                Some(seconds) if tried < MOST_TRIES => {
                    tokio::time::sleep(Duration::from_secs(seconds).min(LONGEST_WAIT)).await;
                }
                None if heard.word == Word::Failed && tried < MOST_TRIES => {}
                _ => return Err(Stop::Became(became, format!("{}: {}", heard.code, heard.detail))),
            }
        }
        Ok(())
    }

    fn ask(&self, task: &TaskScript, stage: &'static str) -> Ask {
        Ask {
            api: self.script.api,
            run: self.script.name.clone(),
            task: task.name.clone(),
            task_type: task.task_type,
            stage,
            team: self.script.team,
            priority: self.script.priority,
            // Agents ask for the best there is.
            model: match self.script.api {
                Api::Openai => "gpt-5.2",
                Api::Anthropic => "claude-opus-4-6",
            },
            max_tokens: 400,
            turns: self.turns,
            stream: self.turns % 2 == 1,
            simulate: None,
        }
    }

    fn count(&mut self, ask: &Ask, heard: &Heard) {
        let report = &mut self.report;
        report.calls += 1;
        report.slowed += u32::from(heard.waited_ms > 0);
        report.waited_ms += heard.waited_ms;
        if let Some(model) = heard.model.as_ref().filter(|_| heard.word == Word::Answered) {
            report.routed += u32::from(model != ask.model);
            *report.models.entry(model.clone()).or_default() += 1;
        }
    }
}
