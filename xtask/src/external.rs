//! Suites that need software from outside Rust: client SDKs, proxies, databases. Each is a folder with an executable
//! `tests/external/<name>/run`, which installs what it needs below `$TOLLGATE_EXTERNAL_WORK` and exits 0 when it passed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::run;
use crate::stage::stage;
use crate::test::{build_tested, with_built_paths};
use crate::workspace::Project;

pub(crate) fn test_external(project: &Project) -> Result<()> {
    let suites = suites(&project.root.join("tests/external"))?;
    if suites.is_empty() {
        println!("external suites: there are none yet; one would be an executable `tests/external/<name>/run`");
        return Ok(());
    }
    build_tested(project)?;
    let mut failed = Vec::new();
    for suite in &suites {
        if let Err(error) = run_suite(project, suite) {
            eprintln!("error: {error:#}");
            failed.push(suite.name.as_str());
        }
    }
    println!("external suites: {} of {} passed", suites.len() - failed.len(), suites.len());
    if !failed.is_empty() {
        bail!("external suites failed: {}", failed.join(", "));
    }
    Ok(())
}

struct Suite {
    name: String,
    folder: PathBuf,
}

/// In the order of their names, so that two runs can be compared.
fn suites(folder: &Path) -> Result<Vec<Suite>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut suites = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if !path.join("run").is_file() {
            bail!("`{}` holds no `run`: every folder beside it is an external suite", path.display());
        }
        let name = path.file_name().expect("a listed folder has a name");
        suites.push(Suite { name: name.to_string_lossy().into_owned(), folder: path });
    }
    suites.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(suites)
}

fn run_suite(project: &Project, suite: &Suite) -> Result<()> {
    let work = project.target.join("external").join(&suite.name);
    std::fs::create_dir_all(&work).with_context(|| format!("could not make `{}`", work.display()))?;
    stage(&format!("external suite {}", suite.name), || {
        let mut command = Command::new(suite.folder.join("run"));
        run(with_built_paths(project, &mut command).current_dir(&suite.folder).env("TOLLGATE_EXTERNAL_WORK", &work))
    })
}

#[cfg(test)]
mod tests {
    use super::suites;

    #[test]
    fn suites_are_listed_by_name_and_one_without_run_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(suites(&folder.path().join("absent")).is_ok_and(|found| found.is_empty()));
        for name in ["second", "first"] {
            std::fs::create_dir(folder.path().join(name)).expect("a suite's folder");
            std::fs::write(folder.path().join(name).join("run"), "").expect("a suite's file");
        }
        let names: Vec<String> =
            suites(folder.path()).expect("two complete suites").into_iter().map(|suite| suite.name).collect();
        assert_eq!(names, ["first", "second"]);
        std::fs::create_dir(folder.path().join("third")).expect("a suite's folder");
        assert!(suites(folder.path()).is_err());
    }
}
