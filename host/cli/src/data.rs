//! Where a ledger lies.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tollgate_ledger::book::Budgets;
use tollgate_ledger::store::Sqlite;
use tollgate_ledger::{DATABASE, Ledger, OpenError, Options};

use crate::output;

/// How often a ledger that is in use is tried again, and after how long: a process that was killed has it for some milliseconds more.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(crate) struct DataArguments {
    /// The folder in which the ledger lies.
    #[arg(long, value_name = "FOLDER", global = true, default_value = ".tollgate")]
    data: PathBuf,
}

impl DataArguments {
    /// A folder that is known.
    pub(crate) const fn of(data: PathBuf) -> Self {
        Self { data }
    }

    /// Opens the ledger for writing, or makes one, without budgets: what is recorded is taken in as it was.
    pub(crate) fn open(&self) -> anyhow::Result<Ledger> {
        let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        Ok(Ledger::open(&self.data, Budgets::new(Vec::new())?, Options::default(), now_ms)?)
    }

    /// Brings in what a killed process had written down and not committed; where one is running, it does that by itself. Whether
    /// one is.
    fn bring_in(&self) -> anyhow::Result<bool> {
        for _ in 0..TRIES {
            let Err(error) = self.open() else { return Ok(false) };
            match error.downcast_ref() {
                // It may be at its end.
                Some(OpenError::InUse { .. }) => std::thread::sleep(PAUSE),
                _ => return Err(error),
            }
        }
        output::warn("a running process has this ledger: what it settled in the last moments may be missing");
        Ok(true)
    }

    /// Opens the ledger that is there.
    pub(crate) fn read(&self) -> anyhow::Result<Sqlite> {
        let path = self.data.join(DATABASE);
        if !path.is_file() {
            bail!(
                "there is no ledger in `{}`: `tollgate import` makes one, `--data` names another folder",
                self.data.display()
            );
        }
        let opened = if self.bring_in()? { Sqlite::open_beside(&path) } else { Sqlite::open(&path) };
        opened.with_context(|| format!("`{}`", path.display()))
    }
}
