//! The Lua scripts once more, in Rust, each line for line: what the simulated server runs.
//! [`super::against_redis`] holds them against the originals in a real server.

use super::Reply;
use super::keys::{Keys, number};
use crate::store::scripts::{LEASE, SETTLE, SNAPSHOT, Script};
use bytes::Bytes;

/// Runs a script: keys, arguments, now in milliseconds.
pub(super) type Double = fn(&mut Keys, &[&str], &[Bytes], u64) -> Reply;

static DOUBLES: [(&str, &Script, Double); 3] = [
    ("SNAPSHOT", &SNAPSHOT, snapshot),
    ("LEASE", &LEASE, lease),
    ("SETTLE", &SETTLE, settle),
];

/// The script of this text.
pub(super) fn by_text(text: &str) -> Option<&'static Script> {
    let mut all = DOUBLES.iter().map(|(_, script, _)| *script);
    all.find(|script| script.text == text)
}

/// What stands for the script of this digest.
pub(super) fn by_sha1(sha1: &str) -> Option<Double> {
    let mut all = DOUBLES.iter();
    all.find(|(_, script, _)| script.sha1() == sha1)
        .map(|(_, _, double)| *double)
}

/// What a command is called: a script by the name it has here.
pub fn name(words: &[Bytes]) -> &str {
    let word = |place: usize| {
        words
            .get(place)
            .and_then(|word| std::str::from_utf8(word).ok())
    };
    let called = DOUBLES.iter().find(|(_, script, _)| {
        word(1).is_some_and(|word| word == script.sha1() || word == script.text)
    });
    match called {
        Some((name, _, _)) => name,
        None => word(0).unwrap_or_default(),
    }
}

fn argument(args: &[Bytes], place: usize) -> u64 {
    number(std::str::from_utf8(&args[place]).expect("numbers are words"))
}

/// A script ends at its first error, else with its answer and how many calls it took.
fn ended(run: Result<Reply, Reply>, calls: usize) -> Reply {
    match run {
        Ok(answer) => Reply::Many(vec![answer, Reply::Number(calls as i64)]),
        Err(refused) => refused,
    }
}

/// Whether the root's value, a token and layouts, lists this one.
fn lists(value: &[u8], layout: &[u8]) -> bool {
    value[16..].chunks(16).any(|listed| listed == layout)
}

/// Whether it is there and lists any other.
fn lists_others(store: &Keys, root: &str, layout: &[u8]) -> bool {
    let value = store.bytes(root);
    value.is_some_and(|value| value.get(16..) != Some(layout))
}

/// A token, and moments behind it.
fn is_node(value: &[u8]) -> bool {
    value.len() >= 16 && value.len().is_multiple_of(16)
}

fn snapshot(store: &mut Keys, keys: &[&str], args: &[Bytes], now: u64) -> Reply {
    let (life, layout, full) = (argument(args, 0), &args[2], argument(args, 3) as usize);
    let (mut is_dirty, mut is_created) = (false, false);
    let mut intents_of_all = keys.chunks_exact(2).map(|pair| pair[1]);
    let is_pending = intents_of_all.any(|intents| store.until(intents).is_some());
    let mut calls = 1; // MGET
    let mut version = |node: &str, intents: &str, token: &Bytes| {
        let is_root = node.as_bytes() == args[1];
        let there = store.bytes(node).cloned();
        let (value, is_appended) = match there {
            Some(value) if !is_root && is_node(&value) => return Ok(value),
            None | Some(_) if !is_root => (token.clone(), false),
            Some(value) if value.len() >= 32 && value.len() % 16 == 0 => {
                if lists(&value, layout) {
                    return Ok(value.slice(..16));
                }
                match value.len() < full {
                    true => ([&value[..], layout].concat().into(), true),
                    false => ([&token[..], layout].concat().into(), false),
                }
            }
            _ => ([&token[..], layout].concat().into(), false),
        };
        let mut until = now + life;
        calls += 1; // APPEND or SET
        if !is_appended {
            let is_first = !is_created; // before it EXISTS, and TIME where intents are pending
            calls += usize::from(is_first) * (1 + usize::from(is_pending));
            calls += usize::from(is_pending); // ZRANGEBYSCORE
        }
        if is_appended {
            until = store.until(node).expect("it is there");
        } else if let Some((first, _)) = store.scores(intents)?.ends(Some(now)) {
            until = until.min(first);
        }
        if let Some(refused) = store.refuses_growth().filter(|_| !is_dirty) {
            return Err(refused);
        }
        is_dirty = true;
        is_created |= !is_appended;
        let version = match is_root {
            true => value.slice(..16),
            false => value.clone(),
        };
        store.put(node, value, until);
        Ok(version)
    };
    let pairs = keys.chunks_exact(2).zip(&args[4..]);
    let versions: Result<Vec<_>, _> = pairs
        .map(|(pair, token)| version(pair[0], pair[1], token).map(Reply::Bytes))
        .collect();
    if let ([lock], true, Ok(_)) = (keys.chunks_exact(2).remainder(), is_created, &versions) {
        let [.., value, life] = args else {
            unreachable!("a lock has a value and a lifetime");
        };
        let life = number(std::str::from_utf8(life).expect("numbers are words"));
        store.put(lock, value.clone(), now + life);
        calls += 1;
    }
    ended(versions.map(Reply::Many), calls)
}

fn lease(store: &mut Keys, keys: &[&str], args: &[Bytes], now: u64) -> Reply {
    let deadline = now + argument(args, 1);
    let is_shared = lists_others(store, keys[keys.len() - 2], &args[2]);
    let mut calls = 2; // TIME and GET
    let mut register = |node: &str, intents: &str| {
        let is_first = node == keys[0] && calls == 2;
        let mut scores = store.scores(intents)?;
        if is_first {
            scores.remove_up_to(now);
        }
        scores.add(&args[0], deadline);
        let (first, _) = scores.ends(None).expect("one was added");
        let is_old = first <= now;
        scores.remove_up_to(now);
        let (first, last) = scores.ends(None).expect("one was added");
        let has_others = scores.count() > 1;
        calls += 4 + usize::from(is_first) + 2 * usize::from(is_old) + usize::from(has_others);
        store.set_until(intents, last, now);
        store.set_until(node, first, now);
        Ok(())
    };
    let leased = match is_shared {
        true => keys,
        false => &keys[..keys.len() - 2],
    };
    let registered: Result<(), Reply> = leased
        .chunks_exact(2)
        .try_for_each(|pair| register(pair[0], pair[1]));
    ended(
        registered.map(|()| Reply::Number(i64::from(is_shared))),
        calls,
    )
}

/// What a settlement did so far.
struct Settling {
    /// Whether it changed anything.
    is_dirty: bool,
    /// Whether it asked for the time.
    is_timed: bool,
    calls: usize,
}

impl Settling {
    fn time(&mut self) {
        self.calls += usize::from(!self.is_timed);
        self.is_timed = true;
    }
}

fn soften(store: &mut Keys, node: &str, args: &[Bytes], now: u64, settling: &mut Settling) {
    let (full, ahead) = (argument(args, 6) as usize, argument(args, 7));
    settling.calls += 1; // GET
    let Some(until) = store.until(node) else {
        return;
    };
    let marked = store.bytes(node).filter(|value| is_node(value));
    let marked = marked.and_then(|value| {
        settling.time();
        let (token, moments) = value.split_at(16);
        let last = moments.rchunks(16).next().unwrap_or(b"0");
        let last = std::str::from_utf8(last)
            .ok()
            .and_then(|last| last.parse().ok());
        let at = (now * 1000).max(last.unwrap_or(0) + 1);
        let kept = match moments.len() >= full {
            true => [&moments[..16], &moments[32..]].concat(),
            false => moments.to_vec(),
        };
        let told = at <= now * 1000 + ahead;
        told.then(|| [token, &kept, format!("{at:016}").as_bytes()].concat())
    });
    settling.calls += usize::from(marked.is_some()); // SETRANGE
    match marked {
        Some(value) if settling.is_dirty || store.refuses_growth().is_none() => {
            store.put(node, value.into(), until);
        }
        _ => {
            settling.calls += 1;
            store.remove(node);
        }
    }
    settling.is_dirty = true;
}

fn settle(store: &mut Keys, keys: &[&str], args: &[Bytes], now: u64) -> Reply {
    let (leased, rest) = keys.split_at(2 * argument(args, 1) as usize);
    let (root, dropped) = rest.split_first().expect("the root is named");
    let (bumped, soft) = dropped.split_at(dropped.len() - argument(args, 5) as usize);
    let mut gone = bumped.to_vec();
    for node in bumped {
        store.remove(node);
    }
    let mut settling = Settling {
        is_dirty: !bumped.is_empty(),
        is_timed: false,
        calls: bumped.len().div_ceil(1000), // UNLINK
    };
    for node in soft {
        soften(store, node, args, now, &mut settling);
    }
    let asks_for_root = !dropped.is_empty() && !gone.contains(root);
    settling.calls += usize::from(asks_for_root);
    let is_shared = store
        .bytes(root)
        .is_some_and(|value| value.get(16..) != Some(&args[4]));
    let everything = asks_for_root && is_shared;
    if everything {
        settling.calls += 1;
        store.remove(root);
        gone.push(root);
    }
    if let Some(channel) = args.get(8).filter(|_| !dropped.is_empty()) {
        settling.calls += 1;
        let also = if everything { &[*root][..] } else { &[] };
        store.publish(channel, [dropped, also].concat().join("\n").into());
    }
    let everything = Reply::Number(i64::from(everything));
    if args[2] == "1" {
        return ended(Ok(everything), settling.calls);
    }
    let mut lift = |node: &str, intents: &str| {
        let mut scores = store.scores(intents)?;
        scores.remove(&args[0]);
        settling.calls += 1;
        if !gone.contains(&node) {
            settling.time();
            settling.calls += 2; // ZRANGEBYSCORE and PEXPIRE
            let first = scores.ends(Some(now)).map(|(first, _)| first);
            let until = now + argument(args, 3);
            store.set_until(node, first.map_or(until, |first| until.min(first)), now);
        }
        Ok(())
    };
    let lifted: Result<(), Reply> = leased
        .chunks_exact(2)
        .try_for_each(|pair| lift(pair[0], pair[1]));
    ended(lifted.map(|()| everything), settling.calls)
}
