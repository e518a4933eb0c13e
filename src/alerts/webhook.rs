//! Alerts on their way to a webhook: one at a time, in their order, again and again until they are taken.
//! Nothing waits for it.

use super::alert::Alert;
use crate::metrics::AlertMetrics;
use crate::random;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Alerts that wait, at most. Each thing that is watched has two at most: the one that is being told and its
/// opposite.
const MAX_WAITING: usize = 1000;

/// After the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A receiver that is back is told within so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// After so long an alert is no longer news, and whoever was to be called has heard of it otherwise.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// It was taken.
    Taken,
    /// It will never be taken; why.
    Refused(String),
    /// It may be taken another time; why it was not.
    Failed(String),
}

/// What waits to be told.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    news: Notify,
}

struct Waiting {
    alert: Alert,
    came: Instant,
    attempts: u32,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an alert behind the others; false if there is no room. Where its opposite still waits neither is
    /// told: what the receiver believes is right again.
    pub(super) fn push(&self, alert: Alert) -> bool {
        let mut waiting = self.waiting();
        let untold = |one: &Waiting| {
            let is_opposite = one.alert.is_about(&alert) && one.alert.state != alert.state;
            one.attempts == 0 && is_opposite
        };
        if let Some(at) = waiting.iter().position(untold) {
            waiting.remove(at);
            return true;
        }
        if waiting.len() >= MAX_WAITING {
            return false;
        }
        waiting.push_back(Waiting {
            alert,
            came: Instant::now(),
            attempts: 0,
        });
        drop(waiting);
        self.news.notify_one();
        true
    }

    /// Tells one after the other by `post`, until `closing` is cancelled and all that wait have been tried once
    /// more.
    pub(super) async fn deliver<P, F>(
        &self,
        post: P,
        metrics: &AlertMetrics,
        closing: &CancellationToken,
    ) where
        P: Fn(Alert) -> F,
        F: Future<Output = Posted>,
    {
        while let Some((alert, attempt)) = self.next(closing).await {
            let posted = post(alert.clone()).await;
            let pause = match posted {
                Posted::Taken => {
                    self.done();
                    metrics.told("delivered");
                    continue;
                }
                Posted::Failed(why) if !closing.is_cancelled() && !self.is_old() => {
                    metrics.told("failed");
                    self.say(attempt, &why);
                    pause(attempt)
                }
                Posted::Failed(why) | Posted::Refused(why) => {
                    self.done();
                    dropped(&alert, &why, metrics);
                    continue;
                }
            };
            closing.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// The first that waits, and how often it was tried with this time; none where it closes and nothing waits.
    async fn next(&self, closing: &CancellationToken) -> Option<(Alert, u32)> {
        loop {
            if let Some(first) = self.waiting().front_mut() {
                first.attempts += 1;
                return Some((first.alert.clone(), first.attempts));
            }
            closing.run_until_cancelled(self.news.notified()).await?;
        }
    }

    /// Forgets all that wait, and says so.
    pub(super) fn give_up(&self, metrics: &AlertMetrics) {
        for one in self.waiting().drain(..) {
            dropped(&one.alert, "the process ends", metrics);
        }
    }

    fn done(&self) {
        self.waiting().pop_front();
    }

    fn is_old(&self) -> bool {
        let waiting = self.waiting();
        waiting
            .front()
            .is_some_and(|first| first.came.elapsed() >= MAX_AGE)
    }

    /// Once for each alert: who tries for an hour does not repeat himself.
    fn say(&self, attempt: u32, why: &str) {
        match attempt {
            1 => tracing::warn!("the webhook has not taken an alert, which is tried again: {why}"),
            _ => tracing::debug!(attempt, "the webhook has not taken an alert: {why}"),
        }
    }
}

fn dropped(alert: &Alert, why: &str, metrics: &AlertMetrics) {
    metrics.told("dropped");
    tracing::error!("the webhook was not told of an alert ({alert}): {why}");
}

/// How long to wait after so many attempts: from half of it to the whole, so that a fleet whose receiver
/// fails does not come back all at once.
fn pause(attempts: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    let whole = doubled.min(LONGEST_PAUSE);
    let drawn: [u8; 2] = random::bytes().unwrap_or_default();
    let share = f64::from(u16::from_le_bytes(drawn)) / f64::from(u16::MAX);
    whole.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests;
