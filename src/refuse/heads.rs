//! What a parsed request no longer shows: that its head was ambiguous.
//!
//! hyper takes a bare LF for the end of a line, equal lengths for one, and `Transfer-Encoding`
//! before `Content-Length`, as RFC 9112 allows it to; a proxy before us may have decided otherwise,
//! and then sees another message where we see the next request. So the bytes of a connection are
//! followed from head to head beside hyper.

/// Bytes of a line that are looked at: the names and values that matter are shorter.
const MAX_LOOKED_AT: usize = 64;

/// Follows the bytes of a connection.
pub struct Heads {
    at: At,
    /// The line under way, as far as it is looked at, without its end.
    line: Vec<u8>,
    last: u8,
    head: Head,
    doubtful: bool,
}

/// What of a head decides where its message ends.
#[derive(Default)]
struct Head {
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

impl Default for Heads {
    fn default() -> Heads {
        Heads {
            at: At::Head,
            line: Vec::new(),
            last: 0,
            head: Head::default(),
            doubtful: false,
        }
    }
}

impl Heads {
    /// Whether any head so far was one that others may read differently, or its end was lost. It
    /// stays so: nothing that follows on the connection can be trusted.
    pub fn doubtful(&self) -> bool {
        self.doubtful
    }

    /// Takes the next bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while let (Some(first), false) = (bytes.first(), self.doubtful) {
            let taken = match self.at {
                At::Body(left) | At::Chunk(left) => self.skip(left, bytes.len()),
                At::Head | At::Size | At::Trailers => {
                    self.byte(*first);
                    1
                }
            };
            bytes = &bytes[taken..];
        }
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
            b'\r' => {}
            _ if self.line.len() < MAX_LOOKED_AT => self.line.push(byte),
            _ => {}
        }
    }

    fn line_ended(&mut self) {
        let line = std::mem::take(&mut self.line);
        match self.at {
            At::Size => self.size(&line),
            At::Trailers if line.is_empty() => self.at = At::Head,
            At::Head if !line.is_empty() => self.field(&line),
            At::Head if self.head.begun => self.head_ended(),
            _ => {} // a trailer, or an empty line before a request
        }
    }

    fn field(&mut self, line: &[u8]) {
        self.head.begun = true;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.codings += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.head.lengths += 1;
            match number(value, 10) {
                Some(length) => self.head.length = length,
                None => self.doubtful = true,
            }
        }
    }

    fn head_ended(&mut self) {
        let head = std::mem::take(&mut self.head);
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

/// A number that is digits and nothing else.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_plain = text.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut.
    fn doubtful(bytes: &str) -> bool {
        let mut whole = Heads::default();
        whole.follow(bytes.as_bytes());
        for cut in 1..8 {
            let mut pieces = Heads::default();
            bytes
                .as_bytes()
                .chunks(cut)
                .for_each(|piece| pieces.follow(piece));
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
}
