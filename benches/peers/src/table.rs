//! What is printed of the figures.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use crate::dispatches::CASES;
use crate::measure::{Row, TURN};

/// One line an engine, the fastest first.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_unstable_by(|one, other| one.median_ns.total_cmp(&other.median_ns));
    let host = host_ns(rows);
    let mut text = format!(
        "The same verdicts on {CASES} varied dispatches. Times are of {CASES} others that proceed after all four policies, eight\n\
         candidates and five scopes each: median of turns of {TURN}, all engines in each turn, one thread.\n\n\
         {:<30} {:>10} {:>10} {:>8}   a decision includes\n",
        "engine", "median ns", "least ns", "x host"
    );
    for row in sorted {
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{:<30} {:>10.0} {:>10.0} {:>8.2}   {}",
            row.name,
            row.median_ns,
            row.least_ns,
            row.median_ns / host,
            row.includes
        );
    }
    text
}

pub(crate) fn json(rows: &[Row]) -> Result<String> {
    let row = |row: &Row| {
        json!({
            "engine": row.name, "median_ns": row.median_ns.round(), "least_ns": row.least_ns.round(),
            "x_host": (row.median_ns / host_ns(rows) * 100.0).round() / 100.0, "includes": row.includes,
            "to_be_beaten": row.is_to_be_beaten,
        })
    };
    let figures = json!({
        "verified_dispatches": CASES, "timed_dispatches": CASES,
        "engines": rows.iter().map(row).collect::<Vec<_>>(), "not_beaten": not_beaten(rows),
    });
    Ok(serde_json::to_string(&figures)?)
}

/// The engines that the host promises to beat and does not.
pub(crate) fn not_beaten(rows: &[Row]) -> Vec<&'static str> {
    let host = host_ns(rows);
    rows.iter().filter(|row| row.is_to_be_beaten && row.median_ns <= host).map(|row| row.name).collect()
}

fn host_ns(rows: &[Row]) -> f64 {
    rows.iter().find(|row| row.is_host).map_or(f64::NAN, |row| row.median_ns)
}
