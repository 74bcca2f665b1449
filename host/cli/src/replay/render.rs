//! A replay's summary for people.

use std::fmt::Write;

use tollgate_core::PolicyKind;

use super::tally::{Bar, Summary, share};
use crate::output::{Table, counted};

pub(crate) fn summary(summary: &Summary) -> String {
    let mut text = String::new();
    let _ = head(&mut text, summary)
        .and_then(|()| verdicts(&mut text, summary))
        .and_then(|()| routes(&mut text, summary))
        .and_then(|()| stops(&mut text, summary))
        .and_then(|()| hindsight(&mut text, summary))
        .and_then(|()| costs(&mut text, summary))
        .and_then(|()| latency(&mut text, summary));
    text
}

fn head(text: &mut String, summary: &Summary) -> std::fmt::Result {
    let count = |outcome| summary.outcomes.get(outcome).copied().unwrap_or(0);
    writeln!(text, "decided: {} in {}", counted(summary.decisions, "invocation"), counted(summary.runs, "run"))?;
    writeln!(
        text,
        "  {} proceeded, {} were held for a human, {} were refused; {} waited first, {} s in all",
        count("proceed"),
        count("hold"),
        count("refuse"),
        summary.waited,
        summary.waited_ms / 1000,
    )?;
    if count("slow") > 0 {
        writeln!(text, "  {} were still waiting at the end", count("slow"))?;
    }
    if summary.skipped_lines > 0 {
        writeln!(text, "  passed over: {}", counted(summary.skipped_lines, "malformed line"))?;
    }
    Ok(())
}

fn verdicts(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\nverdicts")?;
    let mut table = Table::new(&["kind", "verdict", "times"]);
    for kind in PolicyKind::ALL {
        for (verdict, times) in summary.verdicts.get(kind.as_str()).into_iter().flatten() {
            table.row([kind.to_string(), (*verdict).to_owned(), times.to_string()]);
        }
    }
    write!(text, "{}", table.render())
}

fn routes(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\nrouted")?;
    let mut table = Table::new(&["model", "tier", "dispatches", "cost, USD"]);
    for routed in &summary.routed {
        table.row([
            routed.model.clone(),
            routed.tier.to_string(),
            routed.dispatches.to_string(),
            dollars(&routed.cost_usd),
        ]);
    }
    write!(text, "{}", table.render())?;
    writeln!(
        text,
        "  {} of the dispatches had no task type that the policies know",
        percent(summary.unknown_task_type_share)
    )
}

fn stops(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\nstopped")?;
    if summary.stopped.is_empty() {
        return writeln!(text, "  nothing");
    }
    let mut table = Table::new(&["by", "outcome", "reason", "dispatches", "had failed", "were productive"]);
    for stopped in &summary.stopped {
        table.row([
            stopped.by.clone(),
            stopped.outcome.to_owned(),
            stopped.reason.clone(),
            stopped.dispatches.to_string(),
            stopped.failed.to_string(),
            stopped.productive.to_string(),
        ]);
    }
    write!(text, "{}", table.render())?;
    let notified: Vec<_> =
        summary.notifications.iter().map(|(threshold, times)| format!("{times} {threshold}")).collect();
    if !notified.is_empty() {
        writeln!(text, "  budget notifications: {}", notified.join(", "))?;
    }
    if summary.switches_engaged > 0 {
        writeln!(text, "  switches engaged by policies: {}", summary.switches_engaged)?;
    }
    Ok(())
}

fn hindsight(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\nin hindsight")?;
    writeln!(
        text,
        "  {} of {} failed attempts prevented ({}), {} of {} minutes spent failing; {} more sent to a higher tier",
        summary.failed_attempts_prevented,
        summary.failed_attempts,
        percent(share(summary.failed_attempts_prevented, summary.failed_attempts)),
        summary.failed_minutes_prevented,
        summary.failed_minutes,
        summary.failed_attempts_escalated,
    )?;
    writeln!(
        text,
        "  {} of {} successes stopped that are not known to be unproductive; {} of {} that changed nothing",
        summary.productive_calls_blocked,
        summary.productive_calls,
        summary.unproductive_calls_blocked,
        summary.unproductive_calls,
    )
}

fn costs(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\ncost, USD")?;
    let mut table = Table::new(&["", "USD"]);
    table.row(["recorded".to_owned(), dollars(&summary.recorded_cost_usd)]);
    table.row(["as decided".to_owned(), dollars(&summary.decided_cost_usd)]);
    table.row(["recorded cost of what was stopped".to_owned(), dollars(&summary.blocked_cost_usd)]);
    write!(text, "{}", table.render())?;
    if summary.recorded_cost_unknown > 0 {
        let unknown = counted(summary.recorded_cost_unknown, "invocation");
        writeln!(text, "  no recorded cost, which counts for nothing: {unknown}")?;
    }
    writeln!(text, "  assumed: {}", summary.decided_cost_assumption)
}

fn latency(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(
        text,
        "\ndecision latency: median {:.2} µs, 99th percentile {:.2} µs",
        f64::from(summary.decision_p50_ns) / 1e3,
        f64::from(summary.decision_p99_ns) / 1e3,
    )?;
    let most = summary.decision_histogram.iter().map(|bar| bar.decisions).max().unwrap_or(0).max(1);
    for Bar { below_ns, decisions } in &summary.decision_histogram {
        let below = if *below_ns == u32::MAX {
            "      more".to_owned()
        } else {
            format!("< {:>5.1} µs", f64::from(*below_ns) / 1e3)
        };
        let length = usize::try_from((decisions * 40).div_ceil(most)).unwrap_or(0);
        writeln!(text, "  {below}  {:<40} {decisions}", "#".repeat(length))?;
    }
    Ok(())
}

/// To a hundredth of a cent, halves up.
pub(crate) fn dollars(amount: &super::tally::Dollars) -> String {
    let hundredths = amount.0.as_u64().saturating_add(50_000) / 100_000;
    format!("{}.{:04}", hundredths / 10_000, hundredths % 10_000)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
