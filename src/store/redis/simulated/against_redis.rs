//! The simulated server beside a real one: the same calls, drawn at random, must leave the same
//! behind. So the doubles cannot drift from the Lua.

use super::doubles;
use super::keys::Keys;
use super::server::RedisServer;
use super::{Held, Reply};
use crate::store::scripts::{LEASE, SETTLE, SNAPSHOT, Script, intents_of};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

/// So long that it does not end within a run.
const LONG_MS: [u64; 3] = [100_000, 200_000, 5_000_000];
/// Shorter than the wait after each call that uses it.
const SHORT_MS: u64 = 2;
/// What a call leaves behind may differ by as much as it took, and by Redis's rounding.
const ROUNDING_MS: u64 = 1;

const NODES: [&str; 3] = ["{sim}node:a", "{sim}node:b", "{sim}node:c"];
/// The node whose value lists layouts, and two of them.
const ROOT: &str = "{sim}node:c";
const LAYOUTS: [&str; 3] = ["layout-number-1!", "layout-number-2!", "layout-number-3!"];
/// Bytes of a register that takes no more than two.
const FULL: &str = "48";
/// Bytes of the most moments that a node lists, so few that some are left out; and by how many
/// microseconds one may be ahead.
const MOMENTS: &str = "48";
const AHEAD: &str = "1000000";
/// What a snapshot may take along, as what, and for how long.
const LOCK: &str = "{sim}lock";
const HELD: &str = "+";
const LOCK_LIFE: &str = "100000";
const WRITES: [&str; 3] = ["write-1", "write-2", "write-3"];

/// One command, and whether something that it leaves ends at once.
#[derive(Clone, Debug)]
struct Call {
    words: Vec<Bytes>,
    is_short: bool,
}

fn words<T: Into<Bytes>>(words: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    words.into_iter().map(Into::into).collect()
}

fn eval(script: &Script, keys: Vec<String>, args: Vec<String>) -> Vec<Bytes> {
    let before = [
        "EVAL".to_owned(),
        script.text.to_owned(),
        keys.len().to_string(),
    ];
    words(before.into_iter().chain(keys).chain(args))
}

fn with_intents(nodes: &[&str]) -> Vec<String> {
    let pairs = nodes
        .iter()
        .flat_map(|node| [(*node).to_owned(), intents_of(node)]);
    pairs.collect()
}

fn lives() -> impl Strategy<Value = u64> {
    prop_oneof![4 => select(LONG_MS.to_vec()), 1 => Just(SHORT_MS)]
}

fn some_nodes() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(NODES.to_vec(), 1..=NODES.len())
}

fn snapshots() -> impl Strategy<Value = Call> {
    let layout = select(LAYOUTS.to_vec());
    let takes = proptest::bool::ANY;
    let call = (some_nodes(), lives(), "[a-z]{16}", layout, takes);
    call.prop_map(|(nodes, life, token, layout, takes)| {
        let tokens = nodes
            .iter()
            .map(|node| format!("{}{}", &token[1..], &node[node.len() - 1..]));
        let args = [&life.to_string(), ROOT, layout, FULL].map(str::to_owned);
        let lock = takes.then_some([HELD, LOCK_LIFE].map(str::to_owned));
        let args = args
            .into_iter()
            .chain(tokens)
            .chain(lock.into_iter().flatten());
        let mut keys = with_intents(&nodes);
        keys.extend(takes.then(|| LOCK.to_owned()));
        let words = eval(&SNAPSHOT, keys, args.collect());
        Call {
            words,
            is_short: life == SHORT_MS,
        }
    })
}

fn leases() -> impl Strategy<Value = Call> {
    let write = (select(WRITES.to_vec()), select(LAYOUTS.to_vec()));
    (some_nodes(), lives(), write).prop_map(|(nodes, life, (write, layout))| {
        let args = [write, &life.to_string(), layout].map(str::to_owned);
        let nodes = [nodes, vec![ROOT]].concat();
        let words = eval(&LEASE, with_intents(&nodes), args.to_vec());
        Call {
            words,
            is_short: life == SHORT_MS,
        }
    })
}

fn settlements() -> impl Strategy<Value = Call> {
    let bumped = proptest::sample::subsequence(NODES.to_vec(), 0..=NODES.len());
    let soft = proptest::sample::subsequence(NODES[..2].to_vec(), 0..=2);
    let bumps = (bumped, soft);
    let leave = prop_oneof![3 => Just("0"), 1 => Just("1")];
    let write = (select(WRITES.to_vec()), select(LAYOUTS.to_vec()));
    (some_nodes(), bumps, leave, write, lives()).prop_map(
        |(leased, (bumped, mut soft), leave, (write, layout), life)| {
            soft.retain(|node| !bumped.contains(node));
            let keys = with_intents(&leased).into_iter();
            let keys = keys
                .chain([ROOT.to_owned()])
                .chain(bumped.iter().chain(&soft).map(|node| (*node).to_owned()))
                .collect();
            let count = leased.len().to_string();
            let (life_ms, soft) = (life.to_string(), soft.len().to_string());
            let args = [
                write, &count, leave, &life_ms, layout, &soft, MOMENTS, AHEAD,
            ];
            let args = args.map(str::to_owned).to_vec();
            let words = eval(&SETTLE, keys, args);
            Call {
                words,
                is_short: life == SHORT_MS,
            }
        },
    )
}

fn plain() -> impl Strategy<Value = Call> {
    let node = select(NODES.to_vec());
    let values = [
        "foreign",
        "sixteen-letters!",
        "sixteen-letters!layout-number-1!",
        "sixteen-letters!1000000000000000",
        "sixteen-letters!9000000000000000",
    ];
    let set = (node.clone(), lives(), select(values.to_vec()));
    let claim = (node.clone(), lives());
    let expire = (node.clone(), lives());
    prop_oneof![
        some_nodes().prop_map(|nodes| (words([vec!["UNLINK"], nodes].concat()), false)),
        some_nodes().prop_map(|nodes| (words([vec!["MGET"], nodes].concat()), false)),
        node.prop_map(|node| (words(["GET", node]), false)),
        set.prop_map(|(node, life, value)| {
            let life_ms = life.to_string();
            let set = ["SET", node, value, "PX", &life_ms].map(str::to_owned);
            (words(set), life == SHORT_MS)
        }),
        claim.prop_map(|(node, life)| {
            let set = ["SET", node, "claimed", "PX", &life.to_string(), "NX"].map(str::to_owned);
            (words(set), life == SHORT_MS)
        }),
        expire.prop_map(|(node, life)| {
            let expire = ["PEXPIRE", node, &life.to_string()].map(str::to_owned);
            (words(expire), life == SHORT_MS)
        }),
    ]
    .prop_map(|(words, is_short)| Call { words, is_short })
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![3 => snapshots(), 3 => leases(), 3 => settlements(), 1 => plain()];
    proptest::collection::vec(call, 1..20)
}

/// Milliseconds of Redis's clock.
fn now(redis: &RedisServer) -> u64 {
    let time = redis.say("TIME");
    let (seconds, micros) = time.split_once('\n').expect("two numbers");
    let number = |text: &str| text.parse::<u64>().expect("a number");
    number(seconds) * 1000 + number(micros) / 1000
}

/// What a key holds, apart from times, and the times.
type Seen = BTreeMap<String, (Vec<String>, Vec<u64>)>;

fn seen_in_redis(redis: &RedisServer) -> Seen {
    let keys = redis.say("KEYS *");
    let keys = keys.lines().filter(|key| !key.is_empty());
    keys.map(|key| {
        let until = redis
            .say(&format!("PEXPIRETIME {key}"))
            .parse()
            .expect("a number");
        let mut times = vec![until];
        let held = match redis.say(&format!("TYPE {key}")).as_str() {
            "string" => string(&redis.say(&format!("GET {key}")), &mut times),
            _ => {
                let scores = redis.say(&format!("ZRANGE {key} 0 -1 WITHSCORES"));
                let scores: Vec<&str> = scores.lines().collect();
                let mut scores: Vec<_> = scores
                    .chunks(2)
                    .map(|each| (each[0].to_owned(), each[1]))
                    .collect();
                scores.sort();
                times.extend(
                    scores
                        .iter()
                        .map(|(_, score)| score.parse::<u64>().expect("a number")),
                );
                scores.into_iter().map(|(member, _)| member).collect()
            }
        };
        (key.to_owned(), (held, times))
    })
    .collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sixteen letters each; the moments among them, which are microseconds, go to the times.
fn string(value: &str, times: &mut Vec<u64>) -> Vec<String> {
    let pieces = value.as_bytes().chunks(16).map(String::from_utf8_lossy);
    let (moments, rest): (Vec<_>, Vec<_>) = pieces.partition(|piece| is_moment(piece));
    times.extend(
        moments
            .iter()
            .map(|moment| moment.parse::<u64>().expect("digits") / 1000),
    );
    let count = format!("{} moments", moments.len());
    rest.into_iter().map(Into::into).chain([count]).collect()
}

fn is_moment(piece: &str) -> bool {
    piece.len() == 16 && piece.bytes().all(|byte| byte.is_ascii_digit())
}

/// A reply without the moments, which are compared where they are held.
fn timeless(said: &str) -> String {
    let of_line = |line| string(line, &mut Vec::new()).concat();
    said.lines().map(of_line).collect::<Vec<_>>().join("\n")
}

fn seen_in_double(keys: &mut Keys, now: u64) -> Seen {
    let all = keys.all(now).into_iter();
    all.map(|(key, held, left)| {
        let mut times = vec![now + left.expect("everything ends")];
        let held = match held {
            Held::Bytes(bytes) => string(&text(&bytes), &mut times),
            Held::Scores(scores) => {
                times.extend(scores.values());
                scores.keys().map(text).collect()
            }
        };
        (key, (held, times))
    })
    .collect()
}

/// A reply as the real server's are shown.
fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Done => "OK".into(),
        Reply::Nil => "(nil)".into(),
        Reply::Number(number) => number.to_string(),
        Reply::Bytes(bytes) => text(bytes),
        Reply::Many(all) => all.iter().map(shown).collect::<Vec<_>>().join("\n"),
        Reply::Refused(said) => format!("-{said}"),
    }
}

fn same(real: &Seen, double: &Seen, tolerance: u64) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        real.keys().collect::<Vec<_>>(),
        double.keys().collect::<Vec<_>>()
    );
    for (key, (held, times)) in real {
        let (double_held, double_times) = &double[key];
        prop_assert_eq!(held, double_held, "{}", key);
        prop_assert_eq!(times.len(), double_times.len());
        let near = |(real, double): (&u64, &u64)| real.abs_diff(*double) <= tolerance;
        prop_assert!(
            times.iter().zip(double_times).all(near),
            "{}: {:?} beside {:?}, give or take {}",
            key,
            times,
            double_times,
            tolerance
        );
    }
    Ok(())
}

/// Carries out the same calls in both, and compares after each.
fn held_against(redis: &RedisServer, calls: &[Call]) -> Result<(), TestCaseError> {
    redis.say("FLUSHALL");
    let mut double = Keys::default();
    let mut tolerance = ROUNDING_MS;
    for call in calls {
        let before = now(redis);
        let ours = double.carry_out(&call.words, before);
        let said: Vec<&[u8]> = call.words.iter().map(|word| &word[..]).collect();
        let theirs = redis.ask(&said);
        prop_assert_eq!(timeless(&shown(&ours)), timeless(&theirs), "{:?}", call);
        let mut after = now(redis);
        tolerance = tolerance.max(after - before + ROUNDING_MS);
        // What ends at once has ended in both.
        while call.is_short && now(redis) <= after + SHORT_MS + tolerance {}
        after = now(redis);
        let real = seen_in_redis(redis);
        same(&real, &seen_in_double(&mut double, after), tolerance)?;
    }
    Ok(())
}

#[test]
fn scripts_and_their_doubles_leave_the_same_behind() {
    let redis = RedisServer::start();
    let config = ProptestConfig::with_cases(200);
    proptest!(config, |(calls in calls())| held_against(&redis, &calls)?);
}

#[test]
fn a_full_server_and_its_double_refuse_the_same() {
    let redis = RedisServer::start();
    let mut double = Keys::default();
    let nodes = with_intents(&NODES[..1]);
    let leased = with_intents(&[NODES[0], ROOT]);
    let args = [WRITES[0], "1000", LAYOUTS[0]].map(str::to_owned);
    let lease = eval(&LEASE, leased, args.to_vec());
    let args = ["1000", ROOT, LAYOUTS[0], FULL, "sixteen-letters!"].map(str::to_owned);
    let snapshot = eval(&SNAPSHOT, nodes, args.to_vec());
    let set = words(["SET", NODES[1], "value", "PX", "1000"]);
    redis.say("CONFIG SET maxmemory 1");
    double.fill_up(true);
    for call in [lease, snapshot, set] {
        let said: Vec<&[u8]> = call.iter().map(|word| &word[..]).collect();
        let theirs = redis.ask(&said);
        let ours = shown(&double.carry_out(&call, now(&redis)));
        let code = |said: &str| said.split(' ').next().map(str::to_owned);
        assert_eq!(code(&ours), code(&theirs), "{call:?}");
    }
}

#[test]
fn every_script_has_a_double() {
    for script in [&SNAPSHOT, &LEASE, &SETTLE] {
        assert!(
            doubles::by_text(script.text).is_some() && doubles::by_sha1(script.sha1()).is_some()
        );
    }
}
