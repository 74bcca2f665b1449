//! `tollgate init`: a configuration for real traffic to begin with, in which policies look on.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use crate::output;

/// What is written.
const CONFIGURATION: &str = include_str!("../init.toml");

#[derive(Args)]
pub(crate) struct InitArguments {
    /// Where to; what is there is never written over.
    #[arg(value_name = "FILE", default_value = "tollgate.toml")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &InitArguments) -> anyhow::Result<()> {
    let file = arguments.file.display();
    let mut written = match OpenOptions::new().write(true).create_new(true).open(&arguments.file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{file}` is there already, and is not written over: give another name")
        }
        opened => opened.with_context(|| format!("cannot write `{file}`"))?,
    };
    written.write_all(CONFIGURATION.as_bytes()).with_context(|| format!("cannot write `{file}`"))?;
    if arguments.json {
        return output::print_json(&json!({ "file": arguments.file }));
    }
    output::print(&format!(
        "`{file}` is written: every policy in it is in shadow, and it says how to go live\n\n  \
         tollgate serve --check --config {file}\n  tollgate serve --config {file}\n"
    ))
}

#[cfg(test)]
mod tests {
    use tollgate_core::config::{PolicyMode, Review};

    use super::*;

    #[test]
    fn what_is_written_has_no_mistake_and_every_policy_in_shadow() {
        let review = Review::of(CONFIGURATION);
        assert_eq!(review.mistakes, []);
        let policies = review.configuration.map(|configuration| configuration.policies).unwrap_or_default();
        assert_eq!(policies.len(), 4);
        assert!(policies.iter().all(|policy| policy.mode == PolicyMode::Shadow));
    }

    #[test]
    fn what_is_commented_out_can_be_commented_in() {
        let is_key = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        };
        let all: Vec<_> = CONFIGURATION
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(inside) if is_key(line) => inside,
                _ => line,
            })
            .collect();
        let told: Vec<_> = Review::of(&all.join("\n")).mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "only the model of the rack is not there: {told:#?}");
        assert!(told[0].contains("qwen3-coder"), "{told:#?}");
    }
}
