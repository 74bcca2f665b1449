//! Runs other programs. Says which command failed and how; never interprets what one printed.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A cargo of the toolchain that runs this task, without what `cargo run` told this process about `xtask` itself:
/// build scripts that watch such a variable would run again in every nested call.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc")))
}

/// Runs with this process's output; anything but success is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("could not start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed with {status}", shown(command));
    }
    Ok(())
}

/// Runs quietly and returns what was printed; what went wrong is the last line of standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("nothing said");
        bail!(
            "`{}` failed with {}: {}",
            shown(command),
            output.status,
            last.trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something that is not UTF-8", shown(command)))
}

/// The program's name and first arguments: enough to recognise a command whose paths would fill a screen.
fn shown(command: &Command) -> String {
    const ARGUMENTS_SHOWN: usize = 6;
    let program = std::path::Path::new(command.get_program());
    let mut text = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    let arguments: Vec<&OsStr> = command.get_args().collect();
    for argument in arguments.iter().take(ARGUMENTS_SHOWN) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    if arguments.len() > ARGUMENTS_SHOWN {
        text.push_str(" …");
    }
    text
}
