//! A call that its caller waits for. Where the caller leaves, it goes on as a task of its own, so that it is settled; as long as
//! the caller is there it needs none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub(crate) struct Carried<T: Send + 'static> {
    /// Nothing once it has ended.
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    tasks: TaskTracker,
}

impl<T: Send + 'static> Carried<T> {
    /// Counted among the tasks until it has ended, wherever it does.
    pub(crate) fn new(tasks: &TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(tasks.track_future(work))), tasks: tasks.clone() }
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    /// An error where it panicked: that is the call's end, not the connection's.
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.work.as_mut().expect("it is not asked again after its end");
        let polled = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(panic) => Err(panic),
        };
        self.work = None;
        Poll::Ready(polled)
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        // Without a scheduler the process is ending, and what was sent counts in full until it is settled.
        if let Some(work) = self.work.take()
            && Handle::try_current().is_ok()
        {
            self.tasks.spawn(async move { _ = work.await });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_is_left_goes_on_and_a_panic_is_an_end() {
        let (tasks, go, gone) = (TaskTracker::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (may_go, has_gone) = (Arc::clone(&go), Arc::clone(&gone));
        let left = Carried::new(&tasks, async move {
            may_go.notified().await;
            has_gone.notify_one();
        });
        drop(left);
        assert_eq!(tasks.len(), 2, "it is counted, and so is the task that carries it now");
        go.notify_one();
        gone.notified().await;
        assert!(Carried::new(&tasks, async { panic!("on purpose") }).await.is_err());
        assert_eq!(Carried::new(&tasks, async { 7 }).await.ok(), Some(7));
        tasks.close();
        tasks.wait().await;
    }
}
