//! Receivers that fail, hang and come back, on paused time.

use super::super::alert::{Kind, State};
use super::*;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn alert(rule: &str, state: State) -> Alert {
    Alert {
        rule: rule.to_owned(),
        kind: Kind::HitRate,
        state,
        value: Some(0.1),
        threshold: 0.5,
        window: Some("10m".to_owned()),
        at: 1,
    }
}

/// A receiver that does as it is told with each attempt, and remembers what it took.
struct Receiver {
    queue: Arc<Queue>,
    metrics: Metrics,
    closing: CancellationToken,
    attempts: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<(String, State)>>>,
    teller: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// `says` is asked with the number of the attempt, from 1, and may take its time.
    fn new<F>(says: impl Fn(usize) -> F + Send + Sync + 'static) -> Receiver
    where
        F: Future<Output = Posted> + Send + 'static,
    {
        let (queue, metrics) = (Arc::new(Queue::default()), Metrics::new());
        let closing = CancellationToken::new();
        let (attempts, taken) = (
            Arc::<AtomicUsize>::default(),
            Arc::<Mutex<Vec<_>>>::default(),
        );
        let (counted, kept) = (attempts.clone(), taken.clone());
        let post = move |alert: Alert| {
            let said = says(counted.fetch_add(1, SeqCst) + 1);
            let kept = kept.clone();
            async move {
                let said = said.await;
                if said == Posted::Taken {
                    let mut kept = kept.lock().expect("not poisoned");
                    kept.push((alert.rule, alert.state));
                }
                said
            }
        };
        let (telling, counts, ends) = (queue.clone(), metrics.alerts().clone(), closing.clone());
        let teller = tokio::spawn(async move { telling.deliver(post, &counts, &ends).await });
        Receiver {
            queue,
            metrics,
            closing,
            attempts,
            taken,
            teller,
        }
    }

    fn push(&self, rule: &str, state: State) {
        assert!(self.queue.push(alert(rule, state)));
    }

    fn taken(&self) -> Vec<(String, State)> {
        self.taken.lock().expect("not poisoned").clone()
    }

    fn counted(&self, result: &str) -> bool {
        let line = format!("sidecache_alert_webhook_total{{result=\"{result}\"}}");
        self.metrics.encode().contains(&line)
    }
}

fn failed() -> Posted {
    Posted::Failed("500".to_owned())
}

async fn after(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_twice_is_taken_once_and_in_order() {
    let receiver = Receiver::new(|attempt| async move {
        match attempt {
            1 => failed(),
            2 => {
                after(Duration::from_secs(10)).await; // hung, until it was given up
                failed()
            }
            _ => Posted::Taken,
        }
    });
    receiver.push("list", State::Firing);
    after(Duration::from_millis(100)).await;
    receiver.push("list", State::Resolved);
    after(Duration::from_secs(60)).await;
    let taken = [State::Firing, State::Resolved].map(|state| ("list".to_owned(), state));
    assert_eq!(receiver.taken(), taken);
    assert_eq!(receiver.attempts.load(SeqCst), 4);
    assert!(receiver.counted("delivered") && receiver.counted("failed"));
    assert!(!receiver.counted("dropped"));
}

#[tokio::test(start_paused = true)]
async fn what_began_and_ended_while_nobody_could_be_told_is_told_to_nobody() {
    let receiver = Receiver::new(|attempt| async move {
        match attempt {
            1..=3 => failed(),
            _ => Posted::Taken,
        }
    });
    receiver.push("first", State::Firing);
    after(Duration::from_millis(100)).await;
    receiver.push("list", State::Firing);
    receiver.push("list", State::Resolved);
    receiver.push("first", State::Resolved);
    receiver.push("first", State::Firing); // as the receiver will believe
    after(Duration::from_secs(60)).await;
    assert_eq!(receiver.taken(), [("first".to_owned(), State::Firing)]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_holds_up_nobody() {
    let receiver = Receiver::new(|attempt| async move {
        match attempt {
            1 => Posted::Refused("404".to_owned()),
            _ => Posted::Taken,
        }
    });
    receiver.push("first", State::Firing);
    receiver.push("second", State::Firing);
    after(Duration::from_millis(1)).await;
    assert_eq!(receiver.taken(), [("second".to_owned(), State::Firing)]);
    assert!(receiver.counted("dropped"));
}

#[tokio::test(start_paused = true)]
async fn attempts_become_rare_and_end_after_an_hour() {
    let receiver = Receiver::new(|_| async { failed() });
    receiver.push("list", State::Firing);
    after(Duration::from_secs(60)).await;
    let soon = receiver.attempts.load(SeqCst);
    assert!((5..=8).contains(&soon), "{soon}");
    after(MAX_AGE + LONGEST_PAUSE).await;
    let all = receiver.attempts.load(SeqCst);
    assert!((soon + 55..=soon + 125).contains(&all), "{all}");
    assert!(receiver.counted("dropped"));
    after(MAX_AGE).await;
    assert_eq!(receiver.attempts.load(SeqCst), all);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_tried_once_more() {
    let receiver = Receiver::new(|attempt| async move {
        match attempt {
            6 => Posted::Taken,
            _ => failed(),
        }
    });
    for rule in ["first", "second", "third"] {
        receiver.push(rule, State::Firing);
    }
    let all_failed = async || receiver.attempts.load(SeqCst) >= 3;
    while !all_failed().await {
        after(Duration::from_millis(10)).await;
    }
    assert_eq!(receiver.attempts.load(SeqCst), 3, "of the first");
    receiver.closing.cancel();
    receiver.teller.await.expect("it ends");
    assert_eq!(receiver.attempts.load(SeqCst), 6, "one of each");
    let taken = receiver.taken.lock().expect("not poisoned").clone();
    assert_eq!(taken, [("third".to_owned(), State::Firing)]);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_at_the_end_is_given_up() {
    let receiver = Receiver::new(|_| std::future::pending());
    receiver.push("list", State::Firing);
    after(Duration::from_millis(1)).await;
    receiver.teller.abort();
    receiver.queue.give_up(receiver.metrics.alerts());
    assert!(receiver.counted("dropped"));
    assert!(receiver.queue.waiting().is_empty());
}

#[test]
fn what_waits_is_bounded() {
    let queue = Queue::default();
    let rules = 0..MAX_WAITING;
    let is_taken = |rule: usize| queue.push(alert(&rule.to_string(), State::Firing));
    assert!(rules.into_iter().all(is_taken));
    assert!(!queue.push(alert("another", State::Firing)));
    assert!(queue.push(alert("0", State::Resolved)), "it takes no room");
    assert!(queue.push(alert("another", State::Firing)));
}

#[test]
fn pauses_double_up_to_a_minute_and_no_two_fleets_come_back_alike() {
    let between = |attempts: u32, least: f64, most: f64| {
        let seconds = pause(attempts).as_secs_f64();
        assert!((least..=most).contains(&seconds), "{attempts}: {seconds}");
    };
    for _ in 0..100 {
        between(1, 0.5, 1.0);
        between(3, 2.0, 4.0);
        between(7, 30.0, 60.0);
        between(u32::MAX, 30.0, 60.0);
    }
    let drawn: std::collections::BTreeSet<Duration> = (0..100).map(|_| pause(9)).collect();
    assert!(drawn.len() > 50);
}
