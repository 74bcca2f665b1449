//! The rules themselves, as one pure function: an edge goes in, the rule it breaks comes out.

use std::fmt;

/// A part of the project, known by its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Core,
    Runtime,
    Ledger,
    Gateway,
    Cli,
    Sdk,
    /// A shipped policy.
    Plugin,
    /// A guest of the tests, hostile or not.
    TestGuest,
    Tests,
    Benches,
    /// The comparison with other engines, and what it is made of.
    Peers,
    Xtask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Normal or build: it is in what ships, or decides what does.
    Shipped,
    Development,
}

/// One declared dependency.
pub(super) struct Edge {
    pub(super) from_name: String,
    pub(super) from: Part,
    pub(super) to_name: String,
    /// `None` for a crate that is not ours.
    pub(super) to: Option<Part>,
    pub(super) kind: Kind,
}

/// Crates that speak HTTP, by the start of their names.
const HTTP: [&str; 10] = ["http", "hyper", "axum", "tower", "reqwest", "h2", "ureq", "tonic", "actix", "warp"];

/// What would give `core` I/O, a scheduler or a sandbox.
const IMPURE: [&str; 5] = ["tokio", "wasmtime", "rusqlite", "async-std", "mio"];

impl Part {
    /// `folder` is relative to the project, with forward slashes.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        let mut names = folder.split('/');
        Some(match (names.next()?, names.next(), names.next()) {
            ("host", Some("core"), None) => Self::Core,
            ("host", Some("runtime"), None) => Self::Runtime,
            ("host", Some("ledger"), None) => Self::Ledger,
            ("host", Some("gateway"), None) => Self::Gateway,
            ("host", Some("cli"), None) => Self::Cli,
            ("sdk", Some(_), None) => Self::Sdk,
            ("plugins", Some(_), None) => Self::Plugin,
            ("tests", Some("guests"), Some(_)) => Self::TestGuest,
            ("tests", None, None) => Self::Tests,
            ("benches", None, None) => Self::Benches,
            ("benches", Some("peers"), _) => Self::Peers,
            ("xtask", None, None) => Self::Xtask,
            _ => return None,
        })
    }

    /// The parts that this one may be built on.
    fn may_use(self) -> &'static [Self] {
        match self {
            Self::Core | Self::Xtask => &[],
            Self::Runtime | Self::Ledger => &[Self::Core],
            Self::Gateway => &[Self::Runtime, Self::Ledger, Self::Core],
            Self::Cli => &[Self::Gateway, Self::Runtime, Self::Ledger, Self::Core],
            // A macro crate of the SDK is the SDK, too.
            Self::Sdk | Self::Plugin => &[Self::Sdk],
            // Hostile guests share what is hostile in the same way.
            Self::TestGuest => &[Self::Sdk, Self::TestGuest],
            Self::Peers => &[Self::Core, Self::Runtime, Self::Peers],
            Self::Tests | Self::Benches => {
                &[Self::Core, Self::Runtime, Self::Ledger, Self::Gateway, Self::Cli, Self::Sdk, Self::Tests]
            }
        }
    }

    fn measures_or_tests(self) -> bool {
        matches!(self, Self::Tests | Self::Benches | Self::Peers)
    }
}

impl Kind {
    pub(super) fn from_cargo(word: Option<&str>) -> Self {
        match word {
            Some("dev") => Self::Development,
            _ => Self::Shipped,
        }
    }
}

impl Edge {
    /// What this dependency breaks, in one line; `None` when it is allowed.
    pub(super) fn broken_rule(&self) -> Option<&'static str> {
        match self.to {
            Some(to) => self.rule_between_parts(to),
            None => self.rule_for_outsiders(),
        }
    }

    fn rule_between_parts(&self, to: Part) -> Option<&'static str> {
        let test_code_may = self.kind == Kind::Development && to == Part::Tests;
        if test_code_may || self.from.may_use().contains(&to) {
            return None;
        }
        Some(match (self.from, to) {
            (Part::Xtask, _) => "xtask is built first on a fresh machine, so it uses none of our crates",
            (_, Part::Tests | Part::Benches | Part::Peers | Part::Xtask) => {
                "nothing depends on tests, benches or xtask"
            }
            (Part::Runtime, Part::Ledger) | (Part::Ledger, Part::Runtime) => {
                "runtime and ledger do not know each other: what both need belongs to core"
            }
            (Part::Core, _) => "core depends on nothing of ours",
            (Part::Sdk, _) => "the SDK depends on nothing of ours: it reads wit/",
            (Part::Plugin | Part::TestGuest, _) => "a guest knows the SDK and nothing else of ours",
            _ => "allowed are cli → gateway → { runtime, ledger } → core and plugins → sdk",
        })
    }

    fn rule_for_outsiders(&self) -> Option<&'static str> {
        if self.from == Part::Core && starts_with_any(&self.to_name, &IMPURE) {
            return Some("core is pure: no I/O, no async, no wasm");
        }
        if self.to_name.starts_with("wasmtime") && self.from != Part::Runtime && !self.from.measures_or_tests() {
            return Some("only runtime knows wasmtime");
        }
        if starts_with_any(&self.to_name, &HTTP) && self.from != Part::Gateway && !self.from.measures_or_tests() {
            return Some("only gateway knows HTTP");
        }
        None
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Shipped => "",
            Kind::Development => " (dev)",
        };
        write!(out, "`{}` → `{}`{kind}", self.from_name, self.to_name)
    }
}

fn starts_with_any(name: &str, starts: &[&str]) -> bool {
    starts
        .iter()
        .any(|start| name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_'])))
}

#[cfg(test)]
mod tests {
    use super::{Edge, Kind, Part};
    use Kind::{Development, Shipped};

    fn rule(from: Part, to_name: &str, to: Option<Part>, kind: Kind) -> Option<&'static str> {
        let edge = Edge { from_name: "a".to_owned(), from, to_name: to_name.to_owned(), to, kind };
        edge.broken_rule()
    }

    #[test]
    fn edges_of_the_design_are_allowed() {
        let allowed = [
            (Part::Cli, Part::Gateway),
            (Part::Cli, Part::Runtime),
            (Part::Cli, Part::Ledger),
            (Part::Cli, Part::Core),
            (Part::Gateway, Part::Runtime),
            (Part::Gateway, Part::Ledger),
            (Part::Gateway, Part::Core),
            (Part::Runtime, Part::Core),
            (Part::Ledger, Part::Core),
            (Part::Plugin, Part::Sdk),
            (Part::TestGuest, Part::Sdk),
            (Part::Tests, Part::Cli),
            (Part::Benches, Part::Runtime),
            (Part::Benches, Part::Tests),
        ];
        for (from, to) in allowed {
            assert_eq!(rule(from, "b", Some(to), Shipped), None, "{from:?} → {to:?}");
        }
    }

    #[test]
    fn every_other_edge_between_parts_is_forbidden() {
        let forbidden = [
            (Part::Runtime, Part::Ledger),
            (Part::Ledger, Part::Runtime),
            (Part::Core, Part::Runtime),
            (Part::Gateway, Part::Cli),
            (Part::Sdk, Part::Core),
            (Part::Plugin, Part::Core),
            (Part::Plugin, Part::Plugin),
            (Part::Runtime, Part::Sdk),
            (Part::Xtask, Part::Core),
            (Part::Cli, Part::Xtask),
            (Part::Core, Part::Tests),
            (Part::Tests, Part::Benches),
        ];
        for (from, to) in forbidden {
            assert!(rule(from, "b", Some(to), Shipped).is_some(), "{from:?} → {to:?}");
        }
    }

    #[test]
    fn test_code_may_use_the_tests_package_and_no_further_edge() {
        assert_eq!(rule(Part::Core, "b", Some(Part::Tests), Development), None);
        assert!(rule(Part::Core, "b", Some(Part::Runtime), Development).is_some());
        assert!(rule(Part::Core, "b", Some(Part::Xtask), Development).is_some());
    }

    #[test]
    fn outside_crates_stay_behind_the_part_that_owns_them() {
        let cases = [
            (Part::Runtime, "wasmtime", true),
            (Part::Runtime, "wasmtime-environ", true),
            (Part::Benches, "wasmtime", true),
            (Part::Cli, "wasmtime", false),
            (Part::Xtask, "wasmtime", false),
            (Part::Gateway, "hyper", true),
            (Part::Gateway, "tower-http", true),
            (Part::Cli, "hyper-util", false),
            (Part::Cli, "http-body-util", false),
            (Part::Cli, "tokio", true),
            (Part::Runtime, "reqwest", false),
            (Part::Tests, "reqwest", true),
            (Part::Core, "tokio", false),
            (Part::Core, "tokio-util", false),
            (Part::Core, "rusqlite", false),
            (Part::Core, "wasmtime", false),
            (Part::Core, "serde", true),
            (Part::Ledger, "rusqlite", true),
            // Only a whole word of the name counts.
            (Part::Core, "miow", true),
            (Part::Cli, "h2o", true),
        ];
        for (from, name, allowed) in cases {
            assert_eq!(rule(from, name, None, Shipped).is_none(), allowed, "{from:?} → {name}");
        }
    }

    #[test]
    fn folders_are_known_or_have_no_rule() {
        assert_eq!(Part::of_folder("host/core"), Some(Part::Core));
        assert_eq!(Part::of_folder("sdk/rust"), Some(Part::Sdk));
        assert_eq!(Part::of_folder("tests"), Some(Part::Tests));
        assert_eq!(Part::of_folder("tests/guests/endless-loop"), Some(Part::TestGuest));
        assert_eq!(Part::of_folder("host/other"), None);
        assert_eq!(Part::of_folder(""), None);
    }
}
