//! Programs to measure sidecache against, and those that measuring needs: `benches/peers.sh` starts them.
//!
//! `constant`, `map`, `get` and `proxy` do the least that a server of that sort can do on the libraries
//! that sidecache stands on, so they are what it could cost at best. All listen on loopback only, and
//! run on one thread, as sidecache does on one core.

mod load; // asks at a fixed rate
mod origin; // what is cached and proxied

use bytes::Bytes;
use clap::Parser;
use fred::prelude::{ClientLike, KeysInterface};
use fred::types::Builder;
use fred::types::config::Config;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use origin::ANSWER;
use std::collections::HashMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever goes wrong ends a connection or the program: there is nothing to mend in a measurement.
type Result<T> = std::result::Result<T, Failure>;
type Failure = Box<dyn Error + Send + Sync>;

/// How many answers `map` and `get` keep, so that a look-up costs what it does in a cache that is in use.
const KEPT: usize = 10_000;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// What `cargo bench` adds; nothing is measured in this process
    #[arg(long, hide = true)]
    bench: bool,
}

/// What to be. Every PORT is one on 127.0.0.1.
#[derive(Parser)]
enum Mode {
    /// Answers everything with 2 KB from memory
    Constant { port: u16 },
    /// Looks the path up in a map: `/item/0` and so on are in it
    Map { port: u16 },
    /// Asks Redis for the answer by one GET of the path: `/item/0` and so on are there
    Get {
        port: u16,
        redis: u16,
        /// To Redis, taken in turn
        #[arg(long, default_value_t = 1)]
        connections: usize,
    },
    /// Passes everything on to an origin, each client's connection to one of its own
    Proxy { port: u16, origin: u16 },
    /// The origin: see `origin.rs`
    Origin { port: u16 },
    /// Asks a path at a fixed rate, and prints the median and the 99th percentile in microseconds
    Load(load::Load),
}

fn main() -> Result<()> {
    let Some(mode) = Arguments::parse().mode else {
        println!("nothing to measure here: benches/peers.sh uses this program");
        return Ok(());
    };
    if let Mode::Load(load) = &mode {
        return load.run();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(mode))
}

async fn run(mode: Mode) -> Result<()> {
    match mode {
        Mode::Constant { port } => serve(port, |_| async { Ok(json(ANSWER)) }).await,
        Mode::Map { port } => map(port).await,
        Mode::Get {
            port,
            redis,
            connections,
        } => get(port, redis, connections).await,
        Mode::Proxy { port, origin } => proxy(port, origin).await,
        Mode::Origin { port } => origin::run(port).await,
        Mode::Load(_) => unreachable!("it was run before there was a runtime"),
    }
}

async fn map(port: u16) -> Result<()> {
    let kept: HashMap<_, _> = paths().map(|path| (path, ANSWER)).collect();
    let kept = Arc::new(kept);
    serve(port, move |request| {
        let answer = kept.get(request.uri().path()).cloned();
        async move { Ok(json(answer.ok_or("this path is not kept")?)) }
    })
    .await
}

fn paths() -> impl Iterator<Item = String> {
    (0..KEPT).map(|number| format!("/item/{number}"))
}

async fn get(port: u16, redis: u16, connections: usize) -> Result<()> {
    let config = Config::from_url(&format!("redis://127.0.0.1:{redis}"))?;
    let redis = Builder::from_config(config).build_pool(connections)?;
    redis.init().await?;
    for path in paths() {
        let _: () = redis.set(path, ANSWER, None, None, false).await?;
    }
    serve(port, move |request| {
        let (redis, path) = (redis.clone(), request.uri().path().to_owned());
        async move {
            let answer: Option<Bytes> = redis.get(path).await?;
            Ok(json(answer.ok_or("this path is not kept")?))
        }
    })
    .await
}

async fn proxy(port: u16, origin: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let stream = accept(&listener).await?;
        tokio::spawn(async move {
            let sender: SendRequest<Incoming> = connect(origin).await?;
            let sender = Arc::new(Mutex::new(sender));
            let pass = move |request| {
                let sender = sender.clone();
                async move { sender.lock().await.send_request(request).await }
            };
            let connection = server::Builder::new()
                .pipeline_flush(true)
                .serve_connection(stream, service_fn(pass));
            Ok::<_, Failure>(connection.await?)
        });
    }
}

async fn connect(port: u16) -> Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Answers every request on a port of loopback by a function, until the program is ended.
async fn serve<H, F, B>(port: u16, handler: H) -> Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let stream = accept(&listener).await?;
        let connection = server::Builder::new()
            .pipeline_flush(true)
            .serve_connection(stream, service_fn(handler.clone()));
        tokio::spawn(connection);
    }
}

async fn accept(listener: &TcpListener) -> Result<TokioIo<TcpStream>> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
