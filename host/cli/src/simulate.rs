//! `tollgate simulate`: what is not there, so that the rest can be tried.

mod agents;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use tollgate_core::Milliseconds;
use tollgate_core::config::Api;
use tollgate_gateway::{BillLine, Script, SimulatedProvider};

use crate::output;

#[derive(Subcommand)]
pub(crate) enum SimulateCommand {
    /// Answer as OpenAI and Anthropic do, with nonsense.
    ///
    /// A request asks for what it gets by a header, `x-simulate`, with words separated by commas: rate-limit, overloaded, error,
    /// bad-request, garbage, break-after=N, stall-after=N, error-after=N (tokens), no-usage, ignore-limit, output=N (tokens), pace=N
    /// (milliseconds).
    Provider(ProviderArguments),
    /// Be a crowd of agents before a gateway: runs that go well, that stumble, loop, run away, or are rejected.
    Agents(agents::AgentsArguments),
}

#[derive(Args)]
pub(crate) struct ProviderArguments {
    /// Where it answers.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4810")]
    listen: SocketAddr,
    /// The same seed and the same requests give the same answers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Between one token of a stream and the next.
    #[arg(long, default_value = "20ms")]
    pace: Milliseconds,
    /// How many of a thousand requests fail.
    #[arg(long, value_name = "PERMILLE", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    faults: u32,
    /// Write a line of JSON for each answer it would bill: the request's trace, the model, the usage, and whether the caller was
    /// told.
    #[arg(long, value_name = "FILE")]
    bill: Option<PathBuf>,
}

pub(crate) fn run(command: &SimulateCommand) -> anyhow::Result<()> {
    match command {
        SimulateCommand::Provider(arguments) => provider(arguments),
        SimulateCommand::Agents(arguments) => agents::run(arguments),
    }
}

fn provider(arguments: &ProviderArguments) -> anyhow::Result<()> {
    let script = Script {
        seed: arguments.seed,
        pace: Duration::from_millis(arguments.pace.as_u64()),
        faults_permille: arguments.faults,
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(arguments.listen).await;
        let listener = listener
            .with_context(|| format!("cannot listen on {}: free it, or give another --listen", arguments.listen))?;
        let provider = match &arguments.bill {
            Some(file) => SimulatedProvider::start_billing(listener, script, bill_line(file)?)?,
            None => SimulatedProvider::start(listener, script)?,
        };
        output::print(&format!(
            "a simulated provider\n\n  OPENAI_BASE_URL={}\n  ANTHROPIC_BASE_URL={}\n",
            provider.url(Api::Openai),
            provider.url(Api::Anthropic)
        ))?;
        tokio::signal::ctrl_c().await?;
        Ok(())
    })
}

/// Each line is written whole and at once, so that the bill is there whatever happens to whom.
fn bill_line(file: &Path) -> anyhow::Result<BillLine> {
    let failed = || format!("cannot write `{}`", file.display());
    let out = Mutex::new(File::create(file).with_context(failed)?);
    Ok(Box::new(move |bill| {
        let mut line = serde_json::to_vec(bill).expect("a bill is plain data");
        line.push(b'\n');
        let written = out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        if let Err(error) = written {
            output::warn(&format!("a bill was not written: {error}"));
        }
    }))
}
