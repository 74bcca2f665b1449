//! Paths of one machine: they mean nothing to anyone else.

use super::{Finding, Source};

/// First folders of absolute paths that only ever name somebody's own machine.
const FOLDERS: [&str; 5] = ["work", "root", "farm", "home", "Users"];

pub(super) fn of_one_machine(source: &Source) -> Vec<Finding> {
    source
        .lines()
        .filter_map(|(number, line)| {
            let found = machine_path(line)?;
            Some(format!("{}:{number}: `{found}` is a path of one machine", source.path))
        })
        .collect()
}

fn machine_path(line: &str) -> Option<&str> {
    FOLDERS.iter().find_map(|folder| {
        let path = format!("/{folder}/");
        let (start, _) = line.match_indices(&path).find(|(start, _)| !continues_a_name(line, *start))?;
        Some(&line[start..start + path.len()])
    })
}

/// `target/work/` and `../root/` are relative: what stands before the slash belongs to the path.
fn continues_a_name(line: &str, start: usize) -> bool {
    line[..start]
        .chars()
        .next_back()
        .is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '.' | '}' | '-' | '*'))
}

#[cfg(test)]
mod tests {
    use super::machine_path;

    #[test]
    fn absolute_paths_are_found_and_relative_ones_are_not() {
        let absolute = ["/", "work/main"].concat();
        assert!(machine_path(&absolute).is_some());
        assert!(machine_path(&format!("see `{absolute}`")).is_some());
        for relative in ["target/work/main", "../root/x", "homework/", "${DIR}/home/x", "https://a.b/root/x"] {
            assert!(machine_path(relative).is_none(), "{relative}");
        }
    }
}
