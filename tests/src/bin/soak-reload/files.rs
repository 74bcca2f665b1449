//! The configuration and the plugins on disk, and how they change.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use tollgate_tests::{Chain, PolicyEntry, guest, plugins_folder};

/// What is done to the files.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// New plugins and a configuration with the next number.
    Good,
    /// A configuration with a mistake.
    Broken(usize),
    /// A policy that no host loads.
    Hostile(usize),
    /// A plugin of which only a part is there.
    HalfWritten,
}

impl Turn {
    pub(crate) const fn of(turn: u64) -> Self {
        let round = (turn / 4) as usize;
        match turn % 4 {
            0 => Self::Good,
            1 => Self::Broken(round),
            2 => Self::Hostile(round),
            _ => Self::HalfWritten,
        }
    }
}

const SHIPPED: [&str; 4] = ["kill-switch", "retry-ceiling", "routing", "budget"];
/// Good reloads from one build of a shipped policy to the next.
const SHIPPED_EVERY: u32 = 4;
const HOSTILE: [&str; 9] = [
    "trap-in-evaluate",
    "hidden-state",
    "trap-in-configure",
    "memory-bomb",
    "wasi-import",
    "million-names",
    "names-without-end",
    "schema-bomb",
    "invalid-verdict",
];

pub(crate) struct Files {
    folder: PathBuf,
    trapping: bool,
    number: u32,
}

impl Files {
    pub(crate) fn create(trapping: bool) -> Self {
        let folder = env::temp_dir().join(format!("tollgate-soak-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut files = Self { folder, trapping, number: 0 };
        for name in SHIPPED {
            files.put_plugin(name, &fs::read(plugins_folder().join(format!("{name}.wasm"))).unwrap());
        }
        files.change(Turn::Good);
        files
    }

    pub(crate) fn remove(self) {
        // What stays behind in the folder for temporary files harms nobody.
        let _ = fs::remove_dir_all(self.folder);
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("tollgate.toml")
    }

    /// What the policies of the last good configuration say.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn change(&mut self, turn: Turn) {
        match turn {
            Turn::Good => {
                self.number += 1;
                self.put_plugin("numbered", &another(&guest("numbered"), self.number));
                // Now and then one of the shipped ones is another build as well. They are ten times as large, and compiling
                // them is most of what a run takes.
                if self.number.is_multiple_of(SHIPPED_EVERY) {
                    let name = SHIPPED[(self.number / SHIPPED_EVERY) as usize % SHIPPED.len()];
                    self.put_plugin(name, &another(&plugins_folder().join(format!("{name}.wasm")), self.number));
                }
                self.put_configuration(&self.chain().text());
            }
            Turn::Broken(round) => {
                let text = self.chain().text();
                self.put_configuration(&match round % 3 {
                    0 => text.replace("version = 1", &format!("version = 1\ncolour = {round}")),
                    1 => text.replace("tier = \"low\"", &format!("tier = \"{round}\"")),
                    _ => text.replace("numbered.wasm", &format!("missing-{round}.wasm")),
                });
            }
            Turn::Hostile(round) => {
                let name = HOSTILE[round % HOSTILE.len()];
                // Another file each time, or it would not be tried again.
                self.put_plugin("hostile", &another(&guest(name), round as u32));
                let hostile = PolicyEntry::file("hostile", &self.plugin("hostile"));
                self.put_configuration(&self.chain().policy(&hostile).text());
            }
            Turn::HalfWritten => {
                let whole = another(&guest("numbered"), u32::MAX - self.number);
                // In place, as a careless copy does it.
                fs::write(self.plugin("numbered"), &whole[..whole.len() / 2]).unwrap();
                self.put_configuration(&self.chain().text());
            }
        }
    }

    fn chain(&self) -> Chain {
        let quick = "deadline = \"10s\"\n[quarantine]\nback_off = \"500ms\"\nback_off_max = \"2s\"\n";
        let mut chain = Chain::new().limit(quick);
        for name in SHIPPED {
            chain = chain.policy(&PolicyEntry::file(name, &self.plugin(name)));
        }
        for name in ["first", "second"] {
            let number = format!("number = {}", self.number);
            chain = chain.policy(&PolicyEntry::file(name, &self.plugin("numbered")).config(&number));
        }
        if self.trapping {
            let trapping = PolicyEntry::guest("trap-in-evaluate").called("trapping");
            chain = chain.policy(&trapping.config("only_marked = true").key("on_error = \"proceed\""));
        }
        chain
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.wasm"))
    }

    fn put_plugin(&self, name: &str, bytes: &[u8]) {
        put(&self.plugin(name), bytes);
    }

    fn put_configuration(&self, text: &str) {
        put(&self.configuration(), text.as_bytes());
    }
}

/// Renamed into place.
fn put(file: &Path, bytes: &[u8]) {
    let part = file.with_extension("part");
    fs::write(&part, bytes).unwrap();
    fs::rename(&part, file).unwrap();
}

/// The same component with a custom section of its own at the end, so that its digest is another.
fn another(file: &Path, number: u32) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(number.to_le_bytes());
    bytes
}
