//! Threads that carry the connections of clients. Each has a scheduler of its own, and a connection stays where it was put, with
//! its calls, its streams and the providers' connections behind them: a call that wakes no other processor on its way costs less of
//! both. What a call shares with others lies in the gateway, not here.

use std::cell::Cell;
use std::net::TcpStream as Socket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The threads. They end when this is dropped, and what is on them with them.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    ending: CancellationToken,
}

struct Worker {
    scheduler: Handle,
    connections: Arc<AtomicUsize>,
}

/// A worker wakes so often, whatever there is. Whoever sets a timer that is the first to run down makes the scheduler wake itself for
/// it, by a system call: with one that is always earlier than the timers of a connection, none of those is.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A worker looks at what other threads woke before each task of its own. Hardly anything comes from there but an operator's
/// cut, which must not wait until a busy worker has a moment.
const FROM_OUTSIDE_FIRST: u32 = 1;

/// A worker does so many of the tasks that are awake before it looks at sockets and timers again, where there are so many: hundreds of
/// streams that are cut are told before what their clients do about it takes its turn.
const TASKS_BEFORE_EVENTS: u32 = 512;

thread_local! {
    /// Which worker this thread is; nothing on any other thread.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Workers {
    /// One for each processor.
    pub(crate) fn start() -> io::Result<Self> {
        let ending = CancellationToken::new();
        let workers = (0..Self::count()).map(|number| Worker::start(number, ending.clone()));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, ending })
    }

    /// Does something on each of them, beside what they carry, for as long as they are there.
    pub(crate) fn on_each<F>(&self, task: impl Fn() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        for worker in &self.workers {
            drop(worker.scheduler.spawn(task()));
        }
    }

    /// How many there are.
    pub(crate) fn count() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Which of them runs this: their number for any other thread.
    pub(crate) fn current() -> usize {
        CURRENT.get().unwrap_or_else(Self::count)
    }

    /// Serves a connection on the worker that has the fewest.
    pub(crate) fn carry<F>(
        &self,
        tracker: &TaskTracker,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        let fewest = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let worker = fewest.expect("there is a worker for each processor");
        let place = Place::take(&worker.connections);
        // Its readiness is told to the scheduler that it is made under.
        let socket: Socket = stream.into_std()?;
        let carried = async move {
            // A socket that cannot be watched is closed.
            if let Ok(stream) = TcpStream::from_std(socket) {
                serve(stream).await;
            }
            drop(place);
        };
        tracker.spawn_on(carried, &worker.scheduler);
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

impl Worker {
    fn start(number: usize, ending: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .global_queue_interval(FROM_OUTSIDE_FIRST)
            .event_interval(TASKS_BEFORE_EVENTS)
            .build()?;
        let scheduler = runtime.handle().clone();
        thread::Builder::new().name(format!("gateway-{number}")).spawn(move || {
            CURRENT.set(Some(number));
            runtime.block_on(async { while timeout(HEARTBEAT, ending.cancelled()).await.is_err() {} });
        })?;
        Ok(Self { scheduler, connections: Arc::default() })
    }
}

/// A connection that a worker has.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
