//! The Lua scripts once more, in Rust, each line for line: what the simulated server runs.
//! [`super::against_redis`] holds them against the originals in a real server.

use super::Reply;
use super::keys::{Keys, number};
use crate::store::scripts::{LEASE, SETTLE, SNAPSHOT, Script};
use bytes::Bytes;

/// Runs a script: keys, arguments, now in milliseconds.
pub(super) type Double = fn(&mut Keys, &[&str], &[Bytes], u64) -> Reply;

static DOUBLES: [(&Script, Double); 3] =
    [(&SNAPSHOT, snapshot), (&LEASE, lease), (&SETTLE, settle)];

/// The script of this text.
pub(super) fn by_text(text: &str) -> Option<&'static Script> {
    let mut all = DOUBLES.iter().map(|(script, _)| *script);
    all.find(|script| script.text == text)
}

/// What stands for the script of this digest.
pub(super) fn by_sha1(sha1: &str) -> Option<Double> {
    let mut all = DOUBLES.iter();
    all.find(|(script, _)| script.sha1() == sha1)
        .map(|(_, double)| *double)
}

fn argument(args: &[Bytes], place: usize) -> u64 {
    number(std::str::from_utf8(&args[place]).expect("numbers are words"))
}

/// A script ends at its first error.
fn ended(run: Result<Reply, Reply>) -> Reply {
    run.unwrap_or_else(|refused| refused)
}

fn snapshot(store: &mut Keys, keys: &[&str], args: &[Bytes], now: u64) -> Reply {
    let mut is_dirty = false;
    let mut version = |node: &str, intents: &str, token: &Bytes| {
        if let Some(version) = store.bytes(node).filter(|bytes| bytes.len() == 16) {
            return Ok(Reply::Bytes(version.clone()));
        }
        let mut life = argument(args, 0);
        if let Some((first, _)) = store.scores(intents)?.ends(Some(now)) {
            life = life.min(first - now);
        }
        if let Some(refused) = store.refuses_growth().filter(|_| !is_dirty) {
            return Err(refused);
        }
        is_dirty = true;
        store.put(node, token.clone(), now + life);
        Ok(Reply::Bytes(token.clone()))
    };
    let pairs = keys.chunks_exact(2).zip(&args[1..]);
    let versions: Result<Vec<_>, _> = pairs
        .map(|(pair, token)| version(pair[0], pair[1], token))
        .collect();
    ended(versions.map(Reply::Many))
}

fn lease(store: &mut Keys, keys: &[&str], args: &[Bytes], now: u64) -> Reply {
    let deadline = now + argument(args, 1);
    let mut register = |node: &str, intents: &str| {
        let mut scores = store.scores(intents)?;
        scores.remove_up_to(now);
        scores.add(&args[0], deadline);
        let (first, last) = scores.ends(None).expect("one was added");
        store.set_until(intents, last, now);
        if store.until(node).is_some_and(|until| until > first) {
            store.set_until(node, first, now);
        }
        Ok(())
    };
    let registered: Result<(), Reply> = keys
        .chunks_exact(2)
        .try_for_each(|pair| register(pair[0], pair[1]));
    ended(registered.map(|()| Reply::Number(1)))
}

fn settle(store: &mut Keys, keys: &[&str], args: &[Bytes], now: u64) -> Reply {
    let (leased, bumped) = keys.split_at(2 * argument(args, 1) as usize);
    for node in bumped {
        store.remove(node);
    }
    if args[2] == "1" {
        return Reply::Number(1);
    }
    let mut lift = |node: &str, intents: &str| {
        let mut scores = store.scores(intents)?;
        scores.remove(&args[0]);
        if !bumped.contains(&node) {
            scores.remove_up_to(now);
            let first = scores.ends(None).map(|(first, _)| first);
            let life = argument(args, 3);
            let life = first.map_or(life, |first| life.min(first - now));
            store.set_until(node, now + life, now);
        }
        Ok(())
    };
    let lifted: Result<(), Reply> = leased
        .chunks_exact(2)
        .try_for_each(|pair| lift(pair[0], pair[1]));
    ended(lifted.map(|()| Reply::Number(1)))
}
