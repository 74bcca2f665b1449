//! Long trials of the gateway, as its users have it: the `tollgate` program in processes of its own, clients and providers on
//! sockets, the ledger's files read afterwards. The first argument says which:
//!
//! | trial | shows |
//! |---|---|
//! | `kill` | how fast a cut reaches hundreds of open streams, and that nothing follows it |
//! | `soak` | that the ledger has what the provider billed, through every fault, and that memory stays flat |
//! | `crash` | that a process that dies under load loses nothing that was acknowledged |
//! | `bench` | what the gateway adds, beside Envoy and LiteLLM in the same run |
//!
//! Each says what it does as it goes, prints a line for every bound and one of JSON, and exits with whether all bounds held.
//! `$TOLLGATE_BIN` and `$TOLLGATE_PLUGINS` say what is run. It reads `/proc`, so it runs on Linux.
#![expect(clippy::disallowed_methods, reason = "it times others: figures for a person, no decision rests on them")]
#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a long test: what goes wrong ends it, and what it says is printed"
)]

mod bench;
mod crash;
mod kill;
mod process;
mod random;
mod site;
mod soak;
mod upstream;
mod verdict;
mod wire;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let given: Vec<String> = env::args().skip(1).collect();
    let arguments = Arguments(given.get(1..).unwrap_or_default().to_vec());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let verdict = match given.first().map(String::as_str) {
        Some("kill") => runtime.block_on(kill::run(&arguments)),
        Some("soak") => runtime.block_on(soak::run(&arguments)),
        Some("crash") => runtime.block_on(crash::run(&arguments)),
        Some("bench") => bench::run(&arguments),
        other => panic!("`{}` is no trial: say kill, soak, crash or bench", other.unwrap_or_default()),
    };
    verdict.tell()
}

/// `--name value` and `--name`.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn number(&self, name: &str, default: u64) -> u64 {
        self.text(name)
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("`{name} {value}` is no whole number")))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().skip_while(|argument| *argument != name).nth(1).map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }
}
