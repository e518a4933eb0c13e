//! Puts a changed rules file in force: all of it or nothing. A signal, the admin door and the watch over
//! the file share one reloader, so no two of them are at it at once, and what one has tried the others
//! do not try again.

use super::stamps::Stamps;
use super::{load_noting, node_ttl};
use crate::live::Live;
use crate::rules::settings::StoreSettings;
use crate::rules::table::Table;
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// How often the file is looked at. A change is tried when it was seen twice alike, so that no file is
/// read that somebody is still writing: it is in force within twice as long. A look is a `stat` of
/// each file, which costs nothing; unlike a watch by inotify it sees what other machines write to a shared
/// disk, links that are turned to another directory (as Kubernetes does it) and files that are replaced.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reloads one rules file.
pub struct Reloader {
    rules: PathBuf,
    live: Arc<ArcSwap<Live>>,
    tried: Mutex<Tried>,
}

/// What was tried last, whether or not it could be used.
struct Tried {
    /// The rules file, and the files that it names.
    stamps: Stamps,
    /// The files that connections to the store are made with.
    of_store: Stamps,
}

impl Reloader {
    /// For the file that the rules in force were read from when it and those that it names were so.
    pub(super) fn new(rules: &Path, live: Arc<ArcSwap<Live>>, stamps: Stamps) -> Reloader {
        let of_store = files_of_store(&live.load().table.store);
        let tried = Tried {
            stamps,
            of_store: Stamps::of(of_store),
        };
        Reloader {
            rules: rules.to_owned(),
            live,
            tried: Mutex::new(tried),
        }
    }

    /// Reads the rules file again and puts it in force, and logs what came of it.
    ///
    /// # Errors
    /// What is wrong with it, for a person; the old rules stay.
    pub fn reload(&self) -> Result<(), String> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        // Before they are read: what changes meanwhile is tried again.
        let before = Stamps::of(tried.stamps.files().cloned().collect());
        let old = self.live.load_full();
        let (loaded, files) = load_noting(&self.rules, false);
        tried.stamps = before.for_files([self.rules.clone()].into_iter().chain(files));
        let renewed = loaded.and_then(|(table, warnings)| {
            same_ground(&old.table, &table)?;
            Ok((Live::new(table, old.ground.clone())?, warnings))
        });
        match renewed {
            Ok((live, warnings)) => {
                put_in_force(&self.live, live);
                tell_of_store(&mut tried.of_store);
                match warnings.is_empty() {
                    true => tracing::info!("the rules were reloaded"),
                    false => tracing::warn!("the rules were reloaded:\n{warnings}"),
                }
                Ok(())
            }
            Err(error) => {
                old.ground.metrics.rules_reload_failed();
                tracing::error!("the rules were not reloaded:\n{error}");
                Err(error)
            }
        }
    }

    /// The same, on a thread that a slow disk may hold up.
    ///
    /// # Errors
    /// As above.
    pub async fn reload_aside(self: &Arc<Reloader>) -> Result<(), String> {
        let reloader = self.clone();
        let reloaded = tokio::task::spawn_blocking(move || reloader.reload()).await;
        reloaded.unwrap_or_else(|_| Err("the reload ended badly; this is a bug".to_owned()))
    }

    /// Reloads whenever the rules file or a file that it names has changed, for ever.
    pub async fn watch(self: Arc<Reloader>) {
        let mut seen = None;
        loop {
            sleep(LOOK_EVERY).await;
            let reloader = self.clone();
            let Ok(Some(changed)) = tokio::task::spawn_blocking(move || reloader.changed()).await
            else {
                seen = None;
                continue;
            };
            if seen.as_ref() == Some(&changed) {
                seen = None;
                let _ = self.reload_aside().await; // it has logged what came of it
            } else {
                seen = Some(changed);
            }
        }
    }

    /// How the files are, if that is not how they were when they were tried.
    fn changed(&self) -> Option<Stamps> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = tried.stamps.clone(); // not held while the disk is asked
        let now = Stamps::of(tried.files().cloned().collect());
        (now != tried).then_some(now)
    }
}

fn put_in_force(place: &ArcSwap<Live>, live: Live) {
    let ground = &live.ground;
    ground.store.renew(node_ttl(&live.table));
    ground.store.listen(live.table.answers_from_memory());
    ground.metrics.rules_loaded(ground.clock.now_ms());
    place.store(Arc::new(live));
}

fn files_of_store(store: &StoreSettings) -> Vec<PathBuf> {
    let tls = &store.tls;
    let files = [&tls.ca, &tls.cert, &tls.key].into_iter().flatten();
    files.cloned().collect()
}

/// The store goes on with the certificates that it was opened with, which nobody is to find out when
/// they expire.
fn tell_of_store(before: &mut Stamps) {
    let now = Stamps::of(before.files().cloned().collect());
    if now != *before {
        tracing::warn!(
            "the files of [store] ca, cert or key have changed, which takes a restart: \
             the store is connected to with the old ones"
        );
        *before = now;
    }
}

/// What only a restart can change: requests under way would bump in one store what others keep in
/// the next.
fn same_ground(old: &Table, new: &Table) -> Result<(), String> {
    let (old_limits, new_limits) = (&old.proxy.limits, &new.proxy.limits);
    let connections = old_limits.max_connections != new_limits.max_connections;
    let mut changed = Vec::new();
    let mut note = |name: &str, has_changed: bool| {
        if has_changed {
            changed.push(format!("{name} has changed"));
        }
    };
    note("namespace", old.namespace != new.namespace);
    note("[proxy] listen", old.proxy.listen != new.proxy.listen);
    note("[proxy] max_connections", connections);
    note("[local] max", old.local != new.local);
    changed.extend(told("[admin]", &admin_changes(old, new)));
    changed.extend(told("[store]", &store_changes(&old.store, &new.store)));
    match changed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}, which takes a restart; the old rules stay in force\n",
            changed.join(", ")
        )),
    }
}

fn told(table: &str, keys: &[&str]) -> Option<String> {
    let keys = (!keys.is_empty()).then(|| keys.join(", "))?;
    Some(format!("{table} has changed ({keys})"))
}

fn admin_changes(old: &Table, new: &Table) -> Vec<&'static str> {
    let (old, new) = match (&old.admin, &new.admin) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec!["the whole table is gone"],
        (None, Some(_)) => return vec!["the whole table is new"],
        (Some(old), Some(new)) => (old, new),
    };
    let changes = [
        ("listen", old.listen != new.listen),
        ("token", old.token != new.token),
    ];
    names(changes)
}

/// `max_entry`, `on_down` and `write_lease` are asked of the rules in force, not of the store.
fn store_changes(old: &StoreSettings, new: &StoreSettings) -> Vec<&'static str> {
    // Whoever adds a setting is to say here whether it takes a restart.
    let StoreSettings {
        url,
        timeout,
        max_entry: _,
        compress,
        seal,
        tls,
        write_lease: _,
        on_down: _,
        journal,
    } = old;
    names([
        ("url", *url != new.url),
        ("timeout", *timeout != new.timeout),
        ("compress", *compress != new.compress),
        ("seal, seal_previous", *seal != new.seal),
        ("ca, cert, key", *tls != new.tls),
        ("journal", *journal != new.journal),
    ])
}

fn names<const N: usize>(changes: [(&'static str, bool); N]) -> Vec<&'static str> {
    let changed = changes.into_iter().filter(|(_, has_changed)| *has_changed);
    changed.map(|(name, _)| name).collect()
}
