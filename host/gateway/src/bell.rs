//! The bell that says that the switches have changed.
//!
//! A cut reaches hundreds of streams at once. Each worker is woken once for all that it carries, and wakes those itself: to wake
//! another thread for each of them takes a system call each time, on processors that the streams want. It wakes them in turns, so that
//! the first have told their clients when the last begin to look for words.

use std::array;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::workers::Workers;

/// Rung by whoever has changed the switches.
pub(crate) struct Bell {
    /// How often.
    rings: AtomicU64,
    rung: watch::Sender<()>,
    workers: Vec<Turns>,
}

/// So many turns a worker takes to wake all that it carries.
const TURNS: usize = 8;

/// Those on one worker that listen, by the turn in which they are woken.
struct Turns {
    turns: [watch::Sender<()>; TURNS],
    next: AtomicUsize,
    /// How many rings all of them have heard.
    heard: watch::Sender<u64>,
}

/// A worker that is stuck keeps no operator waiting for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long closing the upstreams of those that are cut is put off. It takes the processors as long as telling hundreds of clients does,
/// and no client waits for it.
pub(crate) const TELLING: Duration = Duration::from_millis(10);

/// Earlier than all timers of the streams that are cut. Whoever sets a timer that runs down before those the scheduler has taken note of
/// wakes it, by a system call; with this one before them, only the few do that come before it has looked.
const FIRST_TIMER: Duration = TELLING.checked_div(2).expect("half of it");

impl Bell {
    pub(crate) fn new() -> Self {
        let turns = || Turns {
            turns: array::from_fn(|_| watch::Sender::new(())),
            next: AtomicUsize::new(0),
            heard: watch::Sender::new(0),
        };
        let workers = (0..Workers::count()).map(|_| turns()).collect();
        Self { rings: AtomicU64::new(0), rung: watch::Sender::new(()), workers }
    }

    /// Tells everybody.
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Release);
        self.rung.send_replace(());
    }

    /// Hears what is rung from now on.
    pub(crate) fn listen(&self) -> Listener<'_> {
        let woken = match self.workers.get(Workers::current()) {
            Some(Turns { turns, next, .. }) => turns[next.fetch_add(1, Ordering::Relaxed) % TURNS].subscribe(),
            None => self.rung.subscribe(),
        };
        Listener { bell: self, heard: self.rings.load(Ordering::Acquire), woken }
    }

    /// Waits until all that the workers carry has heard what was rung so far: what they found then is not undone by what comes next.
    pub(crate) async fn heard(&self) {
        let rings = self.rings.load(Ordering::Acquire);
        let all = async {
            for Turns { heard, .. } in &self.workers {
                let mut hearing = heard.subscribe();
                let _ = hearing.wait_for(|heard| *heard >= rings).await;
            }
        };
        let _ = timeout(PATIENCE, all).await;
    }

    /// Passes it on to what the worker carries that this runs on, for as long as the bell is there.
    pub(crate) fn pass_on(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let mut rung = self.rung.subscribe();
        async move {
            let Some(Turns { turns, heard, .. }) = self.workers.get(Workers::current()) else { return };
            while rung.changed().await.is_ok() {
                let mut first = pin!(sleep(FIRST_TIMER));
                let _ = poll_fn(|context| Poll::Ready(first.as_mut().poll(context))).await;
                let rings = self.rings.load(Ordering::Acquire);
                for turn in turns.iter().filter(|turn| turn.receiver_count() > 0) {
                    turn.send_replace(());
                    behind_those_woken().await;
                }
                heard.send_replace(rings);
                tokio::select! {
                    () = first => {}
                    _ = rung.changed() => rung.mark_changed(),
                }
            }
        }
    }
}

/// Lets those go first that are awake on this worker. Unlike tokio's own yielding it lets in nobody else.
async fn behind_those_woken() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Somebody who listens.
pub(crate) struct Listener<'a> {
    bell: &'a Bell,
    heard: u64,
    woken: watch::Receiver<()>,
}

impl Listener<'_> {
    /// Waits until it is rung, and perhaps not quite so long. Whoever is awake for another reason need not be woken to hear of it.
    pub(crate) async fn rung(&mut self) {
        let mut woken = pin!(self.woken.changed());
        poll_fn(|context| {
            let rings = self.bell.rings.load(Ordering::Acquire);
            if std::mem::replace(&mut self.heard, rings) != rings {
                Poll::Ready(())
            } else {
                woken.as_mut().poll(context).map(drop)
            }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn all_that_the_workers_carry_hear_each_ring() {
        let (bell, workers) = (Arc::new(Bell::new()), Workers::start().unwrap());
        workers.on_each(|| Arc::clone(&bell).pass_on());
        let (telling, mut told) = mpsc::unbounded_channel();
        // More than one in each turn.
        let listeners = 2 * TURNS + 1;
        for number in 0..listeners {
            workers.on_each(|| {
                let (bell, telling) = (Arc::clone(&bell), telling.clone());
                async move {
                    let mut listener = bell.listen();
                    loop {
                        let _ = telling.send(((Workers::current(), number), listener.heard));
                        listener.rung().await;
                    }
                }
            });
        }
        let mut last = HashMap::new();
        while last.len() < listeners * Workers::count() {
            let (who, heard) = timeout(SOON, told.recv()).await.expect("all of them listen").unwrap();
            last.insert(who, heard);
        }
        for rings in 1..4 {
            // The second one comes while the worker still has the first one's timer.
            bell.ring();
            bell.heard().await;
            while let Ok((who, heard)) = told.try_recv() {
                last.insert(who, heard);
            }
            assert!(last.values().all(|heard| *heard == rings), "{rings}: {last:?}");
        }
    }

    #[tokio::test]
    async fn who_is_on_no_worker_hears_it_as_well_and_who_is_awake_without_being_woken() {
        let bell = Bell::new();
        let (mut woken, mut awake) = (bell.listen(), bell.listen());
        let ringing = async {
            tokio::task::yield_now().await;
            bell.ring();
            awake.rung().await;
        };
        timeout(SOON, async { tokio::join!(woken.rung(), ringing) }).await.expect("both hear it");
        let mut later = bell.listen();
        assert!(timeout(Duration::from_millis(1), later.rung()).await.is_err(), "what was rung before is over");
    }
}
