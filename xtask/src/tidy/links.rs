//! Relative links in Markdown files: each must lead to a file of this project.

use std::path::{Component, Path, PathBuf};

use super::{Finding, Source};

pub(super) fn broken(root: &Path, source: &Source) -> Vec<Finding> {
    if !source.has_extension(&["md"]) {
        return Vec::new();
    }
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    links(source)
        .into_iter()
        .filter(|(_, target)| !leads_somewhere(root, folder, target))
        .map(|(number, target)| format!("{}:{number}: `{target}` leads nowhere", source.path))
        .collect()
}

/// The targets of relative links outside code, with their lines.
fn links(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (number, line) in source.lines() {
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with("~~~") {
            in_fence = !in_fence;
            continue;
        }
        if in_fence {
            continue;
        }
        let prose = without_code(line);
        let targets = targets(&prose).into_iter();
        found.extend(targets.filter(|target| is_relative(target)).map(|target| (number, target.to_owned())));
    }
    found
}

/// What stands between backticks is quoted, not linked.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Inline links `[text](target)` and definitions `[label]: target`.
fn targets(line: &str) -> Vec<&str> {
    let mut targets: Vec<&str> = line
        .match_indices("](")
        .filter_map(|(start, opening)| line[start + opening.len()..].split_once(')'))
        .map(|(target, _)| without_title(target))
        .collect();
    if let Some((label, target)) = line.split_once("]: ")
        && label.starts_with('[')
        && !label.starts_with("[^")
    {
        targets.push(without_title(target));
    }
    targets
}

fn without_title(target: &str) -> &str {
    let target = target.trim();
    let target = target.split_once(" \"").map_or(target, |(target, _)| target);
    target.trim_start_matches('<').trim_end_matches('>')
}

fn is_relative(target: &str) -> bool {
    let scheme = target
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|letter| letter.is_ascii_alphanumeric()));
    !target.is_empty() && !target.starts_with('#') && !scheme
}

fn leads_somewhere(root: &Path, folder: &Path, target: &str) -> bool {
    let path = target.split(['#', '?']).next().unwrap_or(target);
    inside(&folder.join(path)).is_some_and(|path| root.join(path).exists())
}

/// The path without `.` and `..`; `None` when it leaves the project.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Source, broken, inside, links};

    fn page(text: &str) -> Source {
        Source { path: "docs/page.md".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn relative_links_are_found_outside_code_only() {
        let source = page(
            "[a](one.md) and [b](two.md#part \"title\")\n\
             [web](https://example.org) [here](#part) [mail](mailto:a@b.c)\n\
             `[c](three.md)` and [`d`](four.md)\n\
             ```\n[e](five.md)\n```\n\
             [label]: six.md\n",
        );
        let targets: Vec<String> = links(&source).into_iter().map(|(_, target)| target).collect();
        assert_eq!(targets, ["one.md", "two.md#part", "four.md", "six.md"]);
    }

    #[test]
    fn link_to_a_missing_file_or_out_of_the_project_is_broken() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("docs")).expect("a folder in it");
        std::fs::write(folder.path().join("there.md"), "").expect("a file in it");
        let source = page("[a](../there.md#x)\n[b](gone.md)\n[c](../../shared/there.md)\n");
        let findings = broken(folder.path(), &source);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("docs/page.md:2: "));
    }

    #[test]
    fn parents_are_resolved_without_the_file_system() {
        assert_eq!(inside(Path::new("a/../b/./c")).as_deref(), Some(Path::new("b/c")));
        assert_eq!(inside(Path::new("a/../../c")), None);
    }
}
