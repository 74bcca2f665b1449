//! From plugin files to a host that has probed them: with nothing in the compile cache, and with everything.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use anyhow::Context;
use quanta::Clock;
use tollgate_runtime::HostBuilder;
use tollgate_runtime::control::measured_configuration;

use super::median;

/// How often both are measured where there is time for it: compiling the four takes some two seconds.
const MOST_TIMES: u32 = 5;

pub(super) struct LoadFigures {
    pub(super) cold_ms: f64,
    pub(super) cached_ms: f64,
}

/// Once for every two of the seconds that the rest is measured for, and at least once.
pub(super) fn measure(builder: impl Fn() -> anyhow::Result<HostBuilder>, seconds: u32) -> anyhow::Result<LoadFigures> {
    let clock = Clock::new();
    let configuration = measured_configuration();
    let load_ms = |cache: &Folder| -> anyhow::Result<f64> {
        let started = clock.now();
        let host = builder()?.compile_cache(&cache.path).build(&configuration)?;
        let taken = started.elapsed();
        drop(host);
        Ok(taken.as_secs_f64() * 1_000.0)
    };
    let (mut cold, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..(seconds / 2).clamp(1, MOST_TIMES) {
        let cache = Folder::new()?;
        cold.push(load_ms(&cache)?);
        cached.push(load_ms(&cache)?);
    }
    Ok(LoadFigures { cold_ms: median(&mut cold), cached_ms: median(&mut cached) })
}

/// A folder that is gone when this is.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tollgate-bench-{}-{number}", process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // One that stays is found by whoever tidies the temporary folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}
