//! Reads the keys that an issuer publishes, now and then and whenever a token names one that is not
//! there. No request waits for it: a token whose key is not known yet passes.

use crate::body::{Body, Read, read_in_time};
use crate::identity::{KeySet, Published};
use crate::origin::{Origin, Patience};
use crate::rules::disk;
use crate::rules::settings::{Algorithm, KeySource, OriginAddress};
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often the keys are read where nothing asks for it: how long a key that its issuer withdrew is
/// believed.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// Between two readings, so that tokens with invented keys do not become the issuer's load.
const PAUSE: Duration = Duration::from_secs(10);

/// How long keys are believed while their issuer cannot be reached. Longer than an outage that people
/// are called for; not for ever, since whoever stole a key may be the one that keeps us from hearing
/// of it.
const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// For each step of one reading.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a key set: a hundred times the largest that large issuers publish.
const MAX_BYTES: usize = 1 << 20;

/// The keys in use, by where they come from and what for. It outlives a reload, so that one does not
/// begin without keys.
#[derive(Clone, Default)]
pub struct Issuers(Arc<Mutex<Known>>);

type Known = HashMap<(KeySource, Algorithm), Weak<Published>>;

impl Issuers {
    /// The keys of a source, kept up to date as long as anybody holds them. There are none until they
    /// were read for the first time.
    ///
    /// # Errors
    /// Why the source cannot be asked at all.
    pub fn keys(&self, source: &KeySource, algorithm: Algorithm) -> Result<Arc<Published>, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (source.clone(), algorithm);
        if let Some(published) = known.get(&place).and_then(Weak::upgrade) {
            // Whoever reloads wants the file as it is now.
            if let Some(set) = at_hand(source, algorithm)? {
                published.put(set);
            }
            return Ok(published);
        }
        let ended = CancellationToken::new();
        let published = Arc::new(Published::new(&ended));
        if let Some(set) = at_hand(source, algorithm)? {
            published.put(set);
        }
        let reader = Reader {
            way: Way::to(source)?,
            algorithm,
            shown: shown(source),
            wanted: published.wanted(),
            published: Arc::downgrade(&published),
        };
        tokio::spawn(async move { ended.run_until_cancelled(reader.run()).await });
        known.retain(|_, published| published.strong_count() > 0);
        known.insert(place, Arc::downgrade(&published));
        Ok(published)
    }
}

/// The keys of a source that is a file.
///
/// # Errors
/// Why there are none, naming the file.
pub fn at_hand(source: &KeySource, algorithm: Algorithm) -> Result<Option<KeySet>, String> {
    let KeySource::File(path) = source else {
        return Ok(None);
    };
    let json = disk::read(path, MAX_BYTES).map_err(|error| format!("it cannot be read: {error}"));
    json.and_then(|json| KeySet::parse(&json, algorithm))
        .and_then(|set| match set.is_empty() {
            true => Err(format!("none of its keys is for {algorithm:?}")),
            false => Ok(Some(set)),
        })
        .map_err(|error| format!("[identity] jwks: {}: {error}", path.display()))
}

/// Reads one source again and again.
struct Reader {
    way: Way,
    algorithm: Algorithm,
    shown: String,
    wanted: Arc<Notify>,
    published: Weak<Published>,
}

impl Reader {
    async fn run(self) {
        let mut heard = Instant::now();
        let mut last = None;
        loop {
            let read = self.way.read().await;
            let parsed = read.and_then(|json| match last.as_ref() == Some(&json) {
                true => Ok(None),
                false => KeySet::parse(&json, self.algorithm).map(|set| Some((set, json))),
            });
            let Some(published) = self.published.upgrade() else {
                return;
            };
            let patience = match parsed {
                Ok(renewed) => {
                    heard = Instant::now();
                    if let Some((set, json)) = renewed {
                        self.say(&set);
                        published.put(set);
                        last = Some(json);
                    }
                    REFRESH
                }
                Err(error) => {
                    if self.gives_up(&error, heard, &published) {
                        last = None; // the same keys are news again
                    }
                    PAUSE
                }
            };
            drop(published);
            sleep(PAUSE).await;
            // Over time or wanted, it is read again; which of them it was makes no difference.
            let _ = timeout(patience.saturating_sub(PAUSE), self.wanted.notified()).await;
        }
    }

    fn say(&self, set: &KeySet) {
        let (shown, algorithm) = (&self.shown, self.algorithm);
        match set.len() {
            0 => tracing::warn!("{shown} publishes no key for {algorithm:?}: no token is believed"),
            keys => tracing::info!("{keys} keys were read from {shown}"),
        }
    }

    /// Says what is wrong; whether the keys are no longer believed for it.
    fn gives_up(&self, error: &str, heard: Instant, published: &Published) -> bool {
        let keys = published.current().len();
        if keys > 0 && heard.elapsed() > MAX_STALE {
            published.put(KeySet::empty());
            let shown = &self.shown;
            tracing::error!("{shown}: {error}; its keys are a day old and no longer believed");
            return true;
        }
        tracing::warn!(
            "{}: {error}; tokens are checked against the {keys} keys read before",
            self.shown
        );
        false
    }
}

/// How a source is read.
enum Way {
    File(std::path::PathBuf),
    Url {
        server: Origin,
        host: hyper::header::HeaderValue,
        target: String,
    },
}

impl Way {
    fn to(source: &KeySource) -> Result<Way, String> {
        Ok(match source {
            KeySource::File(path) => Way::File(path.clone()),
            KeySource::Url { server, target } => Way::Url {
                server: Origin::at(server, Patience::all(PATIENCE))
                    .map_err(|error| error.to_string())?,
                host: server.host(),
                target: target.clone(),
            },
        })
    }

    async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Way::File(path) => file(path).await,
            Way::Url {
                server,
                host,
                target,
            } => {
                let request = Request::get(target.as_str())
                    .header(HOST, host)
                    .header(ACCEPT, "application/json, application/jwk-set+json")
                    .body(Body::empty())
                    .map_err(|error| error.to_string())?;
                let answer = server
                    .ask(request)
                    .await
                    .map_err(|error| error.to_string())?;
                if answer.status() != StatusCode::OK {
                    return Err(format!("it answers {}", answer.status()));
                }
                match read_in_time(answer.into_body(), MAX_BYTES, PATIENCE).await {
                    Read::Whole(json) => Ok(json.to_vec()),
                    Read::Longer(_) => Err(format!(
                        "its answer is longer than {MAX_BYTES} bytes, or takes longer than {} s",
                        PATIENCE.as_secs()
                    )),
                    Read::Broken(error) => Err(error.to_string()),
                }
            }
        }
    }
}

async fn file(path: &Path) -> Result<Vec<u8>, String> {
    let path = path.to_owned();
    let json = tokio::task::spawn_blocking(move || disk::read(&path, MAX_BYTES)).await;
    json.unwrap_or_else(|_| Err(std::io::Error::other("the reading was ended")))
        .map_err(|error| format!("it cannot be read: {error}"))
}

/// Where they are, for a person.
pub fn shown(source: &KeySource) -> String {
    match source {
        KeySource::File(path) => path.display().to_string(),
        KeySource::Url { server, target } => {
            let scheme = match server {
                OriginAddress::Https { .. } => "https",
                _ => "http",
            };
            let path = target.split('?').next().unwrap_or_default(); // a query may hold a secret
            format!("{scheme}://{}{path}", server.host().to_str().unwrap_or("?"))
        }
    }
}

#[cfg(test)]
mod tests;
