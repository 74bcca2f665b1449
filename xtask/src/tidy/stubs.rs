//! Work that was left for later: it is done before it is committed, or it is an issue.

use super::{Finding, Source};

/// Split, so that this file does not report itself.
const MARKS: [(&str, &str); 4] = [("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("FIX", "ME")];

pub(super) fn left_behind(source: &Source) -> Vec<Finding> {
    if !source.has_extension(&["rs", "wit", "toml", "md", "py", "js", "ts", "sh", "html", "css", "yml", "yaml"]) {
        return Vec::new();
    }
    source
        .lines()
        .flat_map(|(number, line)| {
            MARKS.iter().filter_map(move |(start, end)| {
                let mark = [*start, *end].concat();
                line.contains(&mark)
                    .then(|| format!("{}:{number}: `{start}{}` left behind", source.path, end.trim_end_matches('(')))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Source, left_behind};

    #[test]
    fn each_mark_is_reported_with_its_line() {
        let source = Source {
            path: "a.rs".to_owned(),
            text: ["fn a() {}\n", "fn b() { to", "do!() }\n// FIX", "ME\n"].concat(),
        };
        let findings = left_behind(&source);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("a.rs:2: "));
        assert!(findings[1].starts_with("a.rs:3: "));
    }
}
