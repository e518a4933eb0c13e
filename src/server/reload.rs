//! Puts a changed rules file in force: all of it or nothing. A signal, the admin door and the watch over
//! the file share one reloader, so no two of them are at it at once, and what one has tried the others
//! do not try again.

use super::stamps::Stamps;
use super::{Loaded, NotLoaded, load_noting, node_ttl};
use crate::audit;
use crate::live::Live;
use crate::rules::settings::StoreSettings;
use crate::rules::table::Table;
use crate::verify;
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

/// How often the files are read in a row where they change meanwhile. The second time is needed where the
/// rules name files that were not known before, the third where one of them is just being replaced.
const MAX_LOADS: usize = 3;

/// What was tried last, whether or not it could be used.
struct Tried {
    /// The rules file, and the files that it names.
    stamps: Stamps,
    /// The files that connections to the store are made with.
    of_store: Stamps,
    /// Why it was not put in force, where it was not: said once.
    failure: Option<String>,
}

/// Who wants the rules read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// A person, who knows what is in the file.
    Asked,
    /// The watch, which cannot tell a file that is meant from one that was cut off.
    Seen,
}

impl Reloader {
    /// For the file that the rules in force were read from when it and those that it names were so.
    pub(super) fn new(rules: &Path, live: Arc<ArcSwap<Live>>, stamps: Stamps) -> Reloader {
        let of_store = files_of_store(&live.load().table.store);
        let tried = Tried {
            stamps,
            of_store: Stamps::of(of_store),
            failure: None,
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
        self.try_again(&mut tried, Wish::Asked)
    }

    fn try_again(&self, tried: &mut Tried, wish: Wish) -> Result<(), String> {
        let old = self.live.load_full();
        let (loaded, stamps) = load_still(&self.rules, &tried.stamps);
        // What could not be read, for want of file descriptors or by a fault of the disk, is still to be tried.
        let is_unread = matches!(loaded, Err(NotLoaded::Unread(_)));
        if !is_unread {
            tried.stamps = stamps;
        }
        let loaded = loaded.map_err(NotLoaded::told);
        let renewed = loaded.and_then(|(table, warnings)| {
            same_ground(&old.table, &table)?;
            if wish == Wish::Seen {
                nothing_lost(&old.table, &table)?;
            }
            Ok((Live::new(table, old.ground.clone())?, warnings))
        });
        match renewed {
            Ok((live, warnings)) => {
                put_in_force(&self.live, live);
                tell_of_store(&mut tried.of_store);
                tried.failure = None;
                match warnings.is_empty() {
                    true => tracing::info!("the rules were reloaded"),
                    false => tracing::warn!("the rules were reloaded:\n{warnings}"),
                }
                Ok(())
            }
            Err(error) => {
                // Who asks is told each time. The watch, which tries for as long as it takes, does not repeat itself.
                let is_known = is_unread && tried.failure.as_ref() == Some(&error);
                if wish == Wish::Asked || !is_known {
                    old.ground
                        .metrics
                        .rules_reload_failed(old.ground.clock.now_ms());
                    old.stays();
                    tracing::error!("the rules were not reloaded:\n{error}");
                }
                tried.failure = Some(error.clone());
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
            let looked = tokio::task::spawn_blocking(move || reloader.look(seen)).await;
            seen = looked.unwrap_or_default();
        }
    }

    /// One look at the files, after one at which they were as `seen`, changed. Tries them if they still are so,
    /// and says how they are if they are still to be tried.
    fn look(&self, seen: Option<Stamps>) -> Option<Stamps> {
        let changed = self.changed()?;
        if seen.as_ref() != Some(&changed) {
            return Some(changed);
        }
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        // Others may have tried them meanwhile.
        if tried.stamps.now() == changed && tried.stamps != changed {
            let _ = self.try_again(&mut tried, Wish::Seen); // it has logged what came of it
        }
        None
    }

    /// How the files are, if that is not how they were when they were tried.
    fn changed(&self) -> Option<Stamps> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = tried.stamps.clone();
        drop(tried); // not held while the disk is asked
        let now = stamps.now();
        (now != stamps).then_some(now)
    }
}

/// Loads a rules file that stands still, with all that it names: how they were is seen before they are read
/// and is the same afterwards. What is copied over in place is valid at the end of nearly every line, and half
/// of it may be the half without the sets. `known` are the files that it is expected to name.
pub(super) fn load_still(rules: &Path, known: &Stamps) -> (Loaded, Stamps) {
    still(rules, known, || load_noting(rules, false))
}

fn still(
    rules: &Path,
    known: &Stamps,
    mut load: impl FnMut() -> (Loaded, Vec<PathBuf>),
) -> (Loaded, Stamps) {
    let expected = known.files().cloned().chain([rules.to_owned()]);
    let mut before = Stamps::of(expected.collect());
    for _ in 0..MAX_LOADS {
        let (loaded, mut files) = load();
        files.push(rules.to_owned());
        let is_still = before.are_of(&files) && before.now() == before;
        if is_still || matches!(loaded, Err(NotLoaded::Unread(_))) {
            return (loaded, before.only(&files));
        }
        before = Stamps::of(files);
    }
    let why = format!(
        "{} or a file that it names changes while it is read: write another file and rename it to that name\n",
        rules.display()
    );
    (Err(NotLoaded::Unread(why)), before)
}

/// What only a person is believed: without its last set a table forgets what writes drop, and a file that is cut
/// off looks just so.
fn nothing_lost(old: &Table, new: &Table) -> Result<(), String> {
    let lost = [
        ("[[cache]]", old.rules.len(), new.rules.len()),
        ("[[invalidate]]", old.sets.len(), new.sets.len()),
    ];
    let lost = lost.iter().find(|(_, old, new)| *old > 0 && *new == 0);
    lost.map_or(Ok(()), |(table, count, _)| {
        Err(format!(
            "the file has no {table} table any more, where there were {count}: it may have been cut off. \
             The old rules stay in force; if it is meant, say so with `sidecache reload` or SIGHUP\n"
        ))
    })
}

fn put_in_force(place: &ArcSwap<Live>, live: Live) {
    let ground = &live.ground;
    ground.store.renew(node_ttl(&live.table));
    ground.store.listen(live.table.answers_from_memory());
    ground.metrics.rules_loaded(ground.clock.now_ms());
    audit::count_from_none(&live);
    verify::begin(&live);
    live.begin_to_look();
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
    let now = before.now();
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

/// `max_entry`, `on_down`, `write_lease` and `budget` are asked of the rules in force, not of the store.
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
        failover,
        journal,
        budget: _,
    } = old;
    names([
        ("url", *url != new.url),
        ("timeout", *timeout != new.timeout),
        ("compress", *compress != new.compress),
        ("seal, seal_previous", *seal != new.seal),
        ("ca, cert, key", *tls != new.tls),
        ("failover", *failover != new.failover),
        ("journal", *journal != new.journal),
    ])
}

fn names<const N: usize>(changes: [(&'static str, bool); N]) -> Vec<&'static str> {
    let changed = changes.into_iter().filter(|(_, has_changed)| *has_changed);
    changed.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests;
