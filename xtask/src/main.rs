//! The project's own tasks, run as `cargo xtask <task>`. Each prints what it does and exits with whether it held.
#![allow(
    clippy::print_stdout,
    reason = "a task's result is what it prints; only the host's libraries must stay silent"
)]

mod build;
mod components;
mod demo;
mod deps;
mod external;
mod gateway;
mod ledger;
mod peers;
mod process;
mod soak;
mod stage;
mod test;
mod tidy;
mod toolchain;
mod tracks;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::workspace::Project;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build target/release/tollgate and the shipped policies beside it, in target/release/plugins/
    Build,
    /// Build, then show the shipped policies at work on a generated trace and in a live gateway; needs no file from outside the project
    Demo {
        /// Passed on to `tollgate demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build everything, then run every test that needs nothing but cargo
    Test {
        /// Run the suites of tests/external/ instead, which install the software they need from outside Rust
        #[arg(long)]
        external: bool,
    },
    /// Run for a long time under load, and hold bounds
    Soak {
        /// What is soaked
        what: Soaked,
        /// Passed on, as in `--reservations 100000` or `--reloads 1000 --trapping`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Kill a process at random moments, and look for what it was promised
    Crash {
        /// What is killed
        what: ledger::Subject,
        /// Passed on, as in `--kills 200`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure what the gateway adds to a call, beside Envoy and LiteLLM, which are installed below the target directory
    BenchGateway {
        /// Passed on, as in `--rounds 5 --seconds 2` or `--without-litellm`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Touch a million scopes, and measure the memory they take
    Scopes,
    /// Compare the decision of the shipped policies with seven other engines, which are built for it, and take long the first time
    BenchPeers {
        /// Passed on, as in `--json` or `--rounds 2000`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check what no compiler does: machine paths, long files, stubs, links, frozen tracks
    Tidy,
    /// Check that no part of the project depends on one it must not know
    Deps,
    /// Release the contract in wit/ as a track, which never changes afterwards
    FreezeTrack {
        /// Two numbers, such as 0.1
        track: String,
    },
    /// Build the shipped policies and the hostile test guests into components
    ///
    /// Policies go to target/release/plugins/, test guests to target/guests/.
    Guests,
    /// Build one policy crate, from any folder, into a component
    Plugin {
        /// The folder with the policy's Cargo.toml
        folder: PathBuf,
        /// The component to write [default: target/release/plugins/<package>.wasm]
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Soaked {
    /// Threads race for the last dollars of the ledger, and look for money that is given out twice
    Ledger,
    /// Policies change under load: nothing is lost, mixed, late or kept
    Reload,
    /// Every fault under full load: the ledger has what the provider billed, and memory stays flat
    Gateway,
    /// A cut reaches hundreds of open streams, and nothing follows it
    Kill,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let project = Project::find()?;
    match task {
        Task::Build => build::build(&project)?,
        Task::Demo { arguments } => return demo::demo(&project, &arguments),
        Task::Test { external: false } => test::test(&project)?,
        Task::Test { external: true } => external::test_external(&project)?,
        Task::Soak { what: Soaked::Ledger, arguments } => return ledger::long_test(&project, "soak", &arguments),
        Task::Soak { what: Soaked::Reload, arguments } => return soak::reload(&project, &arguments),
        Task::Soak { what: Soaked::Gateway, arguments } => return gateway::trial(&project, "soak", &arguments),
        Task::Soak { what: Soaked::Kill, arguments } => return gateway::trial(&project, "kill", &arguments),
        Task::Crash { what: ledger::Subject::Ledger, arguments } => {
            return ledger::long_test(&project, "crash", &arguments);
        }
        Task::Crash { what: ledger::Subject::Gateway, arguments } => {
            return gateway::trial(&project, "crash", &arguments);
        }
        Task::BenchGateway { arguments } => return gateway::bench(&project, &arguments),
        Task::BenchPeers { arguments } => return peers::bench(&project, &arguments),
        Task::Scopes => return ledger::long_test(&project, "scopes", &[]),
        Task::Tidy => tidy::check(&project)?,
        Task::Deps => deps::check(&project)?,
        Task::FreezeTrack { track } => tracks::freeze(&project.root, &track)?,
        Task::Guests => components::build_guests(&project)?,
        Task::Plugin { folder, out } => components::build_one(&project, &folder, out)?,
    }
    Ok(ExitCode::SUCCESS)
}
