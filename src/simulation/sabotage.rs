//! What would be wrong with the protocol: each way of it must be found.

use crate::key;
use crate::store::simulated::{self, Held, Keys, Reply};
use bytes::Bytes;

/// A Redis that does not do what the protocol asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A write's drops are forgotten.
    NoBump,
    /// They happen with the lease, before the origin acts, and not afterwards.
    BumpBeforeTheOrigin,
    /// Intents are not counted: settling one write lifts the leases of all.
    OneSettlesAll,
    /// A lease is not registered at all.
    NoLease,
    /// The node that is dropped with whichever group is stays.
    GroupsUnseen,
    /// A node that comes back has the version that it had before.
    VersionsComeBack,
    /// What is to be dropped for good is dropped softly.
    HardIsSoft,
    /// A soft drop makes the node forget the earlier ones.
    OnlyTheLastMoment,
    /// A server does not say which one it is, so one that comes back with what it once held is believed.
    ServersAreAlike,
}

impl Sabotage {
    /// Carries out a command, wrongly.
    pub fn carry_out(self, keys: &mut Keys, words: &[Bytes], now: u64) -> Reply {
        match (self, simulated::name(words)) {
            (Sabotage::NoBump, "SETTLE") => keys.carry_out(&unbumped(words), now),
            (Sabotage::BumpBeforeTheOrigin, "SETTLE") => keys.carry_out(&unbumped(words), now),
            (Sabotage::BumpBeforeTheOrigin, "LEASE") => {
                let reply = keys.carry_out(words, now);
                let nodes = keys_of(words).iter().step_by(2);
                nodes.for_each(|node| keys.evict(&text(node)));
                reply
            }
            (Sabotage::OneSettlesAll, "SETTLE") => {
                let leased = 2 * number(&words[3 + number(&words[2]) + 1]);
                let intents = keys_of(words)[..leased].iter().skip(1).step_by(2);
                intents.for_each(|intents| keys.evict(&text(intents)));
                keys.carry_out(words, now)
            }
            (Sabotage::NoLease, "LEASE") => Reply::Many(vec![Reply::Number(0), Reply::Number(0)]),
            (Sabotage::GroupsUnseen, "SETTLE" | "UNLINK") => {
                keys.carry_out(&without_any_group(words), now)
            }
            (Sabotage::VersionsComeBack, "SNAPSHOT") => keys.carry_out(&unchanging(words), now),
            (Sabotage::HardIsSoft, "SETTLE") => keys.carry_out(&all_soft(words), now),
            (Sabotage::OnlyTheLastMoment, "SETTLE") => {
                let reply = keys.carry_out(words, now);
                forget_moments(keys, words, now);
                reply
            }
            _ => keys.carry_out(words, now),
        }
    }
}

/// The same settlement, where all that is dropped is dropped softly.
fn all_soft(words: &[Bytes]) -> Vec<Bytes> {
    let keys = keys_of(words);
    let args = &words[3 + keys.len()..];
    let dropped = keys.len() - 2 * number(&args[1]) - 1;
    let all = [Bytes::from(dropped.to_string())];
    [&words[..3], keys, &args[..5], &all, &args[6..]].concat()
}

/// Leaves a node its token and its last moment.
fn forget_moments(keys: &mut Keys, words: &[Bytes], now: u64) {
    let there = keys.all(now);
    for key in keys_of(words) {
        let held = there.iter().find(|(name, ..)| *name == text(key));
        if let Some((name, Held::Bytes(value), Some(left))) = held
            && value.len() > 32
            && name.starts_with("sim:counted:")
        {
            let value = [&value[..16], &value[value.len() - 16..]].concat();
            let left = left.to_string();
            let set = [&b"SET"[..], name.as_bytes(), &value, b"PX", left.as_bytes()];
            keys.carry_out(&set.map(Bytes::copy_from_slice), now);
        }
    }
}

fn text(word: &Bytes) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn number(word: &Bytes) -> usize {
    text(word).parse().expect("a count")
}

/// The keys of a script.
fn keys_of(words: &[Bytes]) -> &[Bytes] {
    &words[3..3 + number(&words[2])]
}

/// The same settlement without the nodes to delete.
fn unbumped(words: &[Bytes]) -> Vec<Bytes> {
    let args = &words[3 + number(&words[2])..];
    let with_root = 2 * number(&args[1]) + 1;
    let count = Bytes::from(with_root.to_string());
    let none = [Bytes::from_static(b"0")];
    let keys = &words[3..3 + with_root];
    [&words[..2], &[count], keys, &args[..5], &none, &args[6..]].concat()
}

/// The same settlement or deletion without the node that falls with every group.
fn without_any_group(words: &[Bytes]) -> Vec<Bytes> {
    let any_group = key::any_group_node("sim");
    let mut rest = words.to_vec();
    rest.retain(|word| *word != any_group.as_bytes());
    if simulated::name(words) == "SETTLE" {
        let count = number(&words[2]) - (words.len() - rest.len());
        rest[2] = Bytes::from(count.to_string());
    }
    rest
}

/// The same snapshot, offering for each node what its name comes to.
fn unchanging(words: &[Bytes]) -> Vec<Bytes> {
    let nodes = keys_of(words).chunks_exact(2); // a lock may follow
    let tokens = nodes.map(|node| {
        let digest = xxhash_rust::xxh3::xxh3_128(&node[0]);
        Bytes::copy_from_slice(&digest.to_le_bytes())
    });
    let (before, after) = words.split_at(7 + number(&words[2]));
    let locked = &after[keys_of(words).len() / 2..];
    let tokens = before.iter().cloned().chain(tokens);
    tokens.chain(locked.iter().cloned()).collect()
}
