//! The shipped file before an origin that a test scripts.

use crate::world::{Asked, Got, Origin, Reply, Sidecar};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const SHIPPED: &str = include_str!("../../../deploy/rfc9111.toml");

/// Headers as tests write them.
pub type Lines<'l> = &'l [(&'l str, &'l str)];

/// A cache, and what is behind it.
pub struct Cache {
    pub origin: Origin,
    pub sidecar: Sidecar,
}

impl Cache {
    /// The origin answers by a function of what it is asked, and how often it was asked for that path.
    pub async fn before(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Cache {
        let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let answer = Arc::new(answer);
        let origin = Origin::start(move |asked: Asked| {
            let mut counts = counts.lock().expect("not poisoned");
            let path = asked
                .target
                .split('?')
                .next()
                .unwrap_or_default()
                .to_owned();
            let count = counts.entry(path).or_default();
            *count += 1;
            let reply = answer(&asked, *count);
            async move { reply }
        })
        .await;
        let sidecar = Cache::sidecar(&origin, |text| text).await;
        Cache { origin, sidecar }
    }

    /// Every answer is a 200 with these headers and the number of the request as its body.
    pub async fn of(lines: Lines<'_>) -> Cache {
        let headers = owned(lines);
        Cache::before(move |_, nth| numbered(200, nth, &headers)).await
    }

    /// A sidecar with the shipped file, changed by `edit`.
    pub async fn sidecar(origin: &Origin, edit: impl Fn(String) -> String) -> Sidecar {
        let places = [
            (
                "${SIDECACHE_LISTEN:-127.0.0.1:8080}",
                "127.0.0.1:0".to_owned(),
            ),
            (
                "${SIDECACHE_ORIGIN:-http://127.0.0.1:5000}",
                format!("http://{}", origin.address),
            ),
            ("${REDIS_URL:-memory:}", "memory:".to_owned()),
        ];
        let mut text = SHIPPED.to_owned();
        for (place, value) in places {
            assert!(text.contains(place), "{place}");
            text = text.replace(place, &value);
        }
        Sidecar::with_file(&edit(text)).await
    }

    pub async fn get(&self, target: &str) -> Got {
        self.sidecar.get(target).await
    }

    pub async fn get_with(&self, target: &str, headers: Lines<'_>) -> Got {
        self.sidecar.get_with(target, headers).await
    }

    /// How often the origin was asked for a path.
    pub fn asked_for(&self, path: &str) -> usize {
        let asked = self.origin.asked();
        let of_path = |asked: &&Asked| asked.target.split('?').next() == Some(path);
        asked.iter().filter(of_path).count()
    }
}

/// A reply whose body is a number.
pub fn numbered(status: u16, number: usize, headers: &[(String, String)]) -> Reply {
    let reply = Reply::of(status, "text/plain", number.to_string());
    headers
        .iter()
        .fold(reply, |reply, (name, value)| reply.header(name, value))
}

pub fn owned(lines: Lines<'_>) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    lines.iter().map(own).collect()
}

/// What a table's row has the origin answer, and whether it is reused for a second request.
pub struct Row<'r> {
    pub status: u16,
    pub lines: Vec<(&'r str, String)>,
    pub reused: bool,
}

pub fn row<'r>(status: u16, lines: &[(&'r str, &str)], reused: bool) -> Row<'r> {
    let own = |(name, value): &(&'r str, &str)| (*name, (*value).to_owned());
    Row {
        status,
        lines: lines.iter().map(own).collect(),
        reused,
    }
}

/// Has each row answered on a path of its own, and asks for it twice.
pub async fn reused_or_not(rows: Vec<Row<'_>>) {
    let answers: Vec<(u16, Vec<(String, String)>)> = rows
        .iter()
        .map(|row| {
            let own = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
            (row.status, row.lines.iter().map(own).collect())
        })
        .collect();
    let cache = Cache::before(move |asked, nth| {
        let at: usize = asked.target[1..].parse().expect("the row's number");
        numbered(answers[at].0, nth, &answers[at].1)
    })
    .await;
    for (at, row) in rows.iter().enumerate() {
        let path = format!("/{at}");
        let what = format!("{} {:?}", row.status, row.lines);
        let first = cache.get(&path).await;
        assert_eq!(
            (first.status, first.text()),
            (row.status, "1".into()),
            "{what}"
        );
        let second = cache.get(&path).await;
        let is_hit = second.outcome() == "hit";
        assert_eq!(is_hit, row.reused, "{what}: {}", second.cache_status());
        assert!(second.header("age").is_some() || !row.reused, "{what}");
        assert_eq!(second.text(), if row.reused { "1" } else { "2" }, "{what}");
    }
}

/// So many seconds from now as an HTTP date.
pub fn date(seconds: i64) -> String {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if seconds < 0 { now - span } else { now + span })
}
