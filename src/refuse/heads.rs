//! What a parsed request no longer shows: that its head was ambiguous.
//!
//! hyper takes a bare LF for the end of a line, equal lengths for one, and `Transfer-Encoding`
//! before `Content-Length`, as RFC 9112 allows it to; a proxy before us may have decided otherwise,
//! and then sees another message where we see the next request. So the bytes of a connection are
//! followed from head to head beside hyper.

/// Bytes of a line that are looked at: the names and values that matter are shorter.
const MAX_LOOKED_AT: usize = 64;

const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
const CONTENT_LENGTH: &[u8] = b"content-length";

/// Follows the bytes of a connection.
pub struct Heads {
    max_head: usize,
    /// Heads that came to their end.
    ended: usize,
    oversized: Option<Oversized>,
    at: At,
    /// The line under way, as far as it is looked at, without its end.
    line: Vec<u8>,
    last: u8,
    head: Head,
    doubtful: bool,
}

/// Where in the messages of a connection its bytes have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing of the next message has come.
    Between,
    /// Its head has begun.
    Head,
    /// Its head is over, its body is not.
    Body,
}

/// What of a head is longer than heads may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversized {
    /// The target alone.
    Target,
    /// The head.
    Head,
}

/// What of a head decides where its message ends.
#[derive(Default)]
struct Head {
    size: usize,
    begun: bool,
    lengths: usize,
    length: u64,
    codings: usize,
}

#[derive(Clone, Copy)]
enum At {
    /// In a head.
    Head,
    /// In so many bytes of a body.
    Body(u64),
    /// In the size line of a chunk.
    Size,
    /// In so many bytes of a chunk, with its CRLF.
    Chunk(u64),
    /// After the last chunk.
    Trailers,
}

impl Heads {
    /// Before the first byte of a connection whose heads have at most so many bytes.
    pub fn new(max_head: usize) -> Heads {
        Heads {
            max_head,
            ended: 0,
            oversized: None,
            at: At::Head,
            line: Vec::new(),
            last: 0,
            head: Head::default(),
            doubtful: false,
        }
    }

    /// Whether any head so far was one that others may read differently, or its end was lost. It
    /// stays so: nothing that follows on the connection can be trusted.
    pub fn doubtful(&self) -> bool {
        self.doubtful
    }

    /// Whether the head under way is longer than heads may be. It stays so.
    pub fn oversized(&self) -> Option<Oversized> {
        self.oversized
    }

    /// How many heads came to their end.
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Where the last byte stood.
    pub fn place(&self) -> Place {
        match self.at {
            At::Head if self.head.begun || !self.line.is_empty() => Place::Head,
            At::Head => Place::Between,
            _ => Place::Body,
        }
    }

    /// Takes the next bytes. Says how many, which is all unless a head is oversized: the head then
    /// ends with none of them.
    pub fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let (Some(first), false) = (rest.first(), self.doubtful) {
            let taken = match self.at {
                At::Body(left) | At::Chunk(left) => self.skip(left, rest.len()),
                At::Head | At::Size | At::Trailers => match self.whole_line(rest) {
                    Some(taken) => taken,
                    None if !self.has_room() => return bytes.len() - rest.len(),
                    None => {
                        self.byte(*first);
                        1
                    }
                },
            };
            rest = &rest[taken..];
        }
        bytes.len()
    }

    /// Takes a line of a head that is there from its first byte to its last, as most are, in one step.
    /// Says how many bytes those were; `None` where there is none that is beyond doubt and fits.
    fn whole_line(&mut self, bytes: &[u8]) -> Option<usize> {
        if !matches!(self.at, At::Head) || !self.line.is_empty() || self.last == b'\r' {
            return None;
        }
        let length = memchr::memchr2(b'\r', b'\n', bytes)?;
        let taken = length + 2;
        if bytes.get(length..taken)? != b"\r\n" || self.head.size + taken > self.max_head {
            return None;
        }
        self.head.size += taken;
        self.last = b'\n';
        self.head_line(&bytes[..length.min(MAX_LOOKED_AT)]);
        Some(taken)
    }

    /// Whether a head may have one byte more, which is counted.
    fn has_room(&mut self) -> bool {
        if !matches!(self.at, At::Head) {
            return true;
        }
        let is_target = !self.head.begun && self.line.contains(&b' ');
        self.head.size += 1;
        if self.head.size > self.max_head {
            self.oversized = Some(match is_target {
                true => Oversized::Target,
                false => Oversized::Head,
            });
        }
        self.oversized.is_none()
    }

    fn skip(&mut self, left: u64, available: usize) -> usize {
        let taken = usize::try_from(left).map_or(available, |left| left.min(available));
        let left = left - taken as u64;
        self.at = match self.at {
            At::Body(_) if left > 0 => At::Body(left),
            At::Chunk(_) if left > 0 => At::Chunk(left),
            At::Chunk(_) => At::Size,
            _ => At::Head,
        };
        taken
    }

    fn byte(&mut self, byte: u8) {
        let last = std::mem::replace(&mut self.last, byte);
        match byte {
            b'\n' if last != b'\r' => self.doubtful = true,
            b'\n' => self.line_ended(),
            // A CR that ends no line: some take it for an end, some for nothing.
            _ if last == b'\r' => self.doubtful = true,
            b'\r' => {}
            _ if self.line.len() < MAX_LOOKED_AT => self.line.push(byte),
            _ => {}
        }
    }

    fn line_ended(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        match self.at {
            At::Size => self.size(&line),
            At::Trailers if line.is_empty() => self.at = At::Head,
            At::Head => self.head_line(&line),
            _ => {} // a trailer
        }
        line.clear();
        self.line = line; // the next one needs its room
    }

    fn head_line(&mut self, line: &[u8]) {
        if !line.is_empty() {
            self.field(line);
        } else if self.head.begun {
            self.head_ended();
        } // else it is an empty line before a request
    }

    fn field(&mut self, line: &[u8]) {
        self.head.begun = true;
        if value_of(line, TRANSFER_ENCODING).is_some() {
            self.head.codings += 1;
        } else if let Some(value) = value_of(line, CONTENT_LENGTH) {
            self.head.lengths += 1;
            match number(value.trim_ascii(), 10) {
                Some(length) => self.head.length = length,
                None => self.doubtful = true,
            }
        }
    }

    fn head_ended(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.ended += 1;
        self.doubtful |= head.lengths + head.codings > 1;
        self.at = match (head.codings, head.length) {
            (0, 0) => At::Head,
            (0, length) => At::Body(length),
            _ => At::Size,
        };
    }

    fn size(&mut self, line: &[u8]) {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        match number(digits.trim_ascii_end(), 16) {
            Some(0) => self.at = At::Trailers,
            Some(size) => self.at = At::Chunk(size.saturating_add(2)),
            None => self.doubtful = true,
        }
    }
}

/// What stands behind the name and its colon, if that is what the line begins with.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// A number that is digits and nothing else.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_plain = text.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than the heads here.
    const MAX: usize = 1000;

    /// However the bytes are cut.
    fn doubtful(bytes: &str) -> bool {
        let mut whole = Heads::new(MAX);
        whole.follow(bytes.as_bytes());
        for cut in 1..8 {
            let mut pieces = Heads::new(MAX);
            for piece in bytes.as_bytes().chunks(cut) {
                assert_eq!(pieces.follow(piece), piece.len());
            }
            assert_eq!(pieces.doubtful(), whole.doubtful(), "{bytes:?} by {cut}");
        }
        whole.doubtful()
    }

    #[test]
    fn plain_messages_follow_each_other_without_doubt() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\n:\r\n";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n\na\n\r\nA\r\n0123456789\r\n0\r\nX: 1\r\n\r\n";
        for all in [
            [get, get, get],
            [post, chunked, get],
            [chunked, "\r\n", post],
        ] {
            assert!(!doubtful(&all.concat()), "{all:?}");
        }
    }

    #[test]
    fn what_others_may_read_differently_is_doubtful_also_behind_other_messages() {
        let before = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nCONTENT-LENGTH: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        ] {
            assert!(doubtful(head), "{head:?}");
            assert!(doubtful(&format!("{before}{head}")), "{head:?}");
        }
    }

    #[test]
    fn a_place_is_known_at_every_byte() {
        let message = b"\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        let mut heads = Heads::new(MAX);
        let places: Vec<Place> = message
            .iter()
            .map(|byte| {
                heads.follow(&[*byte]);
                heads.place()
            })
            .collect();
        let body = message.len() - 3; // from the last byte of the head
        assert_eq!(places[..2], [Place::Between; 2]);
        assert!(places[2..body].iter().all(|place| *place == Place::Head));
        assert_eq!(places[body..], [Place::Body, Place::Body, Place::Between]);
        assert_eq!(heads.ended(), 1);
    }

    #[test]
    fn a_head_may_have_so_many_bytes_and_not_one_more() {
        let head = b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n";
        let (mut fits, mut too_long) = (Heads::new(head.len()), Heads::new(head.len() - 1));
        assert_eq!(fits.follow(head), head.len());
        assert_eq!(fits.follow(head), head.len(), "each head has as much");
        assert_eq!((fits.oversized(), fits.ended()), (None, 2));
        assert_eq!(too_long.follow(head), head.len() - 1);
        assert_eq!(too_long.oversized(), Some(Oversized::Head));
        let mut target = Heads::new(8);
        assert_eq!(target.follow(head), 8);
        assert_eq!(target.oversized(), Some(Oversized::Target));
        let mut method = Heads::new(3);
        assert_eq!(method.follow(head), 3);
        assert_eq!(method.oversized(), Some(Oversized::Head));
    }
}
