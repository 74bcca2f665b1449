//! `tollgate simulate agents`: runs as agents make them, against a gateway, and what became of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tollgate_gateway::agents::{self, AgentClient, Became, MOST_AT_ONCE, RunReport};

use crate::output::{self, Table, counted};
use crate::serve::admin_of;

#[derive(Args)]
pub(crate) struct AgentsArguments {
    /// Where the gateway answers.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4800")]
    gateway: String,
    /// The key that the agents send, where the gateway asks for one.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// What successes are reported with: a key that may verify, or the admin token. Where nothing is said, the token of a gateway of
    /// this user on `--data`; without either, nobody hears of successes, and ceilings stay where failures put them.
    #[arg(long, value_name = "KEY")]
    verifier: Option<String>,
    /// The data folder of the running gateway.
    #[arg(long, value_name = "FOLDER", default_value = ".tollgate")]
    data: PathBuf,
    /// How many runs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// How many at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::try_from(MOST_AT_ONCE).unwrap_or(1)))]
    concurrency: u32,
    /// The same seed, the same runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object at the end, and nothing before.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    seed: u64,
    became: BTreeMap<Became, usize>,
    calls: u32,
    routed: u32,
    slowed: u32,
    waited_ms: u64,
    failed_attempts: u32,
    tasks_done: u32,
    tasks: u32,
    models: BTreeMap<&'a str, u32>,
    runs: &'a [RunReport],
}

pub(crate) fn run(arguments: &AgentsArguments) -> anyhow::Result<()> {
    let verifier = arguments.verifier.clone().or_else(|| admin_of(&arguments.data).ok().map(|admin| admin.token));
    if verifier.is_none() {
        output::warn("no verifier: successes are not reported, so what failed stays counted; give `--verifier`");
    }
    let client = AgentClient::new(&arguments.gateway, arguments.key.clone(), verifier);
    let asked = (arguments.seed, arguments.runs, usize::try_from(arguments.concurrency)?);
    let told = |report: &RunReport| {
        if !arguments.json {
            // Whoever reads it through `head` has seen enough.
            let _ = output::print(&line(report));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let runs = runtime.block_on(agents::drive(&client, asked, told))?;
    let summary = Summary::of(arguments.seed, &runs);
    if arguments.json { output::print_json(&summary) } else { output::print(&render(&summary)) }
}

/// A line for a run that has ended.
fn line(report: &RunReport) -> String {
    let mut notes = Vec::new();
    if report.routed > 0 {
        notes.push(format!("{} of {} routed to another model", report.routed, counted(report.calls.into(), "call")));
    }
    if report.slowed > 0 {
        notes.push(format!("{} slowed, {} ms in all", report.slowed, report.waited_ms));
    }
    if report.failed_attempts > 0 {
        notes.push(counted(report.failed_attempts.into(), "failed attempt"));
    }
    if !report.why.is_empty() {
        notes.push(report.why.clone());
    }
    let head = format!("{:<10} {}  team {}, {}", word(report.became), report.run, report.team, report.format);
    let plain = |note: &String| note.chars().map(|one| if one.is_control() { '?' } else { one }).collect::<String>();
    let notes = notes.iter().map(|note| format!("             {}\n", plain(note)));
    format!("{head}\n{}", notes.collect::<String>())
}

const fn word(became: Became) -> &'static str {
    match became {
        Became::Succeeded => "succeeded",
        Became::Held => "held",
        Became::Refused => "refused",
        Became::Killed => "killed",
        Became::GaveUp => "gave up",
    }
}

impl<'a> Summary<'a> {
    fn of(seed: u64, runs: &'a [RunReport]) -> Self {
        let mut summary = Self {
            seed,
            became: BTreeMap::new(),
            calls: 0,
            routed: 0,
            slowed: 0,
            waited_ms: 0,
            failed_attempts: 0,
            tasks_done: 0,
            tasks: 0,
            models: BTreeMap::new(),
            runs,
        };
        for run in runs {
            *summary.became.entry(run.became).or_default() += 1;
            summary.calls += run.calls;
            summary.routed += run.routed;
            summary.slowed += run.slowed;
            summary.waited_ms += run.waited_ms;
            summary.failed_attempts += run.failed_attempts;
            summary.tasks_done += run.done;
            summary.tasks += run.tasks;
            for (model, calls) in &run.models {
                *summary.models.entry(model).or_default() += calls;
            }
        }
        summary
    }
}

fn render(summary: &Summary<'_>) -> String {
    let became = summary.became.iter().map(|(became, runs)| format!("{runs} {}", word(*became)));
    let mut text = format!(
        "\n{}: {}\n  {} of {} done; {} failed or were rejected\n  {}, {} routed to another model than was asked for; {} slowed, {} ms in all\n\n",
        counted(summary.runs.len() as u64, "run"),
        became.collect::<Vec<_>>().join(", "),
        summary.tasks_done,
        counted(summary.tasks.into(), "task"),
        counted(summary.failed_attempts.into(), "attempt"),
        counted(summary.calls.into(), "call"),
        summary.routed,
        summary.slowed,
        summary.waited_ms,
    );
    let mut table = Table::new(&["model", "calls answered"]);
    for (model, calls) in &summary.models {
        table.row([(*model).to_owned(), calls.to_string()]);
    }
    text.push_str(&table.render());
    text
}
