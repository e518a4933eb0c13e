//! What opens, what does not, and what can be seen from outside.

use super::*;
use crate::digest::Digest;
use crate::secret::Secret;
use crate::store::names::Names;
use crate::store::root::Root;
use std::sync::Arc;

const NAME: &str = "ns:0123";

fn seal(keys: &[u8]) -> Seal {
    let secret = |byte: &u8| Secret::new([*byte; KEY_BYTES]);
    let (current, previous) = keys.split_first().expect("one key at least");
    let settings = SealSettings {
        current: secret(current),
        previous: previous.iter().map(secret).collect(),
    };
    Seal::new(&settings, "ns")
}

#[test]
fn what_was_sealed_opens_in_its_place_and_says_nothing_outside() {
    let seal = seal(&[1]);
    for value in [&b""[..], b"symptoms: none", &[0; 5000]] {
        let sealed = seal.seal(NAME, value).expect("sealed");
        assert_eq!(seal.open(NAME, &sealed).as_deref(), Some(value));
        assert_eq!(seal.open("ns:0124", &sealed), None, "moved");
        assert!(!sealed.windows(8).any(|part| b"symptoms".starts_with(part)));
    }
    let twice = [seal.seal(NAME, b"a"), seal.seal(NAME, b"a")];
    assert_ne!(twice[0], twice[1], "two nonces");
}

#[test]
fn no_changed_byte_opens() {
    let seal = seal(&[1]);
    let sealed = seal.seal(NAME, b"a value").expect("sealed");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(seal.open(NAME, &changed), None, "byte {at}");
        assert_eq!(seal.open(NAME, &sealed[..at]), None, "cut at {at}");
    }
    assert_eq!(seal.open(NAME, &[&sealed[..], b"x"].concat()), None);
}

#[test]
fn a_changed_key_opens_what_the_one_before_sealed_and_finds_it_by_the_same_names() {
    let (old, both, new) = (seal(&[1]), seal(&[2, 1]), seal(&[2]));
    let by_old = old.seal(NAME, b"a value").expect("sealed");
    let by_both = both.seal(NAME, b"a value").expect("sealed");
    assert_eq!(both.open(NAME, &by_old).as_deref(), Some(&b"a value"[..]));
    assert_eq!(new.open(NAME, &by_both).as_deref(), Some(&b"a value"[..]));
    assert_eq!(old.open(NAME, &by_both), None);
    assert_eq!(new.open(NAME, &by_old), None);
    assert_eq!(old.name("ns:a:*"), both.name("ns:a:*"));
    assert_ne!(new.name("ns:a:*"), both.name("ns:a:*"));
}

#[test]
fn names_keep_their_namespace_and_nothing_else_but_the_root_stays() {
    let root = Root::new("ns:*".into(), Digest([0; 16]));
    let names = Names::new(Some(Arc::new(seal(&[1]))), "ns", &root, false);
    assert_eq!(names.one("ns:*"), "ns:*");
    let hidden = names.one("ns:patients:details:ann");
    assert!(hidden.starts_with("ns:") && !hidden.contains("ann") && hidden.len() == 3 + 32);
    assert_ne!(hidden, names.one("ns:patients:details:bob"));
    let both = names
        .all(&["ns:*".to_owned(), "ns:patients:*".to_owned()])
        .into_owned();
    assert_eq!(
        both,
        ["ns:*".to_owned(), names.one("ns:patients:*").into_owned()]
    );
    let open = Names::new(None, "ns", &root, false);
    assert_eq!(
        open.one("ns:patients:details:ann"),
        "ns:patients:details:ann"
    );
}

#[test]
fn lengths_fall_into_buckets_that_waste_an_eighth_at_most() {
    let mut buckets = std::collections::BTreeSet::new();
    for length in 0..200_000 {
        let whole = bucket(length);
        assert!(
            whole >= length && whole <= length.max(LEAST_BYTES) * 9 / 8,
            "{length}: {whole}"
        );
        buckets.insert(whole);
    }
    assert!(buckets.len() < 200, "{} tell apart too much", buckets.len());
}
