//! What stands in a node: a random token, and behind it when the node was softly dropped.
//!
//! A drop deletes the node; a *soft* drop leaves the token and adds the moment, on the store's own
//! clock. A node's version, as entries record it, is its token and the last of these moments together,
//! mixed into 16 bytes: to all that only compares versions a soft drop is a drop, and nobody but this
//! file knows better. Held against the node, the version that an entry recorded tells which it was:
//!
//! - the present one: nothing was dropped;
//! - the same token and an earlier moment: softly dropped, and the moments behind that one tell since when;
//! - anything else: another token, from before a drop for good. No soft drop before or after brings it
//!   back.
//!
//! Moments only grow, so no version comes back under one token. What counts for an entry is the first
//! soft drop that it was kept before, not the last, or else writes enough would keep it for ever. So the
//! node lists several. A node that is softly dropped often leaves some out behind the first, and an entry
//! from among these counts from the moment that it recorded itself: too early by as long as nothing was
//! dropped, never too late.

use super::root::Root;
use crate::entry::Version;

/// Bytes of the token, and of each moment: decimal microseconds of Unix time.
const WIDTH: usize = size_of::<Version>();

/// Most moments that a node lists, so that a look at one stays below 150 bytes. Of an entry that is kept
/// anew the next six drops are told apart exactly.
pub const MAX_MOMENTS: usize = 8;

/// So far a moment may be ahead of the clock, in microseconds. One that is further was read from a clock
/// that was set back since; how long ago it was nobody knows, so it counts as a drop for good.
pub const MAX_AHEAD_US: u64 = 1_000_000;

/// The moment in a version whose node was never softly dropped.
const NEVER: [u8; WIDTH] = [0; WIDTH];

/// How an entry's version stands to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is the node's present one.
    Present,
    /// Softly dropped, and not before this moment.
    Softened { since_us: u64 },
    /// Dropped for good.
    Dropped,
}

/// The version of a node by its value; `None` where the value is none of ours.
pub fn version(value: &[u8]) -> Option<Version> {
    let (token, moments) = parts(value)?;
    Some(mixed(token, moments.last().unwrap_or(&NEVER)))
}

/// When an entry that recorded these versions was first softly dropped, in microseconds on the store's
/// clock; `None` where it was not, or dropped for good. `values` are those of the nodes now. The root is
/// only ever dropped for good.
pub fn softened_since(
    nodes: &[String],
    recorded: &[Version],
    values: &[Option<impl AsRef<[u8]>>],
    root: &Root,
) -> Option<u64> {
    if recorded.len() != nodes.len() || values.len() != nodes.len() {
        return None;
    }
    let mut first = None;
    for ((node, recorded), value) in nodes.iter().zip(recorded).zip(values) {
        let value = value.as_ref()?.as_ref();
        let standing = match node == root.name() {
            true if root.version_of(node, value) == Some(*recorded) => Standing::Present,
            true => Standing::Dropped,
            false => standing(value, recorded),
        };
        first = match standing {
            Standing::Present => first,
            Standing::Softened { since_us } => Some(first.unwrap_or(since_us).min(since_us)),
            Standing::Dropped => return None,
        };
    }
    first
}

/// Whole milliseconds from a moment until now, never too few; `None` for one too far ahead of the clock.
pub fn passed_ms(since_us: u64, now_us: u64) -> Option<u64> {
    let is_told = since_us <= now_us.saturating_add(MAX_AHEAD_US);
    is_told.then(|| now_us.saturating_sub(since_us).div_ceil(1000))
}

/// The value of a node that is softly dropped now: what the settling script does, for a store in memory.
/// `None` where it has to be deleted.
pub fn softened(value: &[u8], now_us: u64) -> Option<Vec<u8>> {
    let (token, moments) = parts(value)?;
    let last = moments.last().map_or(Some(0), moment)?;
    let at = now_us.max(last + 1);
    if at > now_us + MAX_AHEAD_US {
        return None;
    }
    let mut moments = moments.to_vec();
    if moments.len() >= MAX_MOMENTS {
        moments.remove(1);
    }
    let at = format!("{at:016}");
    Some([&token[..], &moments.concat(), at.as_bytes()].concat())
}

fn standing(value: &[u8], recorded: &Version) -> Standing {
    let Some((token, moments)) = parts(value) else {
        return Standing::Dropped;
    };
    let before = mixed(token, recorded);
    if before == *moments.last().unwrap_or(&NEVER) {
        return Standing::Present;
    }
    let since = || {
        let before = if before == NEVER { 0 } else { moment(&before)? };
        let moments: Vec<u64> = moments.iter().map(moment).collect::<Option<_>>()?;
        let next = moments.iter().position(|moment| *moment > before)?;
        let may_lack_some = next == 1 && moments.len() >= MAX_MOMENTS;
        Some(if may_lack_some { before } else { moments[next] })
    };
    match since() {
        Some(since_us) => Standing::Softened { since_us },
        None => Standing::Dropped,
    }
}

/// Token and moments, the oldest first.
fn parts(value: &[u8]) -> Option<(&Version, &[[u8; WIDTH]])> {
    let (whole, rest) = value.as_chunks();
    whole.split_first().filter(|_| rest.is_empty())
}

/// Two of token, moment and version give the third.
fn mixed(one: &Version, other: &[u8; WIDTH]) -> Version {
    std::array::from_fn(|at| one[at] ^ other[at])
}

fn moment(text: &[u8; WIDTH]) -> Option<u64> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
