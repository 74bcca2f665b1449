//! A child process works on a ledger and is killed with SIGKILL at random moments, `--kills` times on the same ledger. Each
//! time: every post it was told of is there, what it sent and did not settle still counts, nothing is resolved
//! twice, and every account is what its entries add up to.
#![expect(clippy::disallowed_methods, reason = "it times itself: figures for a person, no decision rests on them")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics fails"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Random, finish, number};
use tollgate_core::config::AttemptRules;
use tollgate_core::{
    Dispatch, Failure, History, Nanodollars, Reference, Report, ScopeKind, ScopePath, Status as Ended, Symbol, Symbols,
};
use tollgate_ledger::book::{Budget, Budgets, Dimension, Request, ReservationId, Resolution, Settlement, Status};
use tollgate_ledger::store::Sqlite;
use tollgate_ledger::{DATABASE, Ledger, Options};

const THREADS: u64 = 8;

fn open(folder: &Path) -> Ledger {
    let budget = |kind| Budget::each(kind, Nanodollars::from_dollars(1_000_000).unwrap());
    let budgets =
        Budgets::new([ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Run].map(budget).to_vec()).unwrap();
    let ledger = Ledger::open(folder, budgets, Options { resident_accounts: 64, ..Options::default() }, 0).unwrap();
    let history = History::new(AttemptRules::default(), Vec::new(), 100_000);
    ledger.remembering(history, Arc::new(Symbols::new()), 0).unwrap()
}

/// Works until it is killed, and says what it was promised: `S id amount` was sent, `P id cost` is posted, `A task count` is how
/// often that task has failed.
fn child(folder: &Path, round: u64) {
    let ledger = open(folder);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || {
                let mut random = Random(round << 16 | thread);
                for turn in 0_u64.. {
                    let id = u128::from(round) << 64 | u128::from(thread) << 48 | u128::from(turn);
                    dispatch(ledger, id, turn, &mut random);
                    fail(ledger, round << 16 | thread, turn + 1);
                }
            });
        }
    });
}

fn dispatch(ledger: &Ledger, number: u128, now_ms: u64, random: &mut Random) {
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let (team, run) = (format!("t{}", random.below(4)), format!("r{}", random.below(400)));
    let names = [
        (Dimension::Scope(ScopeKind::Organisation), "all"),
        (Dimension::Scope(ScopeKind::Team), &team),
        (Dimension::Scope(ScopeKind::Run), &run),
    ];
    let path = ledger.path(&names).unwrap();
    let (id, amount) = (ReservationId(number), 1 + random.below(10_000));
    let request = Request { id, path: &path, amount: Nanodollars::new(amount), expires_ms: now_ms + 1_000_000 };
    ledger.reserve(&request, now_ms).unwrap();
    match random.below(10) {
        0 => return drop(ledger.void(id, now_ms).unwrap()),
        1 => return,
        _ => {}
    }
    ledger.sent(id, now_ms + 1_000_000, now_ms).unwrap();
    say(format!("S {number} {amount}\n"));
    if random.below(10) == 0 {
        return;
    }
    let cost = random.below(12_000);
    let ticket = ledger.post(id, Settlement::exact(Nanodollars::new(cost)), None, now_ms).unwrap();
    ticket.wait().unwrap();
    say(format!("P {number} {cost}\n"));
}

/// One more attempt at a task of its own that failed.
fn fail(ledger: &Ledger, task: u64, times: u64) {
    ledger.outcome(&Report {
        task: Reference::from_u64(task),
        scopes: ScopePath::default(),
        task_type: Symbol::UNKNOWN,
        started_ms: times,
        ended_ms: times,
        tier: None,
        status: Ended::Failed(Failure::Timeout),
        context: None,
        proposal: None,
        productive: None,
    });
    std::io::stdout().write_all(format!("A {task} {times}\n").as_bytes()).unwrap();
}

/// How often a task has failed, as policies are told.
fn failed(ledger: &Ledger, task: u64) -> u64 {
    let mut dispatch = Dispatch { task: Some(Reference::from_u64(task)), ..Dispatch::default() };
    ledger.inform(&mut dispatch, &ledger.path(&[]).unwrap()).unwrap();
    dispatch.attempts.failed.into()
}

#[derive(Default)]
struct Tally {
    acknowledged: u64,
    missing: u64,
    sent_unresolved: u64,
    sent_lost: u64,
    attempts: u64,
    attempts_lost: u64,
    unclean: u64,
}

fn round(folder: &Path, round: u64, random: &mut Random, tally: &mut Tally) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child".into(), folder.as_os_str().to_owned(), round.to_string().into()]);
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    let (began, life) = (Instant::now(), Duration::from_micros(random.below(200_000)));
    std::thread::sleep(life.saturating_sub(began.elapsed()));
    process.kill().unwrap();
    process.wait().unwrap();
    let (mut sent, mut posted, mut attempts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for line in reader.join().unwrap() {
        let mut words = line.split(' ');
        let said = (
            words.next(),
            words.next().and_then(|id| id.parse::<u128>().ok()),
            words.next().and_then(|amount| amount.parse::<u64>().ok()),
        );
        match said {
            (Some("S"), Some(id), Some(amount)) => drop(sent.insert(id, amount)),
            (Some("P"), Some(id), Some(cost)) => drop(posted.insert(id, cost)),
            (Some("A"), Some(task), Some(times)) => drop(attempts.insert(u64::try_from(task).unwrap(), times)),
            // Cut off by the kill: nobody was told.
            _ => {}
        }
    }
    let ledger = open(folder);
    for (id, cost) in &posted {
        tally.acknowledged += 1;
        let expected = Status::Ended(Resolution::Posted(Nanodollars::new(*cost)));
        tally.missing += u64::from(ledger.status(ReservationId(*id)).unwrap() != Some(expected));
    }
    for (task, times) in &attempts {
        tally.attempts += times;
        // The one under way when it was killed counts, too.
        tally.attempts_lost += u64::from(!(*times..=times + 1).contains(&failed(&ledger, *task)));
    }
    for (id, amount) in sent.iter().filter(|(id, _)| !posted.contains_key(*id)) {
        tally.sent_unresolved += 1;
        let counted = match ledger.status(ReservationId(*id)).unwrap() {
            Some(Status::Open { held, sent }) => sent && held.as_u64() == *amount,
            Some(Status::Ended(resolution)) => matches!(resolution, Resolution::Posted(_)),
            None => false,
        };
        tally.sent_lost += u64::from(!counted);
    }
    ledger.sweep(u64::MAX).unwrap();
    ledger.flush().unwrap();
    drop(ledger);
    let verification = Sqlite::open(&folder.join(DATABASE)).unwrap().verify().unwrap();
    tally.unclean += u64::from(!verification.is_clean() || verification.open > 0);
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, folder, round] = arguments.as_slice()
        && word == "child"
    {
        child(Path::new(folder), round.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let (kills, seed) = (number("--kills", 200), number("--seed", 1));
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut tally, began) = (Random(seed), Tally::default(), Instant::now());
    for number in 0..kills {
        round(folder.path(), number + 1, &mut random, &mut tally);
    }
    let figures = serde_json::json!({
        "task": "crash ledger", "seed": seed, "kills": kills, "acknowledged_posts": tally.acknowledged,
        "missing": tally.missing, "sent_unresolved": tally.sent_unresolved, "sent_lost": tally.sent_lost,
        "attempts": tally.attempts, "attempts_lost": tally.attempts_lost, "unclean": tally.unclean, "seconds": began.elapsed().as_secs(),
    });
    let lost = tally.missing + tally.sent_lost + tally.attempts_lost + tally.unclean;
    finish(&figures, lost == 0 && tally.acknowledged > 0 && tally.attempts > 0)
}
