//! The differences for people.

use std::fmt::Write;

use super::tally::Summary;
use crate::output::Table;
use crate::replay::{Dollars, render_dollars};

pub(super) fn summary(summary: &Summary) -> String {
    let mut text = String::new();
    // A write to a string does not fail.
    let _ = head(&mut text, summary).and_then(|()| differences(&mut text, summary)).and_then(|()| {
        if summary.changed == 0 {
            Ok(())
        } else {
            costs(&mut text, summary).and_then(|()| examples(&mut text, summary))
        }
    });
    text
}

fn head(text: &mut String, summary: &Summary) -> std::fmt::Result {
    if summary.changed == 0 {
        writeln!(text, "{} recorded decisions were made again: no difference", summary.decisions)?;
    } else {
        writeln!(
            text,
            "{} recorded decisions were made again: {} have other verdicts or outcomes, {} another outcome",
            summary.decisions, summary.changed, summary.outcomes_changed,
        )?;
    }
    if summary.passed_over > 0 {
        writeln!(text, "  {} are not whole in the records and were passed over", summary.passed_over)?;
    }
    writeln!(text, "\npolicies")?;
    let mut table = Table::new(&["policy", "difference"]);
    for policy in &summary.policies {
        table.row([policy.policy.clone(), policy.difference.join(", ")]);
    }
    write!(text, "{}", table.render())
}

fn differences(text: &mut String, summary: &Summary) -> std::fmt::Result {
    if !summary.outcomes.is_empty() {
        writeln!(text, "\noutcomes")?;
        let mut table = Table::new(&["recorded", "now", "decisions"]);
        for change in &summary.outcomes {
            table.row([change.from.clone(), change.to.clone(), change.decisions.to_string()]);
        }
        write!(text, "{}", table.render())?;
    }
    if !summary.verdicts.is_empty() {
        writeln!(text, "\nverdicts")?;
        let mut table = Table::new(&["policy", "kind", "recorded", "now", "decisions"]);
        for counted in &summary.verdicts {
            let change = &counted.change;
            let cells = [&change.policy, change.kind.as_str(), &change.from, &change.to];
            table.row(cells.map(str::to_owned).into_iter().chain([counted.decisions.to_string()]));
        }
        write!(text, "{}", table.render())?;
    }
    Ok(())
}

fn costs(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\nexpected cost of what goes")?;
    let (before, after) = (summary.recorded_cost_usd, summary.decided_cost_usd);
    let mut table = Table::new(&["", "USD"]);
    table.row(["recorded".to_owned(), render_dollars(&before)]);
    table.row(["now".to_owned(), render_dollars(&after)]);
    let (sign, difference) = if after.0 < before.0 {
        ("-", before.0.saturating_sub(after.0))
    } else {
        ("+", after.0.saturating_sub(before.0))
    };
    table.row(["difference".to_owned(), format!("{sign}{}", render_dollars(&Dollars(difference)))]);
    write!(text, "{}", table.render())?;
    writeln!(text, "  each dispatch with the facts it had: what another decision would have led to is not known")
}

fn examples(text: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(text, "\nexamples, one of each difference; `tollgate explain <DECISION>` tells the rest")?;
    for example in &summary.examples {
        writeln!(text, "  {}  {}", example.decision_id, example.timestamp)?;
        writeln!(text, "    recorded  {}", example.recorded)?;
        writeln!(text, "    now       {}", example.decided)?;
        for change in &example.verdicts {
            writeln!(text, "    {:<14}{}: {} → {}", change.kind, change.policy, change.from, change.to)?;
        }
    }
    Ok(())
}
