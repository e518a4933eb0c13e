use super::*;
use crate::rules::settings::Compress;
use hyper::header::{CONTENT_TYPE, LINK};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

const CODINGS: [Compress; 3] = [Compress::None, Compress::Lz4, Compress::Zstd];

fn entry(body: impl Into<Bytes>) -> Entry {
    let mut headers = HeaderMap::new();
    headers.append("x-first", HeaderValue::from_static("1"));
    headers.append(LINK, HeaderValue::from_static("<a>"));
    headers.append(
        CONTENT_TYPE,
        HeaderValue::from_bytes(b"text/\xfcber").expect("opaque bytes"),
    );
    headers.append(LINK, HeaderValue::from_static("<b>"));
    Entry {
        binding: Digest([7; 16]),
        versions: vec![[1; 16], [2; 16]],
        groups: vec![Digest([3; 16]), Digest([4; 16]), Digest([5; 16])],
        kept_at: 1_700_000_000_123,
        ttl: 300_000,
        stale: Stale {
            since: 1,
            kept: 86_400_000,
            allowed: true,
            while_revalidate: 60_000,
            if_error: 3_600_000,
        },
        initial_age: 12,
        took: 34,
        status: StatusCode::NOT_FOUND,
        headers,
        body: body.into(),
    }
}

/// Bytes with a right format number and checksum, whatever they hold.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&xxh3_64(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn what_was_encoded_decodes_to_the_same_entry_under_every_coding() {
    for body in [vec![], b"short".to_vec(), b"doctor ".repeat(1000)] {
        for compress in CODINGS {
            let kept = entry(body.clone());
            let found = Entry::decode(&kept.encode(compress)).expect("decodes");
            assert_eq!(found, kept);
            let order = |entry: &Entry| {
                entry
                    .headers
                    .iter()
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(order(&found), order(&kept));
        }
    }
}

#[test]
fn a_body_is_compressed_only_from_a_size_on_and_only_if_that_helps() {
    let plain = |body: &[u8]| entry(body.to_vec()).encode(Compress::None).len();
    for compress in [Compress::Lz4, Compress::Zstd] {
        let long = b"doctor ".repeat(1000);
        assert!(entry(long.clone()).encode(compress).len() < plain(&long) / 4);
        let short = [b'a'; 1023];
        assert_eq!(entry(short.to_vec()).encode(compress).len(), plain(&short));
        let mut noise = [0; 4096];
        getrandom::fill(&mut noise).expect("the system has randomness");
        assert_eq!(entry(noise.to_vec()).encode(compress).len(), plain(&noise));
    }
}

#[test]
fn what_was_compressed_before_leaves_no_trace() {
    for length in [
        1 << 16,
        1 << 11,
        (1 << 16) - 1,
        (1 << 16) - 2,
        1 << 20,
        1 << 10,
    ] {
        for text in ["doctor ", "a patient's appointment "] {
            let kept = entry(text.repeat(length / text.len() + 1).into_bytes()[..length].to_vec());
            let alone = std::thread::spawn({
                let kept = kept.clone();
                move || kept.encode(Compress::Lz4)
            });
            let bytes = kept.encode(Compress::Lz4);
            assert_eq!(bytes, alone.join().expect("encodes"), "{length} of {text}");
            assert_eq!(Entry::decode(&bytes), Ok(kept));
        }
    }
}

#[test]
fn any_changed_or_missing_byte_is_found() {
    for compress in CODINGS {
        let bytes = entry(b"doctor ".repeat(200)).encode(compress);
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                assert_eq!(Entry::decode(&changed), Err(Undecodable), "byte {at}");
            }
            assert_eq!(Entry::decode(&bytes[..at]), Err(Undecodable), "cut at {at}");
        }
        assert_eq!(
            Entry::decode(&[&bytes[..], &[0]].concat()),
            Err(Undecodable)
        );
    }
}

#[test]
fn another_format_number_is_not_read() {
    let mut bytes = entry("x").encode(Compress::None);
    bytes[0] = 1;
    assert_eq!(Entry::decode(&bytes), Err(Undecodable));
}

#[test]
fn a_length_from_the_store_never_reserves_more_than_the_bound() {
    for coding in 0..=3 {
        for length in [MAX_BODY as u64 + 1, u64::MAX, 1 << 40] {
            let mut payload = entry("").encode(Compress::None).split_off(9);
            let end = payload.len();
            payload[0] = coding;
            payload[end - 8..].copy_from_slice(&length.to_le_bytes());
            payload.extend_from_slice(&[0; 64]);
            assert_eq!(Entry::decode(&framed(&payload)), Err(Undecodable));
        }
    }
}

#[test]
fn the_decoded_body_does_not_share_the_buffer_it_was_read_from() {
    let buffer = Bytes::from(entry("body").encode(Compress::None));
    let found = Entry::decode(&buffer).expect("decodes");
    assert!(!buffer.as_ptr_range().contains(&found.body.as_ptr()));
    assert!(buffer.is_unique());
}

#[test]
fn weight_counts_the_body_the_headers_and_an_overhead() {
    let (light, heavy) = (entry("").weight(), entry(vec![0; 5000]).weight());
    assert_eq!(heavy - light, 5000);
    assert!(light > 500);
}

#[test]
fn an_entry_expires_when_its_lifetime_is_over() {
    let kept = entry("");
    assert!(!kept.expired(kept.kept_at + kept.ttl - 1));
    assert!(kept.expired(kept.kept_at + kept.ttl));
    assert!(
        !Entry {
            ttl: u64::MAX,
            ..kept
        }
        .expired(u64::MAX - 1)
    );
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(Entry::decode(&bytes), Err(Undecodable));
    }

    #[test]
    fn a_forged_frame_decodes_or_not_but_never_panics(
        at in 0usize..200, with in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut payload = entry(b"doctor ".repeat(200)).encode(Compress::Lz4).split_off(9);
        let at = at.min(payload.len() - 1);
        let end = (at + with.len()).min(payload.len());
        payload[at..end].copy_from_slice(&with[..end - at]);
        if let Ok(found) = Entry::decode(&framed(&payload)) {
            prop_assert!(found.body.len() <= MAX_BODY);
        }
    }

    #[test]
    fn any_body_survives_any_coding(body in proptest::collection::vec(0u8..4, 0..5000)) {
        for compress in CODINGS {
            let kept = entry(body.clone());
            prop_assert_eq!(Entry::decode(&kept.encode(compress)), Ok(kept));
        }
    }
}
