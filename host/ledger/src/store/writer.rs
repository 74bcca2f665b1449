//! The one thread that writes to the store: it takes what has gathered, commits it as one group, and tells who waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Batch, Store, StoreError};

/// Batches that may wait; whoever brings one more waits for room.
const QUEUE: usize = 16_384;
/// The most batches of a group, so that nobody waits for a giant one.
const GROUP: usize = 4_096;
/// How long batches that nobody waits for may gather: the bound on what a power loss takes.
const GATHER: Duration = Duration::from_millis(20);
/// How long those who wait may be kept for others that are about to: as many as waited for the last group mostly come at once
/// when it is done, and two syncs for them would take longer than one.
const COMPANY: Duration = Duration::from_millis(2);
/// How long after a commit that found the disk full the next one is tried.
const FULL: Duration = Duration::from_secs(1);
/// A writer that has nothing to do looks up this often.
const IDLE: Duration = Duration::from_secs(60);

/// The writer is gone or finds no room; nothing more can be promised.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the ledger cannot be written: {reason}")]
pub struct WriterError {
    pub(crate) reason: Arc<str>,
}

impl WriterError {
    fn full() -> Self {
        Self { reason: "the disk is full; it is tried again every second".into() }
    }
}

/// What became of a group: its last batch once it is on the disk. Each group has its own, so that only those wake who wait for it,
/// and none of them needs the queue's lock again.
type Outcome = OnceLock<Result<u64, WriterError>>;

#[derive(Debug, Default)]
struct Queue {
    batches: Vec<Batch>,
    /// The last batch of the group that was taken last.
    taken: u64,
    /// What becomes of that group.
    written: Arc<Outcome>,
    /// What becomes of the one after it.
    gathering: Arc<Outcome>,
    /// The last batch that somebody waits for.
    wanted: u64,
    /// How many have come to wait since the last group was taken.
    waiting: usize,
    /// How many waited for that one.
    waited: usize,
    /// So many have to wait before the writer is woken for them, where it sleeps.
    wake_at: usize,
    sleeps: bool,
    /// How many groups were committed.
    groups: u64,
    committed: u64,
    closed: bool,
    failed: Option<WriterError>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    room: Condvar,
    /// The last commit found no room on the disk, and is tried again; or one failed, and nothing is.
    ails: AtomicBool,
}

/// The writer's handle. Dropping it commits what has gathered.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(store: impl Store + 'static, committed: u64) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { queue: Mutex::new(Queue { committed, ..Queue::default() }), ..Shared::default() });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("ledger-writer".into()).spawn(move || for_thread.run(store))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands a batch over; waits for room where too many wait already.
    pub(crate) fn push(&self, batch: Batch) -> Result<(), WriterError> {
        let mut queue = self.shared.lock();
        while queue.batches.len() >= QUEUE && queue.failed.is_none() {
            if !self.is_well() {
                return Err(WriterError::full());
            }
            self.shared.work.notify_one();
            queue = self.shared.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(failed) = &queue.failed {
            return Err(failed.clone());
        }
        queue.batches.push(batch);
        if queue.sleeps && (queue.batches.len() == 1 || !queue.has_time()) {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits until that batch is on the disk.
    pub(crate) fn wait(&self, sequence: u64) -> Result<(), WriterError> {
        loop {
            let outcome = {
                let mut queue = self.shared.lock();
                if queue.committed >= sequence {
                    return Ok(());
                }
                if let Some(failed) = &queue.failed {
                    return Err(failed.clone());
                }
                queue.outcome_of(sequence, &self.shared.work)
            };
            if outcome.wait().clone()? >= sequence {
                return Ok(());
            }
        }
    }

    /// Whether commits succeed, as far as is known.
    pub(crate) fn is_well(&self) -> bool {
        !self.shared.ails.load(Ordering::Relaxed)
    }

    /// Why nothing new may begin, where commits do not succeed.
    pub(crate) fn check(&self) -> Result<(), WriterError> {
        if self.is_well() {
            return Ok(());
        }
        Err(self.shared.lock().failed.clone().unwrap_or_else(WriterError::full))
    }

    /// Batches that nobody has begun to write.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().batches.len()
    }

    /// How many groups were committed.
    pub(crate) fn groups(&self) -> u64 {
        self.shared.lock().groups
    }

    /// The last batch that is on the disk.
    pub(crate) fn committed(&self) -> u64 {
        self.shared.lock().committed
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Queue {
    /// What will become of the group that a batch is in, or will be in unless that one is full before. Wakes the writer for
    /// the second.
    fn outcome_of(&mut self, sequence: u64, work: &Condvar) -> Arc<Outcome> {
        if sequence <= self.taken {
            return Arc::clone(&self.written);
        }
        self.wanted = self.wanted.max(sequence);
        self.waiting = self.waiting.saturating_add(1);
        if self.sleeps && self.waiting >= self.wake_at {
            work.notify_one();
        }
        Arc::clone(&self.gathering)
    }

    /// Whether more may gather.
    const fn has_time(&self) -> bool {
        !self.closed && self.batches.len() < GROUP
    }

    fn take_group(&mut self) -> Vec<Batch> {
        let count = self.batches.len().min(GROUP);
        let group: Vec<Batch> = self.batches.drain(..count).collect();
        self.taken = group.last().map_or(self.taken, |batch| batch.sequence);
        self.written = std::mem::take(&mut self.gathering);
        (self.waited, self.waiting) = (self.waiting, 0);
        group
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut store: impl Store) {
        while let Some(group) = self.next_group() {
            let last = group.last().map_or(0, |batch| batch.sequence);
            let committed = self.commit(&mut store, &group);
            let failed = committed.is_err();
            self.tell(committed.map(|()| last));
            if failed {
                return;
            }
        }
    }

    /// Commits a group. While there is no room on the disk it is tried again and again, until there is or the ledger is closed:
    /// the journal has all of it meanwhile, and nothing new is begun.
    fn commit(&self, store: &mut impl Store, group: &[Batch]) -> Result<(), WriterError> {
        loop {
            let committed = store.commit(group);
            self.ails.store(committed.is_err(), Ordering::Relaxed);
            match committed {
                Err(error) if error.is_full_disk() => {
                    // Whoever waits for room is told that there will be none, each time: one may have begun to wait since.
                    self.room.notify_all();
                    let queue = self.sleep_while(self.lock(), FULL, |queue| !queue.closed);
                    if queue.closed {
                        return Err(WriterError::full());
                    }
                }
                committed => return committed.map_err(|error| WriterError { reason: describe(&error).into() }),
            }
        }
    }

    /// Tells those who wait what became of the group that was taken last; after a failure also those who wait for the next one.
    fn tell(&self, outcome: Result<u64, WriterError>) {
        let mut queue = self.lock();
        let written = Arc::clone(&queue.written);
        match &outcome {
            Ok(last) => (queue.committed, queue.groups) = (*last, queue.groups.saturating_add(1)),
            Err(error) => {
                queue.failed = Some(error.clone());
                let _ = queue.gathering.set(outcome.clone());
            }
        }
        drop(queue);
        let _ = written.set(outcome);
        self.room.notify_all();
    }

    /// Waits until something is there, lets what nobody waits for gather a little, and takes it.
    fn next_group(&self) -> Option<Vec<Batch>> {
        let nothing = |queue: &mut Queue| queue.batches.is_empty() && !queue.closed;
        let unwanted = |queue: &mut Queue| queue.wanted <= queue.committed && queue.has_time();
        let mut queue = self.lock();
        while nothing(&mut queue) {
            queue = self.sleep_while(queue, IDLE, nothing);
        }
        if queue.batches.is_empty() {
            return None;
        }
        queue = self.sleep_while(queue, GATHER, unwanted);
        if queue.wanted > queue.committed {
            // Three quarters of those who waited for the last group.
            let enough = queue.waited.saturating_mul(3).div_ceil(4);
            queue.wake_at = enough;
            queue = self.sleep_while(queue, COMPANY, |queue| queue.waiting < enough && queue.has_time());
            queue.wake_at = 0;
        }
        Some(queue.take_group())
    }

    /// Lets the writer sleep until it is woken for something else than `reason`, at most so long.
    fn sleep_while<'queue>(
        &'queue self,
        mut queue: MutexGuard<'queue, Queue>,
        longest: Duration,
        reason: impl FnMut(&mut Queue) -> bool,
    ) -> MutexGuard<'queue, Queue> {
        queue.sleeps = true;
        let (mut queue, _) =
            self.work.wait_timeout_while(queue, longest, reason).unwrap_or_else(PoisonError::into_inner);
        queue.sleeps = false;
        queue
    }
}

fn describe(error: &StoreError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full for some commits.
    struct Full {
        times: usize,
    }

    impl Store for Full {
        fn commit(&mut self, _: &[Batch]) -> Result<(), StoreError> {
            let Some(left) = self.times.checked_sub(1) else { return Ok(()) };
            self.times = left;
            let source = std::io::ErrorKind::StorageFull.into();
            Err(StoreError::File { path: "ledger.db".to_owned(), source })
        }

        fn applied(&mut self) -> Result<u64, StoreError> {
            Ok(0)
        }
    }

    #[test]
    fn a_full_disk_is_waited_for_and_what_gathered_is_written() {
        let writer = Writer::start(Full { times: 1 }, 0).unwrap();
        writer.push(Batch { sequence: 1, ..Batch::default() }).unwrap();
        writer.wait(1).unwrap();
        assert!(writer.is_well() && writer.check().is_ok());
        assert_eq!((writer.committed(), writer.groups()), (1, 1));
    }

    #[test]
    fn while_a_disk_is_full_nothing_begins_and_a_ledger_that_is_closed_does_not_wait() {
        let writer = Writer::start(Full { times: usize::MAX }, 0).unwrap();
        writer.push(Batch { sequence: 1, ..Batch::default() }).unwrap();
        while writer.is_well() {
            std::thread::yield_now();
        }
        assert!(writer.check().unwrap_err().to_string().contains("the disk is full"));
        for sequence in 2..=u64::try_from(QUEUE).unwrap() + 1 {
            writer.push(Batch { sequence, ..Batch::default() }).unwrap();
        }
        assert!(writer.push(Batch::default()).is_err(), "what waits is bounded");
        drop(writer);
    }
}
