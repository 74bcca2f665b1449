//! Decision records on the command line: where they lie, who writes them, and what is shown of them.

pub(crate) mod explain;
pub(crate) mod facts;
pub(crate) mod log;
pub(crate) mod render;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tollgate_core::{Decision, Dispatch};
use tollgate_gateway::NamesOf;
use tollgate_ledger::records::{Context, Lost, Options, Problem, Recorder};
use tollgate_runtime::Host;

/// Decisions between two times of waiting until they are written; less than the queue holds.
const BETWEEN_FLUSHES: usize = 1_024;

/// Where records are read.
#[derive(Args)]
pub(crate) struct RecordsArguments {
    /// The folder with the decision records.
    #[arg(long, value_name = "FOLDER", default_value = ".tollgate/records")]
    pub(crate) records: PathBuf,
}

/// Records the decisions of a replay. Nobody waits for those, so this waits for the disk rather than lose a record.
pub(crate) struct Recording {
    recorder: Recorder,
    folder: PathBuf,
    since_flush: usize,
}

impl Recording {
    /// Begins to record what a host decides.
    pub(crate) fn open(folder: &Path, host: &Arc<Host>) -> anyhow::Result<Self> {
        let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        // A demonstration or a trace is there to be looked at afterwards, whole.
        let options = Options { files: usize::MAX, queue: 2 * BETWEEN_FLUSHES, ..Options::default() };
        let recorder = Recorder::open(folder, now_ms, options, NamesOf(Arc::clone(host)))?;
        Ok(Self { recorder, folder: folder.to_owned(), since_flush: 0 })
    }

    /// Takes a decision down.
    pub(crate) fn record(&mut self, dispatch: &Dispatch, decision: &Decision, context: &Context<'_>) {
        self.recorder.record(dispatch, decision, context);
        self.since_flush += 1;
        if self.since_flush >= BETWEEN_FLUSHES {
            self.recorder.flush();
            self.since_flush = 0;
        }
    }

    /// Waits until all is written, and says where it is.
    pub(crate) fn finish(self) {
        self.recorder.flush();
        let status = self.recorder.status();
        tell_lost(&status.lost);
        let folder = self.folder.display();
        eprintln!("tollgate: {} decision records are in `{folder}`", status.written);
    }
}

/// Says on standard error that records are missing.
pub(crate) fn tell_lost(lost: &Lost) {
    if lost.all() > 0 {
        eprintln!(
            "tollgate: {} decisions were not recorded: the queue was full for {}, the files could not be written for {}",
            lost.all(),
            lost.queue_full,
            lost.write_failed,
        );
    }
}

/// Says on standard error which file was not read to its end.
pub(crate) fn tell_problem(problem: &Problem) {
    eprintln!("tollgate: {problem}");
}
