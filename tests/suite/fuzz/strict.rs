//! An origin that takes nothing but what RFC 9112 writes down, and remembers the first thing that
//! was anything else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Listens until the test's runtime ends.
pub struct StrictOrigin {
    pub address: SocketAddr,
    flaw: Arc<Mutex<Option<String>>>,
}

/// A request whose bytes cannot be taken for anything else.
pub struct Plain {
    pub method: String,
    pub target: String,
}

impl StrictOrigin {
    pub async fn start() -> StrictOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let flaw: Arc<Mutex<Option<String>>> = Arc::default();
        let remembered = flaw.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let remembered = remembered.clone();
                tokio::spawn(async move {
                    if let Err(flaw) = serve(stream).await {
                        remembered.lock().expect("no panic").get_or_insert(flaw);
                    }
                });
            }
        });
        StrictOrigin { address, flaw }
    }

    /// What reached it that was not plain.
    pub fn flaw(&self) -> Option<String> {
        self.flaw.lock().expect("no panic").clone()
    }
}

async fn serve(stream: TcpStream) -> Result<(), String> {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = request(&mut stream).await? {
        let answer: &[u8] = match asked.method.as_str() {
            "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        if stream.get_mut().write_all(answer).await.is_err() {
            break; // the sidecar gave this exchange up
        }
    }
    Ok(())
}

/// The next request of a connection, read to its end. `None` where the connection ends, also in the
/// middle: whoever gives up a request closes.
pub async fn request(stream: &mut BufReader<TcpStream>) -> Result<Option<Plain>, String> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        match stream.read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {}
            _ => return Ok(None),
        }
        let line = line
            .strip_suffix(b"\r\n")
            .ok_or_else(|| format!("a bare LF: {}", line.escape_ascii()))?;
        if line.is_empty() {
            break;
        }
        let is_plain = line
            .iter()
            .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
        let text = String::from_utf8_lossy(line).into_owned();
        if !is_plain {
            return Err(format!("a control character: {}", line.escape_ascii()));
        }
        lines.push(text);
    }
    let plain = head(&lines).map_err(|why| format!("{why}: {lines:#?}"))?;
    let Some((plain, framing)) = plain else {
        return Err("an empty head".to_owned());
    };
    Ok(body(stream, framing).await?.then_some(plain))
}

enum Framing {
    Length(u64),
    Chunked,
}

fn head(lines: &[String]) -> Result<Option<(Plain, Framing)>, &'static str> {
    let Some((first, fields)) = lines.split_first() else {
        return Ok(None);
    };
    let parts: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else {
        return Err("a request line that is not three words");
    };
    if !is_token(method) || target.is_empty() {
        return Err("a method or target that is none");
    }
    let mut named: Vec<(String, &str)> = Vec::new();
    for field in fields {
        let (name, value) = field.split_once(':').ok_or("a field without a colon")?;
        if !is_token(name) {
            return Err("a field name that is none");
        }
        named.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])));
    }
    let all = |name: &str| {
        named
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| *value)
            .collect::<Vec<_>>()
    };
    if all("host").len() != 1 || all("via").is_empty() {
        return Err("a request that the sidecar did not write");
    }
    let framing = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => Framing::Length(0),
        ([length], [])
            if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Framing::Length(length.parse().map_err(|_| "a length that is too large")?)
        }
        ([], ["chunked"]) => Framing::Chunked,
        _ => return Err("a framing that is not one and plain"),
    };
    let plain = Plain {
        method: method.to_owned(),
        target: target.to_owned(),
    };
    Ok(Some((plain, framing)))
}

fn is_token(text: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(tchar)
}

/// Reads a body; false where the connection ends before it does.
async fn body(stream: &mut BufReader<TcpStream>, framing: Framing) -> Result<bool, String> {
    match framing {
        Framing::Length(length) => {
            let read = tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await;
            Ok(read.is_ok_and(|read| read == length))
        }
        Framing::Chunked => loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_err() || !line.ends_with('\n') {
                return Ok(false);
            }
            let size = line
                .strip_suffix("\r\n")
                .and_then(|size| u64::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| format!("a chunk size that is none: {line:?}"))?;
            if size == 0 {
                return trailers(stream).await;
            }
            let mut chunk = Vec::new();
            let read = stream.take(size + 2).read_to_end(&mut chunk).await;
            if read.is_err() || (chunk.len() as u64) < size + 2 {
                return Ok(false);
            }
            if !chunk.ends_with(b"\r\n") {
                return Err("a chunk without its end".to_owned());
            }
        },
    }
}

async fn trailers(stream: &mut BufReader<TcpStream>) -> Result<bool, String> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.is_err() || !line.ends_with('\n') {
            return Ok(false);
        }
        match line.strip_suffix("\r\n") {
            Some("") => return Ok(true),
            Some(trailer)
                if trailer
                    .split_once(':')
                    .is_some_and(|(name, _)| is_token(name)) => {}
            _ => return Err(format!("a trailer that is none: {line:?}")),
        }
    }
}
