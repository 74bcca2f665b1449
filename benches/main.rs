//! What the ledger costs, beside raw SQLite; what decisions and policy calls cost, beside the same component through bare wasmtime and
//! beside a bare core call: the differences are our own cost. `tollgate bench` gives the figures that are promised; this gives those to work with.
//!
//! `cargo bench -p tollgate-benches` takes the plugins from `$TOLLGATE_PLUGINS`, or from where `cargo xtask build` leaves them.

mod bare;
mod book;
mod calls;
mod decision;
mod durable_posts;
mod loading;
mod plugins;

use std::process::ExitCode;

use criterion::Criterion;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate-benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    book::bench(&mut criterion)?;
    durable_posts::bench()?;
    let plugins = plugins::folder()?;
    calls::bench(&mut criterion, &plugins)?;
    decision::bench(&mut criterion, &plugins)?;
    loading::bench(&mut criterion, &plugins)?;
    criterion.final_summary();
    Ok(())
}
