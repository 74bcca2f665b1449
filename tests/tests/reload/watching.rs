//! Files that change: renamed into place, written in pieces, broken, mended, touched. No test waits: each look is a call.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_runtime::{Event, Host, Look, Watcher};
use tollgate_tests::{Chain, PolicyEntry, dispatch, guest};

use crate::{number, numbered};

struct Watched {
    host: Arc<Host>,
    watcher: Watcher,
    folder: TempDir,
}

impl Watched {
    fn start(chain: &Chain) -> Self {
        let folder = TempDir::new().expect("a folder");
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).expect("a folder");
        let file = folder.path().join("tollgate.toml");
        fs::write(&file, chain.text()).expect("written");
        fs::copy(guest("numbered"), plugins.join("numbered.wasm")).expect("copied");
        let host = Arc::new(Host::builder().open(&file).expect("it loads"));
        let mut watcher = Watcher::new(&host, &file);
        assert!(matches!(watcher.look(), Look::Quiet), "what runs is not loaded again");
        Self { host, watcher, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tollgate.toml")
    }

    fn plugin(&self) -> PathBuf {
        self.folder.path().join("plugins").join("numbered.wasm")
    }

    /// Looks until nothing is under way: what the looks came to.
    fn looks(&mut self) -> Vec<String> {
        let mut looks = Vec::new();
        loop {
            match self.watcher.look() {
                Look::Quiet => return looks,
                Look::Changing => looks.push("changing".to_owned()),
                Look::Reloaded(generation) => looks.push(format!("reloaded {generation}")),
                Look::Failed(error) => looks.push(format!("failed: {error}")),
                Look::Over => unreachable!("the host is there"),
            }
        }
    }

    fn decides(&self) -> u32 {
        number(&self.host.decide(&dispatch(&self.host)))
    }
}

/// The numbered guests by name, from the plugins folder.
fn by_name(number: u32) -> Chain {
    let policy = |name| PolicyEntry::shipped("numbered").called(name).config(&format!("number = {number}"));
    Chain::new().policy(&policy("first")).policy(&policy("second"))
}

fn rename_into(file: &Path, content: impl AsRef<[u8]>) {
    let part = file.with_extension("part");
    fs::write(&part, content).expect("written");
    fs::rename(&part, file).expect("renamed");
}

/// A custom section at the end makes it another file that does the same.
fn with_section(number: u8) -> Vec<u8> {
    let mut bytes = fs::read(guest("numbered")).expect("built");
    bytes.extend([0, 3, 1, b'n', number]);
    bytes
}

#[test]
fn a_file_that_is_renamed_into_place_is_loaded_once() {
    let mut watched = Watched::start(&by_name(1));
    rename_into(&watched.file(), by_name(2).text());
    assert_eq!(watched.looks(), ["changing", "reloaded 2"]);
    assert_eq!(watched.decides(), 2);
    rename_into(&watched.file(), by_name(2).text());
    assert_eq!(watched.looks(), ["changing"], "the same content in another file");
}

#[test]
fn a_plugin_that_is_replaced_is_loaded() {
    let mut watched = Watched::start(&by_name(1));
    let before = watched.host.status().running.policies[0].digest.clone();
    rename_into(&watched.plugin(), with_section(7));
    assert_eq!(watched.looks(), ["changing", "reloaded 2"]);
    assert_ne!(watched.host.status().running.policies[0].digest, before);
    assert_eq!(watched.decides(), 1);
}

#[test]
fn what_is_still_being_written_is_let_be() {
    let mut watched = Watched::start(&by_name(1));
    let text = by_name(2).text();
    for end in [10, 200, text.len() - 5] {
        fs::write(watched.file(), &text[..end]).expect("written");
        assert!(matches!(watched.watcher.look(), Look::Changing), "up to {end}");
    }
    fs::write(watched.file(), &text).expect("written");
    assert_eq!(watched.looks(), ["changing", "reloaded 2"]);
}

#[test]
fn what_is_broken_is_told_once_and_what_is_mended_is_loaded() {
    let mut watched = Watched::start(&by_name(1));
    let whole = with_section(9);
    fs::write(watched.plugin(), &whole[..whole.len() / 2]).expect("written");
    let looks = watched.looks();
    assert_eq!(looks.len(), 2);
    assert!(looks[1].starts_with("failed: policy `first`: it is damaged"), "{looks:?}");
    assert_eq!(watched.decides(), 1);
    assert!(watched.looks().is_empty(), "it is not tried again");
    fs::write(watched.plugin(), &whole).expect("written");
    assert_eq!(watched.looks(), ["changing", "reloaded 3"]);

    rename_into(&watched.file(), "version = 1\ncolour = 3\n");
    assert!(watched.looks()[1].contains("unknown field `colour`"));
    fs::remove_file(watched.file()).expect("removed");
    assert!(watched.looks()[1].contains("cannot read"));
    assert_eq!(watched.decides(), 1);
    rename_into(&watched.file(), by_name(4).text());
    assert_eq!(watched.looks(), ["changing", "reloaded 4"]);
}

#[test]
fn temporary_files_beside_the_watched_ones_do_not_exist() {
    let mut watched = Watched::start(&by_name(1));
    for name in [".tollgate.toml.swp", "tollgate.toml~", "4913", "#tollgate.toml#", "plugins/.numbered.wasm.part"] {
        fs::write(watched.folder.path().join(name), "half of someth").expect("written");
        assert!(watched.looks().is_empty(), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_is_swapped_is_a_change() {
    let mut watched = Watched::start(&by_name(1));
    let (folder, file) = (watched.folder.path().to_owned(), watched.file());
    for (name, number) in [("one", 1), ("two", 2)] {
        fs::create_dir(folder.join(name)).expect("a folder");
        fs::write(folder.join(name).join("tollgate.toml"), by_name(number).text()).expect("written");
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(folder.join(to).join("tollgate.toml"), folder.join("next")).expect("linked");
        fs::rename(folder.join("next"), &file).expect("renamed");
    };
    link("one");
    assert_eq!(watched.looks(), ["changing"]);
    link("two");
    assert_eq!(watched.looks(), ["changing", "reloaded 2"]);
}

#[test]
fn a_plugin_that_is_named_first_is_watched_from_then_on() {
    let mut watched = Watched::start(&by_name(1));
    rename_into(&watched.file(), by_name(2).text().replace("component = \"numbered\"", "component = \"another\""));
    let looks = watched.looks();
    assert_eq!(looks[..2], ["changing", "changing"], "its files are new");
    assert!(looks[2].contains("no plugin `another`"), "{looks:?}");
    rename_into(&watched.plugin().with_file_name("another.wasm"), with_section(3));
    assert_eq!(watched.looks(), ["changing", "reloaded 3"]);
    assert_eq!(watched.decides(), 2);
}

#[test]
fn after_a_rollback_the_files_are_not_loaded_again() {
    let mut watched = Watched::start(&by_name(1));
    rename_into(&watched.file(), by_name(2).text());
    assert_eq!(watched.looks(), ["changing", "reloaded 2"]);
    watched.host.roll_back("alice").expect("one is kept");
    rename_into(&watched.file(), by_name(2).text());
    assert_eq!(watched.looks(), ["changing"]);
    assert_eq!(watched.decides(), 1);
}

#[test]
fn a_change_between_opening_and_watching_is_seen() {
    let watched = Watched::start(&by_name(1));
    rename_into(&watched.file(), by_name(2).text());
    let mut late = Watcher::new(&watched.host, watched.file());
    assert!(matches!(late.look(), Look::Reloaded(2)));
}

#[test]
fn the_thread_looks_by_itself_and_ends_with_its_host() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("tollgate.toml");
    let quick = |number| numbered(number).text().replace("[limits]", "[reload]\nlook = \"1ms\"\n[limits]");
    fs::write(&file, quick(1)).expect("written");
    let (served, serves) = sync_channel(8);
    let tell = move |event: &Event| {
        if let Event::GenerationServes { generation, .. } = event {
            served.send(*generation).expect("someone waits");
        }
    };
    let host = Arc::new(Host::builder().on_event(tell).open(&file).expect("it loads"));
    let watching = Watcher::new(&host, &file).start().expect("a thread");
    rename_into(&file, quick(2));
    // Only a machine that is stuck takes a minute.
    assert_eq!(serves.recv_timeout(Duration::from_secs(60)), Ok(2));
    drop(host);
    drop(watching);
}

#[test]
fn a_file_beside_that_changes_before_the_first_look_is_not_taken_for_what_runs() {
    let mut watched = Watched::start(&by_name(1));
    let prices = watched.folder.path().join("prices.json");
    for (after, loads) in [("{ }", true), ("{}", false)] {
        fs::write(&prices, "{}").expect("written");
        watched.watcher = Watcher::new(&watched.host, watched.file()).and(&prices);
        fs::write(&prices, after).expect("written");
        let looks = watched.looks();
        assert_eq!(looks.iter().any(|look| look.starts_with("reloaded")), loads, "{after}: {looks:?}");
    }
}
