//! The decision of the shipped policies beside the same decision by what a user would pick instead: verified to give the same
//! verdicts on 1,024 varied dispatches, then timed in turns on 1,024 that proceed after all four policies, and printed as one table.
//!
//! `cargo xtask bench-peers` builds what it needs and starts it. It exits 1 where two engines differ, naming the first dispatch
//! on which they do, and where the host is not faster than each engine that it promises to beat.

mod dispatches;
mod engines;
mod measure;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use engines::Tollgate;

/// Compares the decision of the shipped policies with other engines.
#[derive(Parser)]
struct Arguments {
    /// The folder of the shipped policies.
    #[arg(long, value_name = "FOLDER")]
    plugins: PathBuf,
    /// The guest that extism runs.
    #[arg(long, value_name = "FILE")]
    extism_guest: PathBuf,
    /// Turns: in each, every engine decides 64 dispatches.
    #[arg(long, value_name = "N", default_value_t = 480, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let tollgate = Tollgate::new(&arguments.plugins).context("the host")?;
    let varied = dispatches::varied(tollgate.host());
    let proceeding = dispatches::proceeding(tollgate.host());
    let mut peers = engines::all(tollgate, &arguments.extism_guest)?;
    verify::same_verdicts(&mut peers, &varied)?;
    verify::same_verdicts(&mut peers, &proceeding)?;
    peers.iter_mut().for_each(|peer| peer.settle());
    let rows = measure::in_turns(&mut peers, &proceeding, arguments.rounds as usize)?;
    if arguments.json {
        println!("{}", table::json(&rows)?);
    } else {
        print!("{}", table::text(&rows));
    }
    let slower = table::not_beaten(&rows);
    if slower.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the host's decision is not faster than {}", slower.join(", "));
    Ok(ExitCode::FAILURE)
}
