use super::*;
use crate::entry::Stale;
use hyper::StatusCode;
use hyper::header::{IF_RANGE, RANGE};

const TEXT: &[u8] = b"0123456789";

fn entry(ranges: &[&str], body: &'static [u8]) -> Arc<Entry> {
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, HeaderValue::from_static("\"a\""));
    for range in ranges {
        let range = HeaderValue::from_str(range).expect("a valid value");
        headers.append(CONTENT_RANGE, range);
    }
    Arc::new(Entry {
        binding: binding(Digest([7; 16])),
        versions: Vec::new(),
        groups: Vec::new(),
        kept_at: 0,
        ttl: 0,
        stale: Stale::default(),
        initial_age: 0,
        took: 0,
        status: StatusCode::PARTIAL_CONTENT,
        headers,
        body: Bytes::from_static(body),
    })
}

fn part(ranges: &[&str], body: &'static [u8]) -> Part {
    Part::read(entry(ranges, body)).expect("a sound part")
}

fn piece(span: Range<usize>) -> (Piece, Bytes) {
    let bytes = Bytes::from_static(&TEXT[span.clone()]);
    (Piece { span, whole: 10 }, bytes)
}

fn asking(range: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))])
}

#[test]
fn a_part_is_read_only_where_it_holds_what_it_says() {
    let rows: [(&[&str], &'static [u8]); 10] = [
        (&[], b""),
        (&[], b"01"),
        (&["bytes 0-4/10"], b"0123"),
        (&["bytes 0-4/10"], b"012345"),
        (&["bytes 0-4/10", "bytes 8-9/11"], b"0123489"),
        (&["bytes 8-9/10", "bytes 0-4/10"], b"8901234"),
        (&["bytes 0-4/10", "bytes 4-5/10"], b"0123445"),
        (&["bytes 0-4/10", "bytes 5-6/10"], b"0123456"),
        (&["bytes 0-4/10", "bytes 8-10/10"], b"01234890"),
        (&["bytes 0-4/10", "8-9/10"], b"0123489"),
    ];
    for (ranges, body) in rows {
        assert!(Part::read(entry(ranges, body)).is_none(), "{ranges:?}");
    }
    let whole = Entry {
        status: StatusCode::OK,
        ..(*entry(&["bytes 0-4/10"], b"01234")).clone()
    };
    assert!(Part::read(Arc::new(whole)).is_none());
    let many: Vec<String> = (0..9)
        .map(|at| format!("bytes {0}-{0}/99", 2 * at))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(Part::read(entry(&many, b"012345678")).is_none());
    assert!(Part::read(entry(&many[1..], b"12345678")).is_some());
}

#[test]
fn one_range_that_one_span_holds_is_answered() {
    let part = part(&["bytes 0-3/10", "bytes 6-9/10"], b"01236789");
    let answer = |range| part.answer(&asking(range)).map(|(bytes, _)| bytes);
    for (range, text) in [
        ("bytes=0-3", Some("0123")),
        ("bytes=6-7", Some("67")),
        ("bytes=-4", Some("6789")),
        ("bytes=9-", Some("9")),
        ("bytes=3-6", None),
        ("bytes=0-4", None),
        ("bytes=5-", None),
        ("bytes=-5", None),
        ("bytes=0-1,2-3", None),
        ("bytes=10-", None),
        ("lines=0-1", None),
    ] {
        assert_eq!(answer(range), text.map(Bytes::from), "{range}");
    }
    assert!(part.answer(&HeaderMap::new()).is_none());
    let mut changed = asking("bytes=0-1");
    changed.insert(IF_RANGE, HeaderValue::from_static("\"b\""));
    assert!(part.answer(&changed).is_none());
}

#[test]
fn pieces_before_behind_between_and_over_what_is_held_are_joined() {
    let held = part(&["bytes 2-3/10", "bytes 6-7/10"], b"2367");
    for (span, ranges, body) in [
        (
            0..1,
            &["bytes 0-0/10", "bytes 2-3/10", "bytes 6-7/10"][..],
            "02367",
        ),
        (0..2, &["bytes 0-3/10", "bytes 6-7/10"], "012367"),
        (4..6, &["bytes 2-7/10"], "234567"),
        (3..7, &["bytes 2-7/10"], "234567"),
        (6..7, &["bytes 2-3/10", "bytes 6-7/10"], "2367"),
        (8..10, &["bytes 2-3/10", "bytes 6-9/10"], "236789"),
        (1..9, &["bytes 1-8/10"], "12345678"),
    ] {
        let (piece, bytes) = piece(span);
        let headers = &held.entry().headers;
        let joined = held.joined(&piece, &bytes, headers).expect("one state");
        let described = joined.describe(headers);
        let lines = described.get_all(CONTENT_RANGE).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        assert_eq!((&lines[..], &*joined.body), (ranges, body.as_bytes()));
        assert!(!joined.is_whole);
    }
    let (piece, bytes) = piece(0..10);
    let headers = &held.entry().headers;
    let whole = held.joined(&piece, &bytes, headers).expect("one state");
    assert!(whole.is_whole && whole.body == TEXT);
    let described = whole.describe(headers);
    assert_eq!(described[CONTENT_LENGTH], "10");
    assert!(!described.contains_key(CONTENT_RANGE));
}

#[test]
fn bytes_that_differ_where_they_meet_are_not_joined() {
    let held = part(&["bytes 2-5/10"], b"2345");
    let headers = &held.entry().headers;
    let piece = Piece {
        span: 5..7,
        whole: 10,
    };
    let lie = Bytes::from_static(b"x6");
    assert!(held.joined(&piece, &lie, headers).is_none());
    let short = Bytes::from_static(b"5");
    assert!(held.joined(&piece, &short, headers).is_none());
}
