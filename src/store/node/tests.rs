use super::*;
use crate::digest::Digest;
use proptest::prelude::*;

const TOKEN: Version = *b"sixteen-letters!";
const NOW: u64 = 1_790_000_000_000_000;

/// The value after these soft drops, and the version that an entry recorded before each, and last.
fn history(moments: &[u64]) -> (Vec<u8>, Vec<Version>) {
    let mut value = TOKEN.to_vec();
    let mut versions = vec![version(&value).expect("a version")];
    for at in moments {
        value = softened(&value, *at).expect("the clock goes on");
        versions.push(version(&value).expect("a version"));
    }
    (value, versions)
}

fn since(value: &[u8], recorded: &Version) -> Option<u64> {
    match standing(value, recorded) {
        Standing::Softened { since_us } => Some(since_us),
        Standing::Present | Standing::Dropped => None,
    }
}

#[test]
fn a_node_that_was_never_softly_dropped_has_its_token_for_a_version() {
    assert_eq!(version(&TOKEN), Some(TOKEN));
    for foreign in [&b""[..], b"short", &[7; 17], &[7; 40]] {
        assert_eq!(version(foreign), None);
        assert_eq!(standing(foreign, &TOKEN), Standing::Dropped);
    }
}

#[test]
fn an_entry_counts_from_the_first_soft_drop_after_it() {
    let (value, versions) = history(&[NOW, NOW + 5, NOW + 9]);
    assert_eq!(since(&value, &versions[0]), Some(NOW));
    assert_eq!(since(&value, &versions[1]), Some(NOW + 5));
    assert_eq!(since(&value, &versions[2]), Some(NOW + 9));
    assert_eq!(standing(&value, &versions[3]), Standing::Present);
}

#[test]
fn a_drop_for_good_cannot_be_softened_before_or_after() {
    let (_, before) = history(&[NOW]);
    let other = *b"another-token-16";
    let anew = softened(&other, NOW + 9).expect("a value");
    for recorded in &before {
        assert_eq!(standing(&other, recorded), Standing::Dropped);
        assert_eq!(standing(&anew, recorded), Standing::Dropped);
    }
}

#[test]
fn a_version_that_the_node_has_not_had_yet_is_dropped() {
    let (_, later) = history(&[NOW, NOW + 5]);
    let (earlier, _) = history(&[NOW]);
    assert_eq!(standing(&earlier, &later[2]), Standing::Dropped);
    assert_eq!(standing(&TOKEN, &later[1]), Standing::Dropped);
    let garbled = [&TOKEN[..], b"no-number-at-all"].concat();
    assert_eq!(standing(&garbled, &TOKEN), Standing::Dropped);
}

#[test]
fn a_clock_that_was_set_back_makes_it_a_drop_for_good() {
    let (value, _) = history(&[NOW]);
    assert!(softened(&value, NOW - MAX_AHEAD_US + 1).is_some());
    assert!(softened(&value, NOW - MAX_AHEAD_US).is_none());
    assert_eq!(passed_ms(NOW, NOW - MAX_AHEAD_US), Some(0));
    assert_eq!(passed_ms(NOW, NOW - MAX_AHEAD_US - 1), None);
    assert_eq!(passed_ms(NOW, NOW + 1001), Some(2), "never too few");
}

#[test]
fn all_nodes_count_and_the_root_only_as_it_is() {
    let root = Root::new("ns:*".into(), Digest([3; 16]));
    let nodes = ["ns:*", "ns:a:*", "ns:a:1!"].map(str::to_owned);
    let top = root.entered(None, TOKEN);
    let (one, one_before) = history(&[NOW + 5]);
    let (two, two_before) = history(&[NOW]);
    let seen = root.version_of("ns:*", &top).expect("entered");
    let recorded = [seen, one_before[0], two_before[0]];
    let of = |values: [Option<&[u8]>; 3]| softened_since(&nodes, &recorded, &values, &root);
    assert_eq!(of([Some(&top), Some(&one), Some(&two)]), Some(NOW));
    assert_eq!(of([Some(&top), Some(&one), Some(&TOKEN)]), Some(NOW + 5));
    assert_eq!(of([Some(&top), Some(&TOKEN), Some(&TOKEN)]), None);
    assert_eq!(of([Some(&top), Some(&one), None]), None);
    assert_eq!(of([None, Some(&one), Some(&two)]), None);
    let others = root.entered(None, [9; 16]);
    assert_eq!(of([Some(&others), Some(&one), Some(&two)]), None);
    assert_eq!(
        softened_since(&nodes, &recorded[1..], &[Some(&one); 3], &root),
        None
    );
}

proptest! {
    /// The one thing that may never be: counted from later than it was.
    #[test]
    fn no_entry_counts_from_later_than_its_first_soft_drop(
        gaps in proptest::collection::vec(1u64..5_000_000, 1..40),
    ) {
        let moments: Vec<u64> = gaps
            .iter()
            .scan(NOW, |at, gap| { *at += gap; Some(*at) })
            .collect();
        let (value, versions) = history(&moments);
        prop_assert!(value.len() <= WIDTH * (1 + MAX_MOMENTS));
        for (place, recorded) in versions[..moments.len()].iter().enumerate() {
            let told = since(&value, recorded);
            let earliest = place.checked_sub(1).map_or(moments[0], |before| moments[before]);
            prop_assert!(told.is_some_and(|told| (earliest..=moments[place]).contains(&told)));
            if place == 0 || place + MAX_MOMENTS > moments.len() + 1 {
                prop_assert_eq!(told, Some(moments[place]), "the last are told exactly");
            }
        }
        prop_assert_eq!(standing(&value, &versions[moments.len()]), Standing::Present);
    }
}
