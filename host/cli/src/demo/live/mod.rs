//! The live part of the demonstration: a gateway in this process, a provider that is simulated, and agents before it. Each scene
//! says what it shows, and fails where that did not happen.

mod scenes;
mod site;

use anyhow::{Context, bail};
use serde::Serialize;
use tollgate_core::Configuration;
use tollgate_gateway::agents::{self, Became, RunReport};
use tollgate_ledger::report::{self, Report};

use crate::output::{self, counted};
use crate::setup::SetupArguments;
use site::Site;

const CONFIGURATION: &str = include_str!("../live.toml");

/// The crowd: enough for every ending that policies alone bring about. One at a time, since what a run finds in the provider's
/// cache, and so what it costs, depends on those before it.
const CROWD: (u64, u32, usize) = (1, 12, 1);

/// Whether each scene is told as it happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    Aloud,
    Silent,
}

/// What was shown.
#[derive(Serialize)]
pub(super) struct Shown {
    scenes: Vec<Scene>,
    crowd: Vec<RunReport>,
    report: report::Summary,
}

/// One thing that was shown.
#[derive(Serialize)]
pub(super) struct Scene {
    /// `routed`, `slowed`, `held`, `killed`.
    what: &'static str,
    run: &'static str,
    lines: Vec<String>,
}

/// Shows all of it, in some seconds.
pub(super) fn show(setup: &SetupArguments, telling: Telling) -> anyhow::Result<Shown> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let configuration = Configuration::parse(CONFIGURATION)?;
        let site = Site::open(setup, &configuration).await?;
        say(telling, "\nLive: the same four policies in a gateway, a simulated provider behind it, and agents before it, over HTTP.\n")?;
        let mut scenes = Vec::new();
        for scene in [
            scenes::routed(&site).await.context("nothing was routed")?,
            scenes::slowed(&site).await.context("nothing was slowed")?,
            scenes::held(&site).await.context("nothing was held")?,
            scenes::killed(&site).await.context("nothing was killed")?,
        ] {
            say(telling, &scene.text())?;
            scenes.push(scene);
        }
        let crowd = agents::drive(&site.agents, CROWD, |_| {}).await?;
        say(telling, &told(&crowd)?)?;
        let report = report::summary(&site.end().await?);
        let tables: Vec<String> = report.tables().iter().map(report::Table::to_text).collect();
        say(telling, &format!("\nWhat it all cost, from the ledger (`tollgate report summary`):\n\n{}", tables.join("\n")))?;
        Ok(Shown { scenes, crowd, report })
    })
}

fn say(telling: Telling, text: &str) -> anyhow::Result<()> {
    if telling == Telling::Aloud { output::print(text) } else { Ok(()) }
}

impl Scene {
    fn text(&self) -> String {
        let mut text = format!("\n{:<9}{}\n", self.what, self.lines.first().map_or("", String::as_str));
        for line in self.lines.iter().skip(1) {
            text.push_str(&format!("{:<9}{line}\n", ""));
        }
        text
    }
}

/// What became of the crowd.
fn told(crowd: &[RunReport]) -> anyhow::Result<String> {
    let became = |word: Became| crowd.iter().filter(|run| run.became == word).count();
    let (succeeded, held) = (became(Became::Succeeded), became(Became::Held));
    if succeeded == 0 || held == 0 {
        bail!("a crowd of agents of which {succeeded} succeeded and {held} were held shows nothing");
    }
    let sum = |of: fn(&RunReport) -> u32| u64::from(crowd.iter().map(of).sum::<u32>());
    Ok(format!(
        "\n{:<9}{} with {}: {succeeded} succeeded, {held} were held in a loop, {} gave up by themselves;\n\
         {:<9}{} of their {} went to another model than they asked for\n",
        "a crowd",
        counted(crowd.len() as u64, "more agent"),
        counted(sum(|run| run.tasks), "task"),
        crowd.len() - succeeded - held,
        "",
        sum(|run| run.routed),
        counted(sum(|run| run.calls), "call"),
    ))
}
