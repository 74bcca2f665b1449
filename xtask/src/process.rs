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
    let status = command.status().with_context(|| format!("could not start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed with {status}", shown(command));
    }
    Ok(())
}

/// Runs quietly and returns what was printed; a failure carries the line in which the program says why.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("could not start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", shown(command), reason(&said));
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something that is not UTF-8", shown(command)))
}

/// The first line marked as an error, as cargo and apt mark theirs, with the indented causes below it; or else
/// the last line.
fn reason(said: &str) -> String {
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let last = lines.clone().next_back().unwrap_or("it did not say why");
    let marked = lines.find_map(|line| line.strip_prefix("error: ").or(line.strip_prefix("E: ")));
    let Some(marked) = marked else {
        return last.trim().to_owned();
    };
    let causes = lines.filter(|line| line.starts_with("  ")).map(str::trim);
    std::iter::once(marked).chain(causes).collect::<Vec<_>>().join(": ")
}

/// The program's name and first arguments: enough to recognise a command whose paths would fill a screen.
fn shown(command: &Command) -> String {
    const ARGUMENTS_SHOWN: usize = 6;
    let program = std::path::Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
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

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn reason_is_the_line_marked_as_an_error() {
        assert_eq!(reason("warning: old\nerror: no member\n\nCaused by:\n  no file\n"), "no member: no file");
        assert_eq!(reason("W: slow\nE: no site\nE: gave up\n"), "no site");
        assert_eq!(reason("one\ntwo\n\n"), "two");
        assert_eq!(reason(""), "it did not say why");
    }
}
