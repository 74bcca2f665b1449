//! What a trial found: figures, and which of its bounds held.

use std::process::ExitCode;

use serde_json::{Map, Value};

/// Gathers figures and bounds.
pub(crate) struct Verdict {
    figures: Map<String, Value>,
    missed: usize,
}

impl Verdict {
    pub(crate) fn new(trial: &str) -> Self {
        Self { figures: Map::from_iter([("trial".to_owned(), trial.into())]), missed: 0 }
    }

    /// A figure that nothing is held against.
    pub(crate) fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    pub(crate) fn at_most(&mut self, name: &str, found: f64, bound: f64) {
        self.bound(name, found, found <= bound, &format!("at most {bound}"));
    }

    pub(crate) fn at_least(&mut self, name: &str, found: f64, bound: f64) {
        self.bound(name, found, found >= bound, &format!("at least {bound}"));
    }

    /// Something that must not happen, not once.
    pub(crate) fn none(&mut self, name: &str, found: u64) {
        self.bound(name, found as f64, found == 0, "none");
    }

    /// Something without which the trial would have shown nothing.
    pub(crate) fn some(&mut self, name: &str, found: u64) {
        self.bound(name, found as f64, found > 0, "some");
    }

    fn bound(&mut self, name: &str, found: f64, held: bool, bound: &str) {
        self.missed += usize::from(!held);
        let rounded = (found * 1_000.0).round() / 1_000.0;
        println!("{} {name}: {rounded} ({bound})", if held { "held  " } else { "MISSED" });
        self.figures.insert(name.to_owned(), rounded.into());
    }

    /// Prints the figures; the exit status says whether every bound held.
    pub(crate) fn tell(mut self) -> ExitCode {
        self.figures.insert("missed".to_owned(), self.missed.into());
        println!("{}", Value::Object(self.figures));
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The value that a share of them stays at or below; they are put in order.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let place = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(place).copied().unwrap_or(f64::NAN)
}
