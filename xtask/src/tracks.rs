//! Released tracks of the contract: `wit/released/<track>/` is written once and never edited. `CHECKSUMS` beside them
//! holds a SHA-256 for each file, in the form `sha256sum --check` reads.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

const RELEASED: &str = "wit/released";
const CHECKSUMS: &str = "wit/released/CHECKSUMS";

/// File below `wit/released/`, with forward slashes, to its checksum.
type Checksums = BTreeMap<String, String>;

/// One line for each released file that was edited, added or removed.
pub(crate) fn changed(root: &Path) -> Result<Vec<String>> {
    let recorded = recorded(root)?;
    let actual = actual(root)?;
    let mut findings = Vec::new();
    for (file, checksum) in &recorded {
        match actual.get(file) {
            None => findings.push(format!("{RELEASED}/{file}: removed, but the track is released: restore it")),
            Some(now) if now != checksum => {
                findings.push(format!("{RELEASED}/{file}: edited, but the track is released: restore it"));
            }
            Some(_) => {}
        }
    }
    for file in actual.keys().filter(|file| !recorded.contains_key(*file)) {
        findings.push(format!(
            "{RELEASED}/{file}: not in CHECKSUMS: tracks are made by `cargo xtask freeze-track` and never added to"
        ));
    }
    Ok(findings)
}

/// Copies the contract as it is now into a released track and records its checksums.
pub(crate) fn freeze(root: &Path, track: &str) -> Result<()> {
    if !is_track(track) {
        bail!("`{track}` is not a track: give two numbers, such as `0.1`");
    }
    let folder = root.join(RELEASED).join(track);
    if folder.exists() {
        bail!("track `{track}` is released already and never changes: release the next one");
    }
    let findings = changed(root)?;
    if let Some(first) = findings.first() {
        bail!("released tracks are not as recorded: {first}");
    }
    let files = contract_files(root)?;
    // Moved into place whole: a half-copied track would count as released.
    let unfinished = root.join(RELEASED).join(format!(".{track}"));
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    std::fs::create_dir_all(&unfinished)?;
    for file in &files {
        std::fs::copy(root.join("wit").join(file), unfinished.join(file))?;
    }
    std::fs::rename(&unfinished, &folder)?;
    record(root, &actual(root)?)?;
    println!("released track {track}: {} files", files.len());
    Ok(())
}

fn is_track(text: &str) -> bool {
    let numbers: Vec<&str> = text.split('.').collect();
    let is_number = |number: &&str| {
        !number.is_empty()
            && number.chars().all(|digit| digit.is_ascii_digit())
            && (number.len() == 1 || !number.starts_with('0'))
    };
    numbers.len() == 2 && numbers.iter().all(is_number)
}

fn contract_files(root: &Path) -> Result<Vec<String>> {
    let mut files = names(&root.join("wit"))?;
    files.retain(|name| name.ends_with(".wit"));
    if files.is_empty() {
        bail!("there is no `.wit` file in `wit/`");
    }
    Ok(files)
}

fn actual(root: &Path) -> Result<Checksums> {
    let released = root.join(RELEASED);
    let mut checksums = Checksums::new();
    for track in names(&released)? {
        let folder = released.join(&track);
        if !folder.is_dir() || track.starts_with('.') {
            continue;
        }
        for file in names(&folder)? {
            let path = folder.join(&file);
            let bytes =
                std::fs::read(&path).with_context(|| format!("`{}`: a track holds files only", path.display()))?;
            checksums.insert(format!("{track}/{file}"), sha256(&bytes));
        }
    }
    Ok(checksums)
}

fn recorded(root: &Path) -> Result<Checksums> {
    let text =
        std::fs::read_to_string(root.join(CHECKSUMS)).with_context(|| format!("could not read `{CHECKSUMS}`"))?;
    text.lines()
        .map(|line| {
            let (checksum, file) = line
                .split_once("  ")
                .with_context(|| format!("{CHECKSUMS}: `{line}` is not a checksum, two spaces and a file"))?;
            Ok((file.to_owned(), checksum.to_owned()))
        })
        .collect()
}

fn record(root: &Path, checksums: &Checksums) -> Result<()> {
    let text: String = checksums.iter().map(|(file, checksum)| format!("{checksum}  {file}\n")).collect();
    std::fs::write(root.join(CHECKSUMS), text).with_context(|| format!("could not write `{CHECKSUMS}`"))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("could not list `{}`", folder.display()))?;
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{changed, freeze, is_track};

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("wit/released")).expect("its folders");
        write(folder.path(), "wit/released/CHECKSUMS", "");
        write(folder.path(), "wit/types.wit", "interface types {}");
        write(folder.path(), "wit/budget.wit", "interface budget {}");
        folder
    }

    fn write(root: &Path, file: &str, text: &str) {
        std::fs::write(root.join(file), text).expect("a file of the project");
    }

    #[test]
    fn contract_may_change_after_its_release_and_the_released_copy_may_not() {
        let project = project();
        let root = project.path();
        freeze(root, "0.1").expect("the first release");
        write(root, "wit/types.wit", "interface types { type symbol = u32; }");
        assert_eq!(changed(root).expect("readable"), Vec::<String>::new());
        write(root, "wit/released/0.1/types.wit", "interface types { }");
        let findings = changed(root).expect("readable");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("wit/released/0.1/types.wit: edited"));
    }

    #[test]
    fn files_added_to_or_removed_from_a_released_track_are_named() {
        let project = project();
        let root = project.path();
        freeze(root, "0.1").expect("the first release");
        std::fs::remove_file(root.join("wit/released/0.1/budget.wit")).expect("removed");
        write(root, "wit/released/0.1/extra.wit", "");
        let findings = changed(root).expect("readable");
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("wit/released/0.1/budget.wit: removed"));
        assert!(findings[1].starts_with("wit/released/0.1/extra.wit: not in CHECKSUMS"));
    }

    #[test]
    fn track_is_released_once() {
        let project = project();
        freeze(project.path(), "0.1").expect("the first release");
        assert!(freeze(project.path(), "0.1").is_err());
        freeze(project.path(), "0.2").expect("the next track");
        assert_eq!(changed(project.path()).expect("readable"), Vec::<String>::new());
    }

    #[test]
    fn track_is_two_plain_numbers() {
        for track in ["0.1", "1.0", "12.34"] {
            assert!(is_track(track), "{track}");
        }
        for track in ["", "1", "0.1.2", "0.x", "../x", "0.01", "."] {
            assert!(!is_track(track), "{track}");
        }
    }
}
