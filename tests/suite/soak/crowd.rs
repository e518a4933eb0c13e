use crate::chaos::Dice;
use socket2::SockRef;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Who make one connection after the other.
const HASTY: u64 = 24;

/// Who come in a rush.
const RUSHING: usize = 16;

/// Of so many connections of one of them one waits for an answer. Fewer, and the listener's queue would be
/// full of those that are gone, and who comes then is let in a second later.
const ANSWERED: usize = 8;

/// Who say a byte now and then.
const SLOW: u64 = 40;

const GET: &[u8] = b"GET /number/1 HTTP/1.1\r\nHost: api.test\r\n\r\n";
const LARGE: &[u8] = b"GET /large/1 HTTP/1.1\r\nHost: api.test\r\n\r\n";
const LIMITED: &[u8] = b"GET /limited HTTP/1.1\r\nHost: api.test\r\n\r\n";
const UPLOAD: &[u8] =
    b"POST /raise/none HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100000\r\n\r\nsome";

/// Clients that behave badly.
pub struct Crowd {
    is_over: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Crowd {
    pub fn gather(proxy: SocketAddr) -> Crowd {
        let mut crowd = Crowd {
            is_over: Arc::default(),
            connections: Arc::default(),
            clients: JoinSet::new(),
        };
        for seed in 0..HASTY + SLOW {
            let (is_over, connections) = (crowd.is_over.clone(), crowd.connections.clone());
            crowd.clients.spawn(async move {
                let mut dice = Dice::new(seed, 0);
                while !is_over.load(SeqCst) {
                    let done = match seed < HASTY {
                        true => hasty(proxy, &mut dice).await,
                        false => slow(proxy, &is_over).await,
                    };
                    match done {
                        Ok(()) => _ = connections.fetch_add(1, SeqCst),
                        Err(_) => sleep(Duration::from_millis(5)).await, // the port range may be used up
                    }
                }
            });
        }
        crowd
    }

    /// All go. How many connections they made.
    pub async fn scatter(mut self) -> usize {
        self.is_over.store(true, SeqCst);
        while let Some(gone) = self.clients.join_next().await {
            gone.expect("no panic");
        }
        self.connections.load(SeqCst)
    }
}

/// One connection, which ends one way or the other.
async fn hasty(proxy: SocketAddr, dice: &mut Dice) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(proxy).await?;
    // Reset rather than closed, so that ports are free again at once.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let said: &[u8] = match dice.below(8) {
        0 => b"",
        1 => &GET[..20],
        2 => LARGE,
        3 => LIMITED,
        4 => UPLOAD,
        5 => b"\x16\x03\x01 no request at all\r\n\r\n",
        6 => &[GET, GET, GET].concat(),
        _ => GET,
    };
    let _ = stream.write_all(said).await; // it may have been closed on us
    if dice.below(2) == 0 {
        let mut heard = [0; 512];
        let _ = timeout(Duration::from_millis(100), stream.read(&mut heard)).await;
    }
    Ok(())
}

/// So many connections, one after the other from each of several clients, that are reset before or after
/// the beginning of a request.
pub async fn rush(proxy: SocketAddr, connections: usize) {
    let mut clients = JoinSet::new();
    for _ in 0..RUSHING {
        clients.spawn(async move {
            for nth in 0..connections / RUSHING {
                let mut stream = connected(proxy).await;
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .expect("it may be reset");
                match nth % ANSWERED {
                    0 => {
                        let _ = stream.write_all(GET).await; // it may have been closed on us
                        let _ = stream.read(&mut [0; 64]).await;
                    }
                    nth if nth % 2 == 0 => _ = stream.write_all(&GET[..20]).await,
                    _ => {}
                }
            }
        });
    }
    while let Some(gone) = clients.join_next().await {
        gone.expect("no panic");
    }
}

/// A connection, as soon as there is a free port.
async fn connected(proxy: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(proxy).await {
            Ok(stream) => return stream,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// A head that is never finished.
async fn slow(proxy: SocketAddr, is_over: &AtomicBool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(proxy).await?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.write_all(b"GET /number/1 HTTP/1.1\r\nX: ").await?;
    while !is_over.load(SeqCst) && stream.write_all(b"x").await.is_ok() {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
