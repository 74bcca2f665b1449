//! Files too long to be read in one sitting, save those that `xtask/long-files.txt` lists with a reason.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Finding, Source};

const MOST_LINES: usize = 500;

/// One `path: reason` a line; `#` begins a comment.
const EXCEPTIONS: &str = "xtask/long-files.txt";

/// What people write and read as code; data, lock files and prose have no seam to look for.
const CODE: [&str; 12] = ["rs", "wit", "py", "js", "mjs", "ts", "sh", "c", "h", "html", "css", "sql"];

pub(super) fn too_long(root: &Path, sources: &[Source]) -> Result<Vec<Finding>> {
    let text =
        std::fs::read_to_string(root.join(EXCEPTIONS)).with_context(|| format!("could not read `{EXCEPTIONS}`"))?;
    let exceptions = exceptions(&text)?;
    Ok(findings(sources, &exceptions))
}

fn findings(sources: &[Source], exceptions: &[&str]) -> Vec<Finding> {
    let long = |source: &&Source| source.has_extension(&CODE) && source.text.lines().count() > MOST_LINES;
    let mut findings: Vec<Finding> = sources
        .iter()
        .filter(long)
        .filter(|source| !exceptions.contains(&source.path.as_str()))
        .map(|source| {
            let lines = source.text.lines().count();
            format!(
                "{}: {lines} lines; past {MOST_LINES} look for the seam, or give the reason in {EXCEPTIONS}",
                source.path
            )
        })
        .collect();
    for path in exceptions {
        if !sources.iter().filter(long).any(|source| source.path == *path) {
            findings.push(format!("{EXCEPTIONS}: `{path}` is not a long file (any more): remove its line"));
        }
    }
    findings
}

fn exceptions(text: &str) -> Result<Vec<&str>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.split_once(": ")
                .filter(|(_, reason)| !reason.trim().is_empty())
                .map(|(path, _)| path)
                .with_context(|| format!("{EXCEPTIONS}: `{line}` is not `path: reason`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{MOST_LINES, Source, exceptions, findings};

    fn source(path: &str, lines: usize) -> Source {
        Source { path: path.to_owned(), text: "x\n".repeat(lines) }
    }

    #[test]
    fn long_code_needs_a_reason_and_data_does_not() {
        let sources = [source("a.rs", MOST_LINES), source("b.rs", MOST_LINES + 1), source("c.json", MOST_LINES + 1)];
        assert_eq!(findings(&sources, &[]).len(), 1);
        assert!(findings(&sources, &["b.rs"]).is_empty());
    }

    #[test]
    fn exception_without_its_file_or_reason_is_reported() {
        assert_eq!(findings(&[source("a.rs", 3)], &["a.rs"]).len(), 1);
        assert!(exceptions("# comment\n\na.rs: a table\n").is_ok_and(|paths| paths == ["a.rs"]));
        assert!(exceptions("a.rs\n").is_err());
    }
}
