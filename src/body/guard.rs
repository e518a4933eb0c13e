//! How long a body may be, and how long it may take.

use super::BodyError;
use bytes::Bytes;
use hyper::body::Frame;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// Watches over a body that somebody else sends.
pub(super) struct Guard {
    /// Bytes that may still come.
    left: Option<u64>,
    patience: Duration,
    /// Runs while the reader waits, and only then: a reader that is slow is not the sender's fault.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    is_read: bool,
}

impl Guard {
    pub(super) fn new(most: Option<u64>, patience: Duration) -> Guard {
        Guard {
            left: most,
            patience,
            timer: None,
            is_waiting: false,
            is_read: false,
        }
    }

    /// Whether anybody began to read.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Holds what the body gave against its limits.
    pub(super) fn check(
        &mut self,
        polled: Poll<Option<Result<Frame<Bytes>, BodyError>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.is_read = true;
        let Poll::Ready(frame) = polled else {
            return self.wait(cx);
        };
        self.is_waiting = false;
        let Some(Ok(frame)) = frame else {
            return Poll::Ready(frame);
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(left) = &mut self.left {
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(Some(Err(BodyError::TooLong))),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let deadline = Instant::now() + self.patience;
        let timer = &mut self.timer;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if !std::mem::replace(&mut self.is_waiting, true) {
            timer.as_mut().reset(deadline);
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Some(Err(BodyError::TooSlow)))
    }
}
