//! The one thread that writes to the store: it takes what has gathered, commits it as one group, and tells who waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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

/// The writer is gone; nothing more can be promised.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the ledger cannot be written any more: {reason}")]
pub struct WriterError {
    pub(crate) reason: Arc<str>,
}

#[derive(Debug, Default)]
struct Queue {
    batches: Vec<Batch>,
    /// The last batch that somebody waits for.
    wanted: u64,
    /// How many have come to wait since the last group was taken.
    waiting: usize,
    /// How many waited for that one.
    waited: usize,
    /// So many have to wait before the writer is woken for them.
    wake_at: usize,
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
    done: Condvar,
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
            self.shared.work.notify_one();
            queue = self.shared.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(failed) = &queue.failed {
            return Err(failed.clone());
        }
        queue.batches.push(batch);
        if queue.batches.len() == 1 {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits until that batch is on the disk.
    pub(crate) fn wait(&self, sequence: u64) -> Result<(), WriterError> {
        let mut queue = self.shared.lock();
        if queue.committed < sequence {
            queue.wanted = queue.wanted.max(sequence);
            queue.waiting = queue.waiting.saturating_add(1);
            if queue.waiting >= queue.wake_at {
                self.shared.work.notify_one();
            }
        }
        while queue.committed < sequence {
            if let Some(failed) = &queue.failed {
                return Err(failed.clone());
            }
            queue = self.shared.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut store: impl Store) {
        while let Some(group) = self.next_group() {
            let last = group.last().map_or(0, |batch| batch.sequence);
            let committed = store.commit(&group);
            let mut queue = self.lock();
            match committed {
                Ok(()) => (queue.committed, queue.groups) = (last, queue.groups.saturating_add(1)),
                Err(error) => queue.failed = Some(WriterError { reason: describe(&error).into() }),
            }
            self.done.notify_all();
            self.room.notify_all();
            if queue.failed.is_some() {
                return;
            }
        }
    }

    /// Waits until something is there, lets what nobody waits for gather a little, and takes it.
    fn next_group(&self) -> Option<Vec<Batch>> {
        let mut queue = self.lock();
        loop {
            if queue.batches.is_empty() {
                if queue.closed {
                    return None;
                }
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if queue.wanted <= queue.committed && !queue.closed && queue.batches.len() < GROUP {
                let (again, timeout) = self.work.wait_timeout(queue, GATHER).unwrap_or_else(PoisonError::into_inner);
                queue = again;
                if !timeout.timed_out()
                    && queue.wanted <= queue.committed
                    && queue.batches.len() < GROUP
                    && !queue.closed
                {
                    continue;
                }
            }
            queue = self.company(queue);
            let count = queue.batches.len().min(GROUP);
            (queue.waited, queue.waiting) = (queue.waiting, 0);
            return Some(queue.batches.drain(..count).collect());
        }
    }
}

impl Shared {
    /// Waits a little until three quarters of those wait who waited for the last group.
    fn company<'queue>(&'queue self, mut queue: MutexGuard<'queue, Queue>) -> MutexGuard<'queue, Queue> {
        let enough = queue.waited.saturating_mul(3).div_ceil(4);
        let lonely = |queue: &mut Queue| queue.waiting < enough && !queue.closed && queue.batches.len() < GROUP;
        if queue.wanted > queue.committed && lonely(&mut queue) {
            queue.wake_at = enough;
            let waited = self.work.wait_timeout_while(queue, COMPANY, lonely);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            queue.wake_at = 0;
        }
        queue
    }
}

fn describe(error: &StoreError) -> String {
    error.to_string()
}
