//! An entry's bytes in the store.
//!
//! ```text
//! format     1 byte    3
//! checksum   8 bytes   XXH3-64 of all that follows; integers are little-endian
//! coding     1 byte    of the body: 0 as it is, 1 LZ4 block, 2 Zstandard
//! status     2 bytes
//! kept_at    8 bytes
//! ttl        8 bytes
//! stale      4 times 8 bytes: since, kept, while_revalidate, if_error
//! allowed    1 byte    whether it may be served stale: 0 or 1
//! age        4 bytes
//! took       4 bytes
//! binding   16 bytes
//! versions   2 bytes, then 16 each
//! groups     2 bytes, then 16 each
//! headers    2 bytes, then each: 2 + name, 4 + value; a repeated name stands repeatedly
//! body       8 bytes of its length before coding; the coded body is the rest
//! ```
//!
//! The checksum finds damage, not forgery: unless values are sealed, whoever may write to the store is
//! trusted to write entries. Bytes that are not exactly this are [`Undecodable`], which the store makes a miss.

use super::{Entry, Stale};
use crate::digest::{DIGEST_BYTES, Digest};
use crate::rules::settings::Compress;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use lz4_flex::block as lz4;
use std::cell::RefCell;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// Another layout gets another number, so that sidecars of two releases can share a store: each
/// takes the other's entries for misses.
const FORMAT: u8 = 3;

/// Format number and checksum.
const FRAME_BYTES: usize = 1 + 8;

/// Smaller bodies are not compressed. By `cargo bench --bench hot_path`, on JSON like the clinic's, LZ4 spares 34 % of
/// an entry at 1 KB for 0.2 µs more to read and 0.9 to write, 48 % at 2 KB for 0.4 and 1.6, 68 % at 20 KB for 3 and
/// 14, 71 % at 200 KB for 43 and 230. From here on that is quicker than to carry the bytes over any link below
/// 3 Gbit/s, even where each is read but once; Redis keeps it for as long as it lives.
const COMPRESS_FROM: usize = 1024;

/// Zstandard's level: its default balance. By the same command it spares a further eighth of the whole, for nine
/// times the time to read at 2 KB, four times at 20 KB and twice at 200 KB: of use where the link is far below a
/// gigabit or Redis's memory is dear.
const ZSTD_LEVEL: i32 = 3;

/// Longest body that is decoded, in bytes; far above any sensible `[store] max_entry`. No length
/// found in the store makes us reserve more.
pub const MAX_BODY: usize = 64 << 20;

/// Most bytes that one byte of an LZ4 block can stand for, so that a short foreign value cannot
/// make us reserve [`MAX_BODY`].
const LZ4_MAX_RATIO: usize = 255;

/// Shorter bodies are compressed with a table of places that are two bytes wide.
const LZ4_SHORT: usize = u16::MAX as usize;

thread_local! {
    /// Where LZ4 remembers what stood where in a short body. Cleared for each, but not allocated.
    static PLACES: RefCell<lz4::CompressTable> = RefCell::new(lz4::CompressTable::small());
}

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;

/// Bytes that are not an entry of this format: damaged, cut short, foreign, or of another release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an entry of this format")
    }
}

impl std::error::Error for Undecodable {}

impl Entry {
    /// Its bytes for the store. The body is compressed where that makes it smaller. An entry with
    /// a body above [`MAX_BODY`], more than 65,535 headers or a name longer than that is not kept
    /// whole and will not decode; nothing on the way here lets such an answer through.
    pub fn encode(&self, compress: Compress) -> Vec<u8> {
        let room = room(&self.body, compress);
        let mut bytes = Vec::with_capacity(self.weight() - self.body.len() + room);
        bytes.extend_from_slice(&[0; FRAME_BYTES]);
        bytes.push(PLAIN);
        bytes.extend_from_slice(&self.status.as_u16().to_le_bytes());
        bytes.extend_from_slice(&self.kept_at.to_le_bytes());
        bytes.extend_from_slice(&self.ttl.to_le_bytes());
        put_stale(&mut bytes, &self.stale);
        bytes.extend_from_slice(&self.initial_age.to_le_bytes());
        bytes.extend_from_slice(&self.took.to_le_bytes());
        bytes.extend_from_slice(&self.binding.0);
        bytes.extend_from_slice(&short(self.versions.len()));
        bytes.extend(self.versions.iter().flatten());
        bytes.extend_from_slice(&short(self.groups.len()));
        bytes.extend(self.groups.iter().flat_map(|group| group.0));
        put_headers(&mut bytes, &self.headers);
        bytes.extend_from_slice(&(self.body.len() as u64).to_le_bytes());
        bytes[FRAME_BYTES] = put_body(&mut bytes, &self.body, compress);
        // It may wait to be sent, and had room for a body that is not smaller. What is less than half of it
        // the allocator keeps, which is no more than the body for each answer that is being kept.
        bytes.shrink_to_fit();
        let checksum = xxh3_64(&bytes[FRAME_BYTES..]);
        bytes[0] = FORMAT;
        bytes[1..FRAME_BYTES].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads what [`Entry::encode`] wrote. Everything is copied, once, so the entry does not keep the
    /// buffer alive that `bytes` was read into. What its headers say is one copy, which they share.
    pub fn decode(bytes: &[u8]) -> Result<Entry, Undecodable> {
        let mut rest = Rest(checked(bytes)?);
        let coding = rest.array::<1>()?[0];
        let status = StatusCode::from_u16(u16::from_le_bytes(rest.array()?));
        Ok(Entry {
            status: status.map_err(|_| Undecodable)?,
            kept_at: u64::from_le_bytes(rest.array()?),
            ttl: u64::from_le_bytes(rest.array()?),
            stale: stale(&mut rest)?,
            initial_age: u32::from_le_bytes(rest.array()?),
            took: u32::from_le_bytes(rest.array()?),
            binding: Digest(rest.array::<DIGEST_BYTES>()?),
            versions: sixteens(&mut rest)?,
            groups: sixteens(&mut rest)?.into_iter().map(Digest).collect(),
            headers: headers(&mut rest)?,
            body: uncode(coding, u64::from_le_bytes(rest.array()?), rest.0)?,
        })
    }
}

/// What the frame holds, if its format is ours and its checksum right.
fn checked(bytes: &[u8]) -> Result<&[u8], Undecodable> {
    let mut rest = Rest(bytes);
    let format = rest.array::<1>()?[0];
    let checksum = u64::from_le_bytes(rest.array()?);
    match format == FORMAT && checksum == xxh3_64(rest.0) {
        true => Ok(rest.0),
        false => Err(Undecodable),
    }
}

/// A count in two bytes; a larger one is cut, which the checksum does not hide: what follows is
/// then read askew and does not decode.
fn short(count: usize) -> [u8; 2] {
    u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes()
}

fn put_stale(bytes: &mut Vec<u8>, stale: &Stale) {
    let spans = [
        stale.since,
        stale.kept,
        stale.while_revalidate,
        stale.if_error,
    ];
    bytes.extend(spans.iter().flat_map(|span| span.to_le_bytes()));
    bytes.push(stale.allowed.into());
}

fn stale(rest: &mut Rest<'_>) -> Result<Stale, Undecodable> {
    let mut span = || Ok(u64::from_le_bytes(rest.array()?));
    Ok(Stale {
        since: span()?,
        kept: span()?,
        while_revalidate: span()?,
        if_error: span()?,
        allowed: match rest.array::<1>()? {
            [0] => false,
            [1] => true,
            _ => return Err(Undecodable),
        },
    })
}

fn put_headers(bytes: &mut Vec<u8>, headers: &HeaderMap) {
    bytes.extend_from_slice(&short(headers.len()));
    for (name, value) in headers {
        bytes.extend_from_slice(&short(name.as_str().len()));
        bytes.extend_from_slice(name.as_str().as_bytes());
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
}

/// Appends a body, compressed where that makes it smaller, and says how.
fn put_body(bytes: &mut Vec<u8>, body: &[u8], compress: Compress) -> u8 {
    let begin = bytes.len();
    let coding = match compress {
        _ if body.len() < COMPRESS_FROM => None,
        Compress::None => None,
        Compress::Lz4 => put_lz4(bytes, body).map(|()| LZ4),
        Compress::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok().map(|coded| {
            bytes.extend_from_slice(&coded);
            ZSTD
        }),
    };
    coding
        .filter(|_| bytes.len() - begin < body.len())
        .unwrap_or_else(|| {
            bytes.truncate(begin);
            bytes.extend_from_slice(body);
            PLAIN
        })
}

/// Appends a body's LZ4 block. `None` where that cannot be, with whatever behind what was there before.
fn put_lz4(bytes: &mut Vec<u8>, body: &[u8]) -> Option<()> {
    let begin = bytes.len();
    bytes.resize(begin + lz4::get_maximum_output_size(body.len()), 0);
    let room = &mut bytes[begin..];
    let written = match body.len() < LZ4_SHORT {
        true => PLACES.with_borrow_mut(|places| lz4::compress_into_with_table(body, room, places)),
        false => lz4::compress_into(body, room),
    };
    bytes.truncate(begin + written.ok()?);
    Some(())
}

/// Room for a body, compressed or not.
fn room(body: &[u8], compress: Compress) -> usize {
    match compress {
        Compress::Lz4 => lz4::get_maximum_output_size(body.len()),
        Compress::None | Compress::Zstd => body.len(),
    }
}

fn uncode(coding: u8, length: u64, coded: &[u8]) -> Result<Bytes, Undecodable> {
    let length = usize::try_from(length).map_err(|_| Undecodable)?;
    let possible = match coding {
        PLAIN => length == coded.len(),
        LZ4 => length <= coded.len().saturating_mul(LZ4_MAX_RATIO),
        ZSTD => true,
        _ => false,
    };
    if !possible || length > MAX_BODY {
        return Err(Undecodable);
    }
    let body = match coding {
        LZ4 => lz4::decompress(coded, length).map_err(|_| Undecodable)?,
        ZSTD => zstd::bulk::decompress(coded, length).map_err(|_| Undecodable)?,
        _ => coded.to_vec(),
    };
    match body.len() == length {
        true => Ok(Bytes::from(body)),
        false => Err(Undecodable),
    }
}

/// Versions, or digests, which are as wide.
fn sixteens(rest: &mut Rest<'_>) -> Result<Vec<[u8; DIGEST_BYTES]>, Undecodable> {
    let count = usize::from(u16::from_le_bytes(rest.array()?));
    let (sixteens, _) = rest.take(count * DIGEST_BYTES)?.as_chunks();
    Ok(sixteens.to_vec())
}

fn headers(rest: &mut Rest<'_>) -> Result<HeaderMap, Undecodable> {
    let count = usize::from(u16::from_le_bytes(rest.array()?));
    let block = Bytes::copy_from_slice(rest.lines(count)?);
    let mut lines = Rest(&block);
    let mut headers = HeaderMap::try_with_capacity(count).map_err(|_| Undecodable)?;
    for _ in 0..count {
        let name = HeaderName::from_bytes(lines.name()?).map_err(|_| Undecodable)?;
        let value = block.slice_ref(lines.value()?);
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Undecodable)?;
        headers.try_append(name, value).map_err(|_| Undecodable)?;
    }
    Ok(headers)
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Undecodable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn name(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn value(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| Undecodable)?)
    }

    /// So many headers, all of which are there: a count alone reserves nothing.
    fn lines(&mut self, count: usize) -> Result<&'a [u8], Undecodable> {
        let mut rest = Rest(self.0);
        for _ in 0..count {
            rest.name()?;
            rest.value()?;
        }
        self.take(self.0.len() - rest.0.len())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Undecodable)?;
        self.0 = rest;
        Ok(*taken)
    }
}
