//! Agents that are none: runs as autonomous coding pipelines make them, against a gateway over HTTP in both formats, so that what it
//! routes, slows, holds, refuses and stops can be seen without a key and without an agent. The same seed gives the same runs.
//! They know nothing of the gateway but what any caller knows.

mod call;
mod run;
mod script;

use std::sync::atomic::{AtomicU32, Ordering};

pub use call::{AgentClient, AgentError, Ask, Heard, Word};
pub use run::{Became, RunReport};
pub use script::{Fate, RunScript, TaskScript};

/// Drives so many runs, so many at once, and tells of each when it has ended.
///
/// # Errors
/// When the gateway cannot be reached: what an agent would see as a failure of its provider is one of the things a run can come to.
pub async fn drive(
    client: &AgentClient,
    (seed, runs, at_once): (u64, u32, usize),
    told: impl Fn(&RunReport) + Sync,
) -> Result<Vec<RunReport>, AgentError> {
    let next = AtomicU32::new(0);
    let worker = || async {
        let mut ended = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= runs {
                return Ok::<_, AgentError>(ended);
            }
            let report = run::play(client, &RunScript::of(seed, number)).await?;
            told(&report);
            ended.push((number, report));
        }
    };
    let workers = (0..at_once.clamp(1, MOST_AT_ONCE)).map(|_| worker());
    let mut ended: Vec<_> = try_all(workers).await?.into_iter().flatten().collect();
    ended.sort_by_key(|(number, _)| *number);
    Ok(ended.into_iter().map(|(_, report)| report).collect())
}

/// The most runs at once: each has a connection, and a gateway takes 4,096.
pub const MOST_AT_ONCE: usize = 1_024;

/// Waits for all of them, on this task.
async fn try_all<T, E>(workers: impl Iterator<Item = impl Future<Output = Result<T, E>>>) -> Result<Vec<T>, E> {
    let mut waiting: Vec<_> = workers.map(|worker| (Box::pin(worker), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (worker, done) in &mut waiting {
            if done.is_none() {
                match worker.as_mut().poll(context) {
                    std::task::Poll::Ready(result) => *done = Some(result),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}
