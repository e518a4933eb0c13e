//! A provider of Redis as a rented one is: a relay that knows commands and replies, and has terms.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// What it says when the month's commands are spent.
pub const SPENT: &str = "ERR max requests limit exceeded. Limit: 500000, Usage: 500017.";

/// What it says when the database is full; Redis itself says `OOM`.
const FULL: &str = "ERR DB capacity quota exceeded";

/// What it says of a command that is too long.
const TOO_LARGE: &str = "ERR max request size exceeded. Limit: 16384 bytes";

/// Commands that cost nothing, and work when the allowance is spent.
const FREE: [&str; 7] = ["PING", "AUTH", "HELLO", "CLIENT", "SELECT", "QUIT", "INFO"];

/// What becomes of one reply, the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mishap {
    /// Its first half, then the connection is closed.
    HalfThenClosed,
    /// Its first half, then nothing any more.
    HalfThenSilence,
    /// None: the connection is closed in the middle of the command, which Redis never sees.
    CommandCut,
    /// None: Redis carried the command out, and the connection is closed.
    ReplyLost,
    /// It comes after so long.
    Late(Duration),
}

/// The terms of a contract.
#[derive(Default)]
struct Terms {
    is_spent: bool,
    largest: Option<usize>,
    lacks: HashSet<&'static str>,
    idle: Option<Duration>,
    mishap: Option<Mishap>,
    /// The names of all commands so far, in upper case.
    seen: Vec<String>,
    refused: usize,
    closed_idle: usize,
}

/// A provider, for as long as this lives.
pub struct Provider {
    pub address: SocketAddr,
    terms: Arc<Mutex<Terms>>,
    _acceptor: AbortOnDropHandle<()>,
}

impl Provider {
    /// Before Redis at `port`; at first without limits.
    pub async fn before(port: u16) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let terms: Arc<Mutex<Terms>> = Arc::default();
        let shared = terms.clone();
        let acceptor = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(near, port, shared.clone()));
            }
        });
        Provider {
            address,
            terms,
            _acceptor: AbortOnDropHandle::new(acceptor),
        }
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The allowance is spent, or there is one again.
    pub fn spend(&self, is_spent: bool) {
        self.terms().is_spent = is_spent;
    }

    /// Commands of more bytes than this are refused.
    pub fn limit_size(&self, bytes: Option<usize>) {
        self.terms().largest = bytes;
    }

    /// It does not know these commands.
    pub fn lack(&self, commands: &[&'static str]) {
        self.terms().lacks = commands.iter().copied().collect();
    }

    /// It closes connections on which nothing is said for so long; those that are made from now on.
    pub fn close_idle(&self, after: Option<Duration>) {
        self.terms().idle = after;
    }

    /// How many it closed.
    pub fn closed_idle(&self) -> usize {
        self.terms().closed_idle
    }

    /// The next command that is billed meets this.
    pub fn befall(&self, mishap: Mishap) {
        self.terms().mishap = Some(mishap);
    }

    /// Whether that has happened.
    pub fn has_befallen(&self) -> bool {
        self.terms().mishap.is_none()
    }

    /// How often a command (upper case) was sent so far, refused or not.
    pub fn sent(&self, command: &str) -> usize {
        let terms = self.terms();
        terms.seen.iter().filter(|seen| *seen == command).count()
    }

    /// How many commands were refused so far.
    pub fn refused(&self) -> usize {
        self.terms().refused
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().expect("not poisoned")
    }
}

impl Terms {
    /// What this command is refused with.
    fn refusal(&mut self, name: &str, length: usize) -> Option<String> {
        self.seen.push(name.to_owned());
        let refusal = if self.lacks.contains(name) {
            Some(format!("ERR unknown command '{name}'"))
        } else if self.is_spent && !FREE.contains(&name) {
            Some(SPENT.to_owned())
        } else if self.largest.is_some_and(|largest| length > largest) {
            Some(TOO_LARGE.to_owned())
        } else {
            None
        };
        self.refused += usize::from(refusal.is_some());
        refusal
    }

    fn mishap(&mut self, name: &str) -> Option<Mishap> {
        match FREE.contains(&name) {
            true => None,
            false => self.mishap.take(),
        }
    }
}

/// One after the other, as on a connection of Redis: what a client pipelines waits in the socket.
async fn serve(near: TcpStream, port: u16, terms: Arc<Mutex<Terms>>) -> io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", port)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let locked = || terms.lock().expect("not poisoned");
    let ((near, mut to_client), (far, mut to_redis)) = (near.into_split(), far.into_split());
    let (mut near, mut far) = (BufReader::new(near), BufReader::new(far));
    let idle = locked().idle.unwrap_or(Duration::from_secs(3600));
    loop {
        let Ok(command) = timeout(idle, message(&mut near)).await else {
            locked().closed_idle += 1;
            return Ok(());
        };
        let command = command?;
        let name = name(&command);
        let refusal = locked().refusal(&name, command.len());
        if let Some(refusal) = refusal {
            to_client
                .write_all(format!("-{refusal}\r\n").as_bytes())
                .await?;
            continue;
        }
        let mishap = locked().mishap(&name);
        if mishap == Some(Mishap::CommandCut) {
            to_redis.write_all(&command[..command.len() / 2]).await?;
            return Ok(());
        }
        to_redis.write_all(&command).await?;
        if name == "SUBSCRIBE" {
            // From here on replies come by themselves.
            tokio::try_join!(
                tokio::io::copy(&mut near, &mut to_redis),
                tokio::io::copy(&mut far, &mut to_client)
            )?;
            return Ok(());
        }
        let reply = full_in_its_words(message(&mut far).await?);
        match mishap {
            None => to_client.write_all(&reply).await?,
            Some(mishap) => mishap.befalls(&reply, &mut to_client).await?,
        }
    }
}

impl Mishap {
    async fn befalls(self, reply: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let half = &reply[..reply.len() / 2];
        match self {
            Mishap::HalfThenClosed => {
                to.write_all(half).await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Mishap::HalfThenSilence => {
                to.write_all(half).await?;
                std::future::pending().await
            }
            Mishap::CommandCut | Mishap::ReplyLost => Err(io::ErrorKind::ConnectionAborted.into()),
            Mishap::Late(delay) => {
                tokio::time::sleep(delay).await;
                to.write_all(reply).await
            }
        }
    }
}

/// A refusal for want of memory as the provider would say it.
fn full_in_its_words(reply: Vec<u8>) -> Vec<u8> {
    match reply.starts_with(b"-OOM") {
        true => format!("-{FULL}\r\n").into_bytes(),
        false => reply,
    }
}

/// The first word of a command, in upper case.
fn name(command: &[u8]) -> String {
    let words = command
        .split(|byte| *byte == b'\n')
        .nth(2)
        .unwrap_or_default();
    String::from_utf8_lossy(words)
        .trim_end()
        .to_ascii_uppercase()
}

/// One command or reply, byte for byte.
async fn message(from: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let (mut bytes, mut due) = (Vec::new(), 1);
    while due > 0 {
        let begun = bytes.len();
        if from.read_until(b'\n', &mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = std::str::from_utf8(&bytes[begun..])
            .unwrap_or_default()
            .trim_end();
        let length = line.get(1..).and_then(|rest| rest.parse::<i64>().ok());
        due -= 1;
        match (line.as_bytes().first(), length) {
            (Some(b'$' | b'='), Some(length @ 0..)) => {
                let begun = bytes.len();
                bytes.resize(begun + length as usize + 2, 0);
                from.read_exact(&mut bytes[begun..]).await?;
            }
            (Some(b'*' | b'~' | b'>'), Some(count @ 0..)) => due += count,
            (Some(b'%'), Some(count @ 0..)) => due += 2 * count,
            _ => {}
        }
    }
    Ok(bytes)
}
