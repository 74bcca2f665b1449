//! The figures for people.

use super::{Figures, round};
use crate::output::Table;

pub(super) fn render(figures: &Figures) -> String {
    let mut table = Table::new(&["", "median", "beside it"]);
    let mut row = |name: &str, value: String, beside: String| table.row([name.to_owned(), value, beside]);
    row(
        "decision, four policies",
        nanoseconds(figures.decision_p50_ns),
        format!("{} core calls", figures.decision_in_core_calls),
    );
    row(
        "  99th percentile",
        nanoseconds(figures.decision_p99_ns),
        format!(
            "{} medians of {} decisions",
            round(f64::from(figures.decision_p99_ns) / f64::from(figures.decision_p50_ns.max(1))),
            figures.decisions
        ),
    );
    row(
        "  through the canonical ABI",
        nanoseconds(figures.decision_canonical_p50_ns),
        format!("{} core calls", figures.decision_canonical_in_core_calls),
    );
    for (kind, lane) in figures.kinds.iter().zip(&figures.lanes) {
        row(
            &format!("  {}", kind.kind),
            nanoseconds(kind.p50_ns),
            format!("{lane}; {} fuel, at most {}", kind.fuel_p50, kind.fuel_max),
        );
    }
    row("  its facts, read before", nanoseconds(figures.facts_p50_ns), "not in the decision".to_owned());
    row("bare core call", format!("{} ns", figures.core_call_p50_ns), String::new());
    row(
        "two threads, decisions",
        format!("{} times one", figures.threads_2_speedup),
        format!("core calls: {} times", figures.core_threads_2_speedup),
    );
    row("decision on fresh instances", nanoseconds(figures.fresh_p50_ns), String::new());
    row("loading the four, cached", format!("{} ms", figures.load_cached_ms), String::new());
    row("loading the four, compiling", format!("{} ms", figures.load_cold_ms), String::new());
    table.render()
}

fn nanoseconds(nanoseconds: u32) -> String {
    match nanoseconds {
        0..10_000 => format!("{nanoseconds} ns"),
        _ => format!("{:.1} µs", f64::from(nanoseconds) / 1_000.0),
    }
}
