use super::*;
use crate::metrics::Metrics;
use crate::store::channel::Channel;
use crate::store::redis::simulated::{Eventually, Line, Reply as Said, Server};
use std::future::{pending, ready};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// A server that answers with each key's name, so often as told, and refuses what has too many keys.
struct Echo {
    times: usize,
    most_keys: usize,
    /// How many keys each command had.
    sent: Mutex<Vec<usize>>,
}

impl Echo {
    async fn connected(times: usize, most_keys: usize) -> (Arc<Echo>, Arc<Connection>) {
        let echo = Arc::new(Echo {
            times,
            most_keys,
            sent: Mutex::default(),
        });
        let server: Arc<dyn Server> = Arc::new(Wired(echo.clone()));
        let channel = Arc::new(Channel::new("drops".to_owned()));
        let metrics = Arc::new(Metrics::new());
        let open = Connection::simulated(&server, Duration::from_secs(1), channel, metrics).await;
        let (connection, driver) = open.expect("a simulated connection opens");
        std::mem::forget(driver); // it ends with the test
        (echo, Arc::new(connection))
    }

    fn sent(&self) -> Vec<usize> {
        std::mem::take(&mut self.sent.lock().expect("not poisoned"))
    }
}

struct Wired(Arc<Echo>);

impl Server for Wired {
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>> {
        let line: Arc<dyn Line> = Arc::new(Wired(self.0.clone()));
        Box::pin(ready(Some(line)))
    }
}

impl Line for Wired {
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Said>> {
        let keys = &words[1..];
        self.0.sent.lock().expect("not poisoned").push(keys.len());
        let echoed = |key: &Bytes| match key.is_empty() {
            true => Said::Nil,
            false => Said::Bytes(key.repeat(self.0.times).into()),
        };
        let said = match keys.len() > self.0.most_keys {
            true => Said::Refused("ERR max request size exceeded"),
            false => Said::Many(keys.iter().map(echoed).collect()),
        };
        Box::pin(async {
            yield_now().await; // as long as a way there and back takes at least
            Some(said)
        })
    }

    fn broken(&self) -> Eventually<()> {
        Box::pin(pending())
    }

    fn heard(&self) -> broadcast::Receiver<Bytes> {
        broadcast::channel(1).1
    }

    fn close(&self) {}
}

/// Looks at all of these at the same moment, each for itself, and says what each was told.
async fn at_once(connection: &Arc<Connection>, looks: &[Vec<String>]) -> Vec<Vec<Option<Bytes>>> {
    let mut asking = JoinSet::new();
    for (number, keys) in looks.iter().cloned().enumerate() {
        let connection = connection.clone();
        asking.spawn(async move {
            let by = connection.deadline();
            let told = connection.look(keys.iter().map(String::as_str), by).await;
            let told = told.expect("it is answered");
            let values = told.values().map(Option::<&Bytes>::cloned);
            (number, values.collect::<Vec<_>>())
        });
    }
    let mut told = asking.join_all().await;
    told.sort();
    told.into_iter().map(|(_, values)| values).collect()
}

fn looks(count: usize) -> Vec<Vec<String>> {
    let keys = |number: usize| vec![format!("own-{number}"), "all".into(), String::new()];
    (0..count).map(keys).collect()
}

fn echoed(keys: &[String], times: usize) -> Vec<Option<Bytes>> {
    let value = |key: &String| (!key.is_empty()).then(|| key.repeat(times).into());
    keys.iter().map(value).collect()
}

#[tokio::test]
async fn looks_of_one_moment_share_a_command_and_its_keys_and_each_is_told_its_own() {
    let (echo, connection) = Echo::connected(1, usize::MAX).await;
    let looks = looks(10);
    let told = at_once(&connection, &looks).await;
    for (keys, told) in looks.iter().zip(told) {
        assert_eq!(told, echoed(keys, 1));
    }
    assert_eq!(
        echo.sent(),
        [3, 11],
        "the first, then nine of their own and two of all"
    );
    at_once(&connection, &looks[..1]).await;
    assert_eq!(echo.sent(), [3], "nobody has part in what was sent before");
}

#[tokio::test]
async fn no_command_is_for_more_looks_than_may_have_part_in_one() {
    let (echo, connection) = Echo::connected(1, usize::MAX).await;
    let told = at_once(&connection, &looks(2 * MAX_LOOKS + 2)).await;
    assert_eq!(told.len(), 2 * MAX_LOOKS + 2);
    assert_eq!(echo.sent(), [3, MAX_LOOKS + 2, MAX_LOOKS + 2, 3]);
}

#[tokio::test]
async fn what_is_refused_to_several_at_once_each_asks_alone() {
    let (echo, connection) = Echo::connected(1, 3).await;
    let looks = looks(4);
    let told = at_once(&connection, &looks).await;
    for (keys, told) in looks.iter().zip(told) {
        assert_eq!(told, echoed(keys, 1));
    }
    assert_eq!(echo.sent(), [3, 5, 3, 3, 3]);
    at_once(&connection, &looks[..2]).await;
    assert_eq!(echo.sent(), [3, 3], "and the next are not so many");
}

#[tokio::test]
async fn a_refusal_of_a_single_look_is_its_own() {
    let (echo, connection) = Echo::connected(1, 2).await;
    let keys = ["a", "b", "c"];
    let refused = connection.look(keys.into_iter(), connection.deadline());
    let fault = refused.await.err().expect("three keys are too many");
    assert_eq!(fault.kind, Kind::Size);
    assert_eq!(echo.sent(), [3], "it is not asked again");
}

#[tokio::test]
async fn long_replies_make_for_fewer_looks_in_a_command_and_short_ones_for_more() {
    let (echo, connection) = Echo::connected(LONG_REPLY / 8, usize::MAX).await;
    at_once(&connection, &looks(1 + MAX_LOOKS)).await;
    assert_eq!(echo.sent(), [3, MAX_LOOKS + 2]);
    at_once(&connection, &looks(1 + MAX_LOOKS)).await;
    let half = MAX_LOOKS / 2 + 2;
    assert_eq!(echo.sent(), [3, half, half]);
    let nothing = [vec![String::new()], vec![String::new()]];
    for _ in 0..MAX_LOOKS {
        at_once(&connection, &nothing).await;
    }
    echo.sent();
    at_once(&connection, &looks(1 + MAX_LOOKS)).await;
    assert_eq!(echo.sent(), [3, MAX_LOOKS + 2]);
}

#[test]
fn a_key_has_one_place_whoever_asks_for_it() {
    let mut keys = Keys::default();
    let asked = ["ab", "c", "ab", "", "abc", "c"];
    let places = asked.map(|key| keys.place(key));
    assert_eq!(places, [0, 1, 0, 2, 3, 1]);
    assert_eq!(keys.into_bytes(), ["ab", "c", "", "abc"]);
}
