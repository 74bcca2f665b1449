//! `tollgate log`: recorded decisions as JSON lines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use clap::Args;
use tollgate_core::{PolicyKind, ScopeKind};
use tollgate_ledger::records::{self, Event, Filter, Item, Lost, Records};

use super::{RecordsArguments, tell_lost, tell_problem};

/// How long to wait before looking for more. A record is in its file a twentieth of a second after its decision.
const REST: Duration = Duration::from_millis(250);

#[derive(Args)]
pub(crate) struct LogArguments {
    #[command(flatten)]
    records: RecordsArguments,
    /// Only decisions from this moment on: `2026-03-02T08:00:00Z`, `2026-03-02` (UTC), or `2h` for two hours ago.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<u64>,
    /// Only decisions before this moment.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<u64>,
    /// Only this outcome; several may be named.
    #[arg(long, value_name = "WORD", value_parser = ["proceed", "slow", "hold", "refuse"])]
    outcome: Vec<String>,
    /// Only dispatches of this run.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Only dispatches of this task.
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only this type of task.
    #[arg(long, value_name = "NAME")]
    task_type: Option<String>,
    /// Only this stage.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Only dispatches of this scope, such as `team=red`; several have to hold together.
    #[arg(long, value_name = "KIND=NAME", value_parser = scope)]
    scope: Vec<(ScopeKind, String)>,
    /// Only what went to this model.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only what this policy settled, or `host`.
    #[arg(long, value_name = "POLICY")]
    by: Option<String>,
    /// Only where this policy was asked; with --verdict, where it said that.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only where a policy of this kind was asked; with --verdict, where it said that.
    #[arg(long, value_name = "KIND")]
    kind: Option<PolicyKind>,
    /// Only where a policy said this: `raise-floor`, `slow`, `failed`, …
    #[arg(long, value_name = "WORD")]
    verdict: Option<String>,
    /// Only the last ones that are there.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Go on with what is recorded from now on.
    #[arg(long)]
    follow: bool,
}

impl LogArguments {
    fn filter(&self) -> Filter {
        let mut scopes = self.scope.clone();
        scopes.extend(self.run.clone().map(|run| (ScopeKind::Run, run)));
        Filter {
            since_ms: self.since,
            until_ms: self.until,
            outcomes: self.outcome.clone(),
            task: self.task.clone(),
            task_type: self.task_type.clone(),
            stage: self.stage.clone(),
            scopes,
            model: self.model.clone(),
            by: self.by.clone(),
            policy: self.policy.clone(),
            kind: self.kind,
            verdict: self.verdict.clone(),
        }
    }
}

pub(crate) fn run(arguments: &LogArguments) -> anyhow::Result<()> {
    let filter = arguments.filter();
    let mut records = records::read(&arguments.records.records)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut lost = Lost::default();
    match arguments.last {
        None => pass(&mut records, &filter, &mut lost, |line| writeln!(out, "{line}"))?,
        Some(last) => {
            let mut lines = VecDeque::new();
            pass(&mut records, &filter, &mut lost, |line| {
                lines.push_back(line);
                lines.drain(..lines.len().saturating_sub(last));
                Ok(())
            })?;
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    out.flush()?;
    tell_lost(&lost);
    if arguments.follow {
        return follow(records, &filter, &mut out);
    }
    if let Some(cut) = records.cut() {
        tell_problem(&cut);
    }
    Ok(())
}

/// Goes on with what is written, until its reader leaves or it is ended.
fn follow(mut records: Records, filter: &Filter, out: &mut impl Write) -> anyhow::Result<()> {
    loop {
        thread::sleep(REST);
        let mut lost = Lost::default();
        if records.look_again()? {
            pass(&mut records, filter, &mut lost, |line| writeln!(out, "{line}"))?;
            out.flush()?;
            tell_lost(&lost);
        }
    }
}

/// Hands on the lines of what is there.
fn pass(
    records: &mut Records,
    filter: &Filter,
    lost: &mut Lost,
    mut line: impl FnMut(String) -> io::Result<()>,
) -> anyhow::Result<()> {
    for item in records {
        match item {
            Item::Decision(recorded) if filter.matches(&recorded.decision) => {
                line(serde_json::to_string(&Event::of(&recorded))?)?;
            }
            Item::Decision(_) => {}
            Item::Lost(more) => {
                lost.queue_full = lost.queue_full.saturating_add(more.queue_full);
                lost.write_failed = lost.write_failed.saturating_add(more.write_failed);
            }
            Item::Problem(problem) => tell_problem(&problem),
        }
    }
    Ok(())
}

/// A moment as people write it, in milliseconds since the Unix epoch.
fn moment(text: &str) -> Result<u64, String> {
    let timestamp = || -> Option<jiff::Timestamp> {
        if let Ok(timestamp) = text.parse() {
            return Some(timestamp);
        }
        if let Ok(date) = text.parse::<jiff::civil::Date>() {
            return Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
        }
        let ago = text.parse::<jiff::SignedDuration>().ok()?;
        jiff::Timestamp::now().checked_sub(ago.abs()).ok()
    };
    timestamp()
        .and_then(|moment| u64::try_from(moment.as_millisecond()).ok())
        .ok_or_else(|| "write a moment as `2026-03-02T08:00:00Z`, `2026-03-02`, or `2h` for two hours ago".to_owned())
}

/// `team=red`.
fn scope(text: &str) -> Result<(ScopeKind, String), String> {
    let (kind, name) = text.split_once('=').ok_or_else(|| "write a scope as `team=red`".to_owned())?;
    Ok((kind.parse().map_err(|error: tollgate_core::ScopeKindError| error.to_string())?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_scopes_are_read_as_people_write_them() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        assert!(moment("2h").is_ok_and(|two| moment("1h").is_ok_and(|one| one > two)));
        for text in ["yesterday", "", "1969-12-31", "5"] {
            assert!(moment(text).is_err_and(|error| error.contains("two hours ago")), "{text}");
        }
        assert_eq!(scope("team=red=x"), Ok((ScopeKind::Team, "red=x".to_owned())));
        assert!(scope("team").is_err());
        assert!(scope("colour=red").is_err_and(|error| error.contains("is no kind of scope")));
    }
}
