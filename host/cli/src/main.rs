//! The `tollgate` command.

mod against;
mod bench;
mod check;
mod data;
mod decide;
mod demo;
mod import;
mod init;
mod keys;
mod kill;
mod ledger;
mod logging;
mod operate;
mod output;
mod policy_check;
mod records;
mod replay;
mod report;
mod serve;
mod setup;
mod simulate;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Under 32 connections a fifth of the gateway's time was the system's allocator, which gives back and asks again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_STATUS: &str = "\
Exit status: 0 when the command did what it was asked (`decide` also when it refuses: read `outcome`), 1 when it
could not, with one line on standard error, 2 when its arguments are not understood.";

/// Decides, before every model call an agent makes, whether it may go, where it goes and what it may cost.
#[derive(Parser)]
#[command(name = "tollgate", version, propagate_version = true, after_help = EXIT_STATUS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a configuration for real traffic, in which every policy looks on.
    Init(init::InitArguments),
    /// Stand before your models: decide every call, meter it, settle it.
    Serve(serve::ServeArguments),
    /// Say who may ask, and what each may claim.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Engage a switch on a running gateway.
    Kill(kill::KillArguments),
    /// Lift the switches of a running gateway that cover something.
    Unkill(kill::UnkillArguments),
    /// List the engaged switches of a running gateway.
    Switches(kill::SwitchesArguments),
    /// Tell how a running gateway stands.
    Status(operate::status::StatusArguments),
    /// Tell which policies of a running gateway decide, and which can be gone back to.
    Generations(operate::generations::GenerationsArguments),
    /// Let an earlier generation of policies decide again, at once.
    Rollback(operate::generations::RollBackArguments),
    /// Let a running gateway load its configuration now.
    Reload(operate::generations::GenerationsArguments),
    /// Tell how the candidate of a running gateway compares with what runs.
    Candidate(operate::generations::GenerationsArguments),
    /// Let the candidate of a running gateway decide.
    Promote(operate::generations::GenerationsArguments),
    /// Give the candidate of a running gateway up.
    Discard(operate::generations::GenerationsArguments),
    /// List what waits for an approval on a running gateway, and say yes or no.
    Approvals(operate::approvals::ApprovalsArguments),
    /// Tell what the budgets of a running gateway allow and how they stand, or change a limit.
    Budgets(operate::budgets::BudgetsArguments),
    /// Make, list and revoke the tokens of the admin listener.
    Tokens(operate::tokens::TokensArguments),
    /// Tell what was changed on a running gateway, by whom, when.
    Audit(operate::audit::AuditArguments),
    /// Play what is not there.
    #[command(subcommand)]
    Simulate(simulate::SimulateCommand),
    /// Work with policy plugins.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Decide one dispatch, read as JSON from standard input.
    Decide(decide::DecideArguments),
    /// Decide a recorded trace as it would have been live, or recorded decisions with other policies, and tell what that
    /// would have changed.
    Replay(replay::ReplayArguments),
    /// Print recorded decisions as JSON lines.
    Log(records::log::LogArguments),
    /// Explain one recorded decision: every fact with where it came from, and every verdict.
    Explain(records::explain::ExplainArguments),
    /// See all of it in some seconds, without a key: a generated pipeline decided after the fact, then agents before a live gateway,
    /// routed, slowed, held and killed, and what it cost.
    Demo(demo::DemoArguments),
    /// Measure what a decision costs on this machine, beside a bare WebAssembly call.
    Bench(bench::BenchArguments),
    /// Take a recorded trace into the ledger.
    Import(import::ImportArguments),
    /// Tell what was spent on what.
    Report(report::ReportArguments),
    /// Check the ledger, or write it out.
    Ledger(ledger::LedgerArguments),
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Check whether a plugin would be loaded, and tell what it is and what it costs.
    Check(policy_check::CheckArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Keys(command) => keys::run(command),
        Command::Kill(arguments) => kill::kill(&arguments),
        Command::Unkill(arguments) => kill::unkill(&arguments),
        Command::Switches(arguments) => kill::switches(&arguments),
        Command::Status(arguments) => operate::status::run(&arguments),
        Command::Generations(arguments) => operate::generations::list_them(&arguments),
        Command::Rollback(arguments) => operate::generations::roll_back(&arguments),
        Command::Reload(arguments) => operate::generations::reload(&arguments),
        Command::Candidate(arguments) => operate::generations::candidate(&arguments),
        Command::Promote(arguments) => operate::generations::promote(&arguments),
        Command::Discard(arguments) => operate::generations::discard(&arguments),
        Command::Approvals(arguments) => operate::approvals::run(&arguments),
        Command::Budgets(arguments) => operate::budgets::run(&arguments),
        Command::Tokens(arguments) => operate::tokens::run(&arguments),
        Command::Audit(arguments) => operate::audit::run(&arguments),
        Command::Simulate(command) => simulate::run(&command),
        Command::Policy(PolicyCommand::Check(arguments)) => policy_check::run(&arguments),
        Command::Decide(arguments) => decide::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Log(arguments) => records::log::run(&arguments),
        Command::Explain(arguments) => records::explain::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate: {}", output::error_text(&error));
            ExitCode::FAILURE
        }
    }
}
