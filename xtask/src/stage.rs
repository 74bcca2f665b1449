//! A header for each stage of a task, and how long it took. On standard error, so that a task's own result can be piped.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Prints `title`, runs `work`, prints the time it took (also when it failed).
pub(crate) fn stage<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("\n== {title}");
    let watch = Stopwatch::start();
    let result = work();
    let word = if result.is_ok() { "took" } else { "failed after" };
    eprintln!("-- {title}: {word} {:.1} s", watch.elapsed().as_secs_f64());
    result
}

/// The one reader of a clock in these tasks.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a build task times itself; nothing it decides depends on it")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
