//! Work that must be finished, whether or not whom it is for waits for it: a write and its drops, a fill
//! that others may join.
//!
//! It is done in the task of the one who waits, and in a task of its own from the moment he does not.
//! Most wait to the end, and so a request costs no second task, nor the way there and back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The work died, by a panic, before it came to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Died;

/// Work that is done while this is polled, and goes on by itself once this has its outcome or is dropped.
/// Nothing is begun before the first of these.
#[must_use = "it is begun when it is polled, or dropped"]
pub struct Begun<T> {
    /// `None` once it is over.
    work: Option<Work>,
    outcome: oneshot::Receiver<T>,
    token: TaskTrackerToken,
}

impl<T> Begun<T> {
    /// `work` gives its outcome to the sender that it gets, and may have more to do after that. It is one
    /// of `tasks` as long as it lasts, whosever task it is done in.
    pub fn new<W>(tasks: &TaskTracker, work: impl FnOnce(oneshot::Sender<T>) -> W) -> Begun<T>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (sender, outcome) = oneshot::channel();
        Begun {
            work: Some(Box::pin(work(sender))),
            outcome,
            token: tasks.token(),
        }
    }
}

impl<T> Future for Begun<T> {
    type Output = Result<T, Died>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Died>> {
        // Taken out, so that work that panics is gone, as a task is; what it held is dropped with it.
        if let Some(mut work) = self.work.take()
            && let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)))
        {
            self.work = Some(work);
        }
        // Only the work can have sent something: nothing else has to wake us.
        match self.outcome.try_recv() {
            Ok(outcome) => Poll::Ready(Ok(outcome)),
            Err(oneshot::error::TryRecvError::Empty) => Poll::Pending,
            Err(oneshot::error::TryRecvError::Closed) => Poll::Ready(Err(Died)),
        }
    }
}

impl<T> Drop for Begun<T> {
    /// At the end of a runtime nothing goes on any more.
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            self.token.task_tracker().spawn_on(work, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Notify;

    /// Work of two steps, the second once it is told to: says 1 after the first, then notes its end.
    fn two_steps(tasks: &TaskTracker, told: &Arc<Notify>, ended: &Arc<Notify>) -> Begun<u8> {
        let (told, ended) = (told.clone(), ended.clone());
        Begun::new(tasks, |outcome| async move {
            let _ = outcome.send(1); // whether or not anybody waits
            told.notified().await;
            ended.notify_one();
        })
    }

    #[tokio::test]
    async fn work_is_done_where_it_is_waited_for_and_takes_no_task() {
        let tasks = TaskTracker::new();
        let counted = tasks.clone();
        let work = Begun::new(&tasks, |outcome| async move {
            tokio::task::yield_now().await;
            let alive = Handle::current().metrics().num_alive_tasks();
            let _ = outcome.send((alive, counted.len()));
        });
        assert_eq!(work.await, Ok((0, 1)));
        assert_eq!(tasks.len(), 0);
    }

    #[tokio::test]
    async fn what_is_left_of_it_goes_on_behind_its_outcome() {
        let (tasks, told, ended) = (TaskTracker::new(), Arc::default(), Arc::default());
        assert_eq!(two_steps(&tasks, &told, &ended).await, Ok(1));
        assert_eq!(tasks.len(), 1);
        told.notify_one();
        ended.notified().await;
    }

    #[tokio::test]
    async fn who_leaves_does_not_end_it() {
        let (tasks, told, ended) = (TaskTracker::new(), Arc::default(), Arc::default());
        drop(two_steps(&tasks, &told, &ended)); // before it was begun
        let mut begun = Box::pin(Begun::new(&tasks, |outcome| {
            let work = two_steps(&tasks, &told, &ended);
            async move {
                tokio::task::yield_now().await;
                let _ = outcome.send(work.await);
            }
        }));
        tokio::select! {
            biased;
            _ = begun.as_mut() => panic!("it has yielded"),
            () = std::future::ready(()) => {}
        }
        drop(begun); // in the middle
        for _ in 0..2 {
            told.notify_one();
            ended.notified().await;
        }
    }

    #[tokio::test]
    async fn work_that_dies_is_said_to_and_takes_nobody_along() {
        let tasks = TaskTracker::new();
        let begun = Begun::<()>::new(&tasks, |outcome| async move {
            let _held = outcome;
            panic!("as it is meant to");
        });
        assert_eq!((begun.await, tasks.len()), (Err(Died), 0));
    }
}
