//! Looking at decisions again, off the hot path: one thread, a bounded queue that never blocks a decision, and a count of
//! what the queue had no room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use quanta::Clock;
use tollgate_core::{Decision, Dispatch, SwitchBoard, Symbols};

use crate::candidate::Trial;
use crate::generation::Generation;
use crate::live::Live;
use crate::purity;

/// Samples that wait. More would be old by the time they are looked at.
const QUEUE: usize = 256;

/// A decision that is looked at again, with everything it rested on.
pub(crate) struct Sample {
    pub(crate) generation: Arc<Generation>,
    pub(crate) dispatch: Dispatch,
    pub(crate) switches: Arc<SwitchBoard>,
    pub(crate) decision: Decision,
}

enum Job {
    Purity(Box<Sample>),
    Compare(Box<Sample>, Arc<Trial>),
    /// Answered once everything before it is done.
    Barrier(SyncSender<()>),
}

/// The thread and its queue.
pub(crate) struct Observer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    checked: AtomicU64,
    lost: AtomicU64,
}

/// How the purity check fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PurityStatus {
    /// Decisions that were made again.
    pub checked: u64,
    /// Samples that the queue had no room for.
    pub lost: u64,
}

impl Observer {
    pub(crate) fn start(live: Arc<Live>, symbols: Arc<Symbols>, clock: Clock) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let own = Arc::clone(&counts);
        let work = move || run(&jobs, &live, &symbols, &clock, &own);
        let thread = thread::Builder::new().name("tollgate-observe".to_owned()).spawn(work)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), counts })
    }

    pub(crate) fn check_purity(&self, sample: Box<Sample>) {
        if self.offer(Job::Purity(sample)).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn compare(&self, sample: Box<Sample>, trial: Arc<Trial>) {
        if let Err(TrySendError::Full(Job::Compare(_, trial)) | TrySendError::Disconnected(Job::Compare(_, trial))) =
            self.offer(Job::Compare(sample, trial))
        {
            trial.lose();
        }
    }

    fn offer(&self, job: Job) -> Result<(), TrySendError<Job>> {
        self.queue.as_ref().map_or(Ok(()), |queue| queue.try_send(job))
    }

    /// Waits until every sample so far was looked at.
    pub(crate) fn catch_up(&self) {
        let (answer, answered) = sync_channel(1);
        if let Some(queue) = &self.queue
            && queue.send(Job::Barrier(answer)).is_ok()
        {
            // A thread that is gone has nothing left to look at.
            let _ = answered.recv();
        }
    }

    pub(crate) fn status(&self) -> PurityStatus {
        let counts = &self.counts;
        PurityStatus { checked: counts.checked.load(Ordering::Relaxed), lost: counts.lost.load(Ordering::Relaxed) }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            // A listener on that thread may hold the last host.
            && thread.thread().id() != thread::current().id()
        {
            // One that panicked has nothing left to look at.
            let _ = thread.join();
        }
    }
}

fn run(jobs: &Receiver<Job>, live: &Live, symbols: &Symbols, clock: &Clock, counts: &Counts) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Purity(sample) => {
                purity::check(&sample, live);
                counts.checked.fetch_add(1, Ordering::Relaxed);
            }
            Job::Compare(sample, trial) => {
                let ending = trial.compare(&sample, symbols, clock);
                // The sample holds the generation that may now go.
                drop(sample);
                if let Some(ending) = ending {
                    live.end_trial(&trial, ending);
                }
            }
            Job::Barrier(answer) => {
                let _ = answer.send(());
            }
        }
    }
}
