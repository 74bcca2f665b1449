//! The ordinary ways: the target is installed, or rustup can add it within a time limit.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{GuestToolchain, Rustc, TARGET, say};
use crate::process::{output, rustc};
use crate::stage::Stopwatch;

/// Without a network rustup fails at once or hangs; with one, the 25 MB take seconds.
const TIME_LIMIT: Duration = Duration::from_secs(90);

pub(super) fn installed(compiler: &Rustc) -> Result<Option<GuestToolchain>> {
    let libraries = output(rustc().args(["--print", "target-libdir", "--target", TARGET]))?;
    if !holds_core(Path::new(libraries.trim())) {
        return Ok(None);
    }
    Ok(Some(GuestToolchain {
        identity: format!("{}-installed", compiler.key()),
        described: format!("{TARGET} of the installed Rust {}", compiler.release),
        rustflags: Vec::new(),
        environment: Vec::new(),
    }))
}

pub(super) fn add_target(compiler: &Rustc) -> Result<GuestToolchain> {
    let limit = TIME_LIMIT.as_secs();
    say(&format!("trying `rustup target add {TARGET}` (at most {limit} s)"));
    let child = Command::new("rustup")
        .args(["target", "add", TARGET])
        .stdin(Stdio::null())
        .spawn()
        .context("rustup could not be started")?;
    match wait(child, TIME_LIMIT)? {
        None => bail!("rustup had not finished after {limit} s"),
        Some(status) if !status.success() => bail!("rustup failed with {status}"),
        Some(_) => installed(compiler)?.context("rustup added the target to another toolchain than the one in use"),
    }
}

/// `None` when the limit passed; the child is ended then.
fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let watch = Stopwatch::start();
    while watch.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn holds_core(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
    })
}
