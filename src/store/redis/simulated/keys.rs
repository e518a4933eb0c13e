//! What a simulated server holds, and its commands. Time is an argument.

use super::Reply;
use super::doubles;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Redis's own words where it is full.
const OOM: Reply = Reply::Refused("OOM command not allowed when used memory > 'maxmemory'.");

/// Redis's own words for a value of another type.
pub(super) const WRONGTYPE: Reply =
    Reply::Refused("WRONGTYPE Operation against a key holding the wrong kind of value");

/// A value of either type that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Bytes(Bytes),
    /// A sorted set: members and their scores.
    Scores(BTreeMap<Bytes, u64>),
}

#[derive(Clone, Debug)]
struct Held {
    value: Value,
    /// The last millisecond at which it is there; for ever where there is none.
    until: Option<u64>,
}

/// All keys, and the scripts that are known by their digest.
#[derive(Clone, Default)]
pub struct Keys {
    held: BTreeMap<String, Held>,
    scripts: BTreeSet<String>,
    /// Whether it refuses to grow.
    full: bool,
    /// Counts the servers' processes.
    process: u64,
    /// Whether it does not say which one it is.
    is_nobody: bool,
    /// Channels and messages that are yet to be delivered.
    published: Vec<(Bytes, Bytes)>,
}

impl Keys {
    /// Carries out one command at `now`, milliseconds.
    pub fn carry_out(&mut self, words: &[Bytes], now: u64) -> Reply {
        self.expire(now);
        let (command, args) = words.split_first().expect("a command has a name");
        let args: Vec<&str> = args.iter().map(word).collect();
        match (word(command), &args[..]) {
            ("PING", []) => Reply::Done,
            ("INFO", []) if self.is_nobody => Reply::Refused("NOPERM"),
            ("INFO", []) => {
                let info = format!("run_id:{}\r\nrole:master\r\n", self.process);
                Reply::Bytes(info.into())
            }
            ("TIME", []) => {
                let time = [now / 1000, now % 1000 * 1000].map(|number| number.to_string());
                Reply::Many(time.map(|number| Reply::Bytes(number.into())).to_vec())
            }
            ("GET", [key]) => self.get(key),
            ("MGET", keys) => Reply::Many(keys.iter().map(|key| self.version(key)).collect()),
            ("SET", [..]) if self.full => OOM,
            ("SET", [key, _, "PX", _, "NX"]) if self.held.contains_key(*key) => Reply::Nil,
            ("SET", [key, _, "PX", life] | [key, _, "PX", life, "NX"]) => {
                self.put(key, words[2].clone(), now + number(life));
                Reply::Done
            }
            ("PEXPIRE", [key, life]) => {
                let is_there = self.held.contains_key(*key);
                self.set_until(key, now + number(life), now);
                Reply::Number(i64::from(is_there))
            }
            ("INCRBY", [key, added]) => self.add(key, number(added)),
            ("UNLINK", keys) => self.unlink(keys),
            ("PUBLISH", [_, _]) => {
                self.publish(&words[1], words[2].clone());
                Reply::Number(0)
            }
            ("SUBSCRIBE", [_]) => Reply::Done,
            ("EVAL", [text, count, ..]) => {
                let script = doubles::by_text(text).expect("a script that has a double");
                self.scripts.insert(script.sha1().to_owned());
                self.run(script.sha1(), number(count) as usize, &words[3..], now)
            }
            ("EVALSHA", [sha1, ..]) if !self.scripts.contains(*sha1) => {
                Reply::Refused("NOSCRIPT No matching script. Please use EVAL.")
            }
            ("EVALSHA", [sha1, count, ..]) => {
                self.run(sha1, number(count) as usize, &words[3..], now)
            }
            other => panic!("the simulated server knows no {other:?}"),
        }
    }

    fn run(&mut self, sha1: &str, count: usize, words: &[Bytes], now: u64) -> Reply {
        let (keys, args) = words.split_at(count);
        let keys: Vec<&str> = keys.iter().map(word).collect();
        let double = doubles::by_sha1(sha1).expect("a script that was loaded has a double");
        double(self, &keys, args, now)
    }

    pub(super) fn publish(&mut self, channel: &Bytes, message: Bytes) {
        self.published.push((channel.clone(), message));
    }

    fn expire(&mut self, now: u64) {
        self.held
            .retain(|_, held| held.until.is_none_or(|until| now <= until));
    }

    fn get(&self, key: &str) -> Reply {
        match self.held.get(key).map(|held| &held.value) {
            None => Reply::Nil,
            Some(Value::Bytes(bytes)) => Reply::Bytes(bytes.clone()),
            Some(Value::Scores(_)) => WRONGTYPE,
        }
    }

    /// As `MGET` reads: of another type is as good as absent.
    fn version(&self, key: &str) -> Reply {
        match self.get(key) {
            Reply::Refused(_) => Reply::Nil,
            other => other,
        }
    }

    /// A key that is there keeps its end.
    fn add(&mut self, key: &str, added: u64) -> Reply {
        let before = self.bytes(key).map_or(0, |bytes| number(word(bytes)));
        let until = self.held.get(key).and_then(|held| held.until);
        let value = Value::Bytes((before + added).to_string().into());
        self.held.insert(key.to_owned(), Held { value, until });
        Reply::Number((before + added) as i64)
    }

    fn unlink(&mut self, keys: &[&str]) -> Reply {
        let there = keys.iter().filter(|key| self.remove(key)).count();
        Reply::Number(there as i64)
    }

    /// What a string holds.
    pub(super) fn bytes(&self, key: &str) -> Option<&Bytes> {
        match &self.held.get(key)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Scores(_) => None,
        }
    }

    /// The sorted set at `key`, which is made by the first member.
    ///
    /// # Errors
    /// The reply where something else is there.
    pub(super) fn scores(&mut self, key: &str) -> Result<Scores<'_>, Reply> {
        match self.held.get(key).map(|held| &held.value) {
            Some(Value::Bytes(_)) => Err(WRONGTYPE),
            _ => Ok(Scores {
                keys: self,
                key: key.to_owned(),
            }),
        }
    }

    pub(super) fn put(&mut self, key: &str, bytes: Bytes, until: u64) {
        let held = Held {
            value: Value::Bytes(bytes),
            until: Some(until),
        };
        self.held.insert(key.to_owned(), held);
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.held.remove(key).is_some()
    }

    /// The last millisecond of a key that is there; `u64::MAX` where it has none.
    pub(super) fn until(&self, key: &str) -> Option<u64> {
        Some(self.held.get(key)?.until.unwrap_or(u64::MAX))
    }

    /// `PEXPIREAT`
    pub(super) fn set_until(&mut self, key: &str, until: u64, now: u64) {
        if until <= now {
            self.remove(key);
        } else if let Some(held) = self.held.get_mut(key) {
            held.until = Some(until);
        }
    }

    /// Whether a script whose first write would grow it must end.
    pub(super) fn refuses_growth(&self) -> Option<Reply> {
        self.full.then_some(OOM)
    }
}

/// What is done to it from outside.
impl Keys {
    /// Refuses to grow, or no longer.
    pub fn fill_up(&mut self, full: bool) {
        self.full = full;
    }

    /// Another process that has loaded the same keys; of scripts it knows none.
    pub fn loaded_by(&self, process: u64) -> Keys {
        Keys {
            held: self.held.clone(),
            process,
            is_nobody: self.is_nobody,
            ..Keys::default()
        }
    }

    /// Says no more which process it is.
    pub fn hide(&mut self) {
        self.is_nobody = true;
    }

    /// What was published since this was last asked.
    pub fn published(&mut self) -> Vec<(Bytes, Bytes)> {
        std::mem::take(&mut self.published)
    }

    /// `FLUSHALL`
    pub fn flush(&mut self) {
        self.held.clear();
    }

    /// `SCRIPT FLUSH`
    pub fn forget_scripts(&mut self) {
        self.scripts.clear();
    }

    /// Evicts a key, as a server that is short of memory may at any time.
    pub fn evict(&mut self, key: &str) {
        self.remove(key);
    }

    /// All keys that are there, with their values and milliseconds left.
    pub fn all(&mut self, now: u64) -> Vec<(String, Value, Option<u64>)> {
        self.expire(now);
        let held = self.held.iter();
        held.map(|(key, held)| {
            let left = held.until.map(|until| until - now);
            (key.clone(), held.value.clone(), left)
        })
        .collect()
    }
}

/// A sorted set in its place: an empty one is none.
pub(super) struct Scores<'k> {
    keys: &'k mut Keys,
    key: String,
}

impl Scores<'_> {
    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<Bytes, u64>)) {
        let held = self.keys.held.entry(self.key.clone()).or_insert(Held {
            value: Value::Scores(BTreeMap::new()),
            until: None,
        });
        let Value::Scores(scores) = &mut held.value else {
            unreachable!("the type was looked at")
        };
        change(scores);
        if scores.is_empty() {
            self.keys.held.remove(&self.key);
        }
    }

    /// `ZREMRANGEBYSCORE -inf score`
    pub(super) fn remove_up_to(&mut self, score: u64) {
        self.change(|scores| scores.retain(|_, each| *each > score));
    }

    /// `ZADD`
    pub(super) fn add(&mut self, member: &Bytes, score: u64) {
        self.change(|scores| {
            scores.insert(member.clone(), score);
        });
    }

    /// `ZREM`
    pub(super) fn remove(&mut self, member: &Bytes) {
        self.change(|scores| {
            scores.remove(member);
        });
    }

    /// `ZCARD`
    pub(super) fn count(&self) -> usize {
        match self.keys.held.get(&self.key).map(|held| &held.value) {
            Some(Value::Scores(scores)) => scores.len(),
            _ => 0,
        }
    }

    /// Lowest score above a bound, and the highest of all.
    pub(super) fn ends(&self, above: Option<u64>) -> Option<(u64, u64)> {
        let Value::Scores(scores) = &self.keys.held.get(&self.key)?.value else {
            return None;
        };
        let above = scores
            .values()
            .filter(|score| above.is_none_or(|bound| **score > bound));
        let first = above.min()?;
        Some((*first, *scores.values().max()?))
    }
}

fn word(bytes: &Bytes) -> &str {
    // Values may be any bytes; only those that are no words are not understood as such.
    std::str::from_utf8(bytes).unwrap_or_default()
}

pub(super) fn number(word: &str) -> u64 {
    word.parse().expect("a number that this crate sent")
}
