//! Damage: what attackers, broken programs and bad lines do to a message.

use crate::chaos::Dice;

/// Pieces that change what a message means when they turn up in the wrong place.
const PIECES: [&[u8]; 30] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\r\n\r\n",
    b"\x0b",
    b"\xff",
    b"Content-Length: 5\r\n",
    b"content-length: 0\r\n",
    b"Content-Length : 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:\tchunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"Host: other.test\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"0\r\n\r\n",
    b"5;x=y\r\n",
    b"ffffffffffffffff",
    b"GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n",
    b"-1",
];

/// One of `corpus`, damaged in one to four ways; sometimes not at all.
pub fn mutated(corpus: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = corpus[dice.below(corpus.len())].to_vec();
    for _ in 0..dice.below(5) {
        damage(&mut bytes, corpus, dice);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, corpus: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + dice.mostly_small(40)).min(bytes.len());
    match dice.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.truncate(at),
        3 => {
            let again = bytes[at..end].to_vec();
            insert(bytes, at, &again);
        }
        4 => {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let line = lines
                .get(dice.below(lines.len().max(1)))
                .map(|line| line.to_vec());
            insert(bytes, at, &line.unwrap_or_default());
        }
        5 => {
            let other = corpus[dice.below(corpus.len())];
            insert(bytes, at, &other[dice.below(other.len())..]);
        }
        _ => insert(bytes, at, PIECES[dice.below(PIECES.len())]),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}
