//! Our own lints: what no compiler checks and every file has to keep. Prints one line for each finding.

mod links;
mod paths;
mod size;
mod stubs;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::output;
use crate::tracks;
use crate::workspace::Project;

/// One thing to repair, told as `file:line: what`.
type Finding = String;

/// A text file of the project.
struct Source {
    /// Relative to the project, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    fn has_extension(&self, extensions: &[&str]) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension))
    }

    /// Lines with their numbers as an editor shows them.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

pub(crate) fn check(project: &Project) -> Result<()> {
    let sources = sources(&project.root)?;
    let mut findings = Vec::new();
    findings.extend(sources.iter().flat_map(paths::of_one_machine));
    findings.extend(sources.iter().flat_map(stubs::left_behind));
    findings.extend(sources.iter().flat_map(|source| links::broken(&project.root, source)));
    findings.extend(size::too_long(&project.root, &sources)?);
    findings.extend(tracks::changed(&project.root)?);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings in {} files", findings.len(), sources.len());
    }
    println!("tidy: {} files, nothing found", sources.len());
    Ok(())
}

/// What git knows or would add; a file that is not text is nobody's prose.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let listed = output(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut sources = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A deleted file is still listed until the deletion is committed.
        let Ok(bytes) = std::fs::read(root.join(path)) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}
