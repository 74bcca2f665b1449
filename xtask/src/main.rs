//! The project's own tasks, run as `cargo xtask <task>`. Each prints what it does and exits with whether it held.
#![allow(
    clippy::print_stdout,
    reason = "a task's result is what it prints; only the host's libraries must stay silent"
)]

mod components;
mod process;
mod stage;
mod toolchain;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Project;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
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
        Task::Guests => components::build_guests(&project)?,
        Task::Plugin { folder, out } => components::build_one(&project, &folder, out)?,
    }
    Ok(ExitCode::SUCCESS)
}
