//! Takes decisions down without ever making one wait: one bounded copy into memory that is used again, and a push onto a
//! queue without locks. What the queue has no room for is counted, and said in the files.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use crossbeam_queue::ArrayQueue;
use tollgate_core::{Decision, Dispatch, Symbols};

use super::DecisionId;
use super::context::Context;
use super::files::{Files, OpenError};
use super::form::{Header, Lost, PolicySet, VERSION};
use super::slot::Slot;
use super::writer::{REST, Writer};

/// What a recorder asks the host for, on its own thread.
pub trait Naming: Send + Sync + 'static {
    /// The table of names that the dispatches' symbols are from.
    fn symbols(&self) -> &Symbols;

    /// The policies of a generation; nothing where it is no longer known. Its verdicts are then recorded under the policies'
    /// places.
    fn policies(&self, generation: u64) -> Option<PolicySet>;
}

/// How much is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many decisions can wait to be written; 2,048, a tenth of a second at 20,000 decisions a second. Each takes
    /// one to three kilobytes once it was used.
    pub queue: usize,
    /// A file of so many bytes is followed by the next; 16 MiB, some ten thousand decisions.
    pub file_bytes: u64,
    /// How many files are kept, the earliest are deleted; 64, a gibibyte with the files of the default size.
    pub files: usize,
    /// What the operator says about this recorder: node, environment.
    pub labels: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue: 2_048, file_bytes: 16 << 20, files: 64, labels: BTreeMap::new() }
    }
}

/// What a recorder has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Decisions that are in a file.
    pub written: u64,
    /// Decisions that wait for it.
    pub waiting: u64,
    /// Decisions that will never be.
    pub lost: Lost,
}

/// Takes decisions down. `Send` and `Sync`: share one between all threads that decide. When it is dropped, what waits is
/// written first.
#[derive(Debug)]
pub struct Recorder {
    session: u64,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the deciding threads and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    numbers: AtomicU64,
    free: ArrayQueue<Box<Slot>>,
    full: ArrayQueue<Box<Slot>>,
    taken: AtomicU64,
    ended: AtomicU64,
    written: AtomicU64,
    queue_full: AtomicU64,
    write_failed: AtomicU64,
    stopping: AtomicBool,
    writer: OnceLock<Thread>,
    idle_lock: Mutex<()>,
    idle: Condvar,
}

impl Recorder {
    /// Writes records to a folder, which is made where there is none and has one recorder at a time. `now_ms` (milliseconds
    /// since the Unix epoch) goes into the decisions' names.
    ///
    /// # Errors
    /// When the folder cannot be written, or has a recorder.
    pub fn open(folder: &Path, now_ms: u64, options: Options, naming: impl Naming) -> Result<Self, OpenError> {
        // Two recorders of the same millisecond on two machines differ in the last sixteen bits.
        let session = (now_ms << 16) | (RandomState::new().build_hasher().finish() & 0xffff);
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let header = Header { version: VERSION, program, session, file: 0, labels: options.labels };
        let files = Files::open(folder, header, options.file_bytes, options.files.max(1))?;
        let shared = Arc::new(Shared::new(options.queue.max(1)));
        let writer = Writer::new(Arc::clone(&shared), Box::new(naming), files);
        let thread = thread::Builder::new().name("tollgate-records".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(OpenError::Thread)?;
        // Set once, here.
        let _ = shared.writer.set(thread.thread().clone());
        Ok(Self { session, shared, writer: Some(thread) })
    }

    /// Takes a decision down, and says what it is called. Waits for nothing: where the queue is full, the record is lost and
    /// counted, and the decision has its name all the same.
    pub fn record(&self, dispatch: &Dispatch, decision: &Decision, context: &Context<'_>) -> DecisionId {
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let id = DecisionId { session: self.session, number };
        match self.shared.free.pop() {
            None => {
                self.shared.queue_full.fetch_add(1, Ordering::Relaxed);
                self.shared.wake();
            }
            Some(mut slot) => {
                slot.fill(id, dispatch, decision, context);
                self.shared.push(slot);
            }
        }
        id
    }

    /// What it has done so far.
    #[must_use]
    pub fn status(&self) -> Status {
        let taken = self.shared.taken.load(Ordering::Acquire);
        let ended = self.shared.ended.load(Ordering::Acquire);
        Status {
            written: self.shared.written.load(Ordering::Relaxed),
            waiting: taken.saturating_sub(ended),
            lost: self.shared.lost(),
        }
    }

    /// Waits until everything that was taken down before is in a file or lost. Not for a thread that decides.
    pub fn flush(&self) {
        let taken = self.shared.taken.load(Ordering::Acquire);
        let mut lock = self.shared.idle_lock.lock().unwrap_or_else(PoisonError::into_inner);
        while self.shared.ended.load(Ordering::Acquire) < taken && !self.has_ended() {
            self.shared.wake();
            // Not without an end: a writer that panics tells nobody.
            (lock, _) = self.shared.idle.wait_timeout(lock, REST).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A writer that panicked writes nothing more.
    fn has_ended(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(writer) = self.writer.take() {
            // One that panicked has told so itself.
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn new(queue: usize) -> Self {
        let free = ArrayQueue::new(queue);
        for _ in 0..queue {
            // There is a place for each.
            let _ = free.push(Box::default());
        }
        Self {
            numbers: AtomicU64::new(0),
            free,
            full: ArrayQueue::new(queue),
            taken: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            write_failed: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            writer: OnceLock::new(),
            idle_lock: Mutex::new(()),
            idle: Condvar::new(),
        }
    }

    fn push(&self, slot: Box<Slot>) {
        // As many places as there are slots.
        let _ = self.full.push(slot);
        self.taken.fetch_add(1, Ordering::Release);
        if self.full.len() == self.full.capacity().div_ceil(2) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub(super) fn take(&self) -> Option<Box<Slot>> {
        self.full.pop()
    }

    pub(super) fn give_back(&self, slot: Box<Slot>) {
        // As many places as there are slots.
        let _ = self.free.push(slot);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) -> Lost {
        Lost {
            queue_full: self.queue_full.load(Ordering::Relaxed),
            write_failed: self.write_failed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn lose_written(&self, decisions: u64) {
        self.write_failed.fetch_add(decisions, Ordering::Relaxed);
        self.ended.fetch_add(decisions, Ordering::Release);
    }

    pub(super) fn count_written(&self, decisions: u64) {
        self.written.fetch_add(decisions, Ordering::Relaxed);
        self.ended.fetch_add(decisions, Ordering::Release);
    }

    pub(super) fn tell_idle(&self) {
        let _lock = self.idle_lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.idle.notify_all();
    }
}
