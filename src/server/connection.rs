//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2, and whatever protocol it
//! changes to.

use super::answering::Answering;
use super::exchanges::{Exchanges, UnderWay};
use super::preface::{self, Protocol, Rewound};
use super::room::Place;
use super::streams::Streams;
use super::tunnel;
use super::watched::Watched;
use crate::client::{Client, Connection, OnBehalf};
use crate::headers::Peer;
use crate::interim::Interim;
use crate::metrics::Metrics;
use crate::refuse::Standing;
use crate::rules::settings::ClientLimits;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes that a connection buffers in each direction beside a head. Without a bound hyper reads
/// bodies in pieces of up to 400 KiB, and what the allocator holds on to of those is most of the
/// memory of a process that forwards uploads.
const MAX_BUFFER: usize = 64 * 1024;

/// Room that hyper has for a head beyond what we let through, so that we are the one who refuses.
const HEAD_MARGIN: usize = 1024;

/// Requests at a time on one HTTP/2 connection: browsers and proxies expect 100 at least.
const MAX_STREAMS: u32 = 128;

/// Bytes of uploads that may be on their way to us unread: of one request, and of all on a
/// connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams that a client may have given up before we looked at them (CVE-2023-44487), and streams
/// that we may have to refuse, before the connection is closed.
const MAX_RESETS: usize = 20;
const MAX_REFUSED_STREAMS: usize = 256;

/// Requests of one connection of which something may be carried out at a time. A client may give up
/// what it has asked for and ask for more (CVE-2023-44487), but a write that the origin has, and a
/// fetch that others may wait for, go on; whoever gives up twice as many as there may be is told 503
/// before anything of the next is begun.
const MAX_UNFINISHED: usize = 2 * MAX_STREAMS as usize;

/// How often a silent HTTP/2 client is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// How long a client may take to close when it was told that nothing more is taken.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How connections are treated.
pub(super) struct Manners {
    pub(super) limits: ClientLimits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) closing: CancellationToken,
    pub(super) tunnels: TaskTracker,
    pub(super) place: Arc<Place>,
}

/// Answers the requests of a connection.
struct Service<H> {
    handler: H,
    peer: Option<Arc<Peer>>,
    exchanges: Arc<Exchanges>,
    line: Arc<Line>,
    manners: Arc<Manners>,
}

/// What a connection is to those who carry out its requests.
struct Line {
    exchanges: Arc<Exchanges>,
    place: Arc<Place>,
}

impl Connection for Line {
    fn carry_out(self: Arc<Line>) -> OnBehalf {
        self.exchanges.carry_out(self.place.clone())
    }

    fn interim(&self) -> Interim {
        self.exchanges.outlet().open()
    }
}

/// Serves a connection until it is over.
pub(super) async fn serve<S, H, F, B>(stream: S, peer: Option<IpAddr>, handler: H, manners: Manners)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Client, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let closing = manners.closing.clone();
    let first = timeout(manners.limits.head_timeout, preface::tell(stream));
    // Who never says a word, or leaves without one, is told nothing.
    let Some(Ok(Ok(Some((protocol, stream))))) = closing.run_until_cancelled(first).await else {
        return;
    };
    let exchanges = Exchanges::new();
    let line = Line {
        exchanges: exchanges.clone(),
        place: manners.place.clone(),
    };
    let service = Arc::new(Service {
        handler,
        peer: peer.map(Peer::at),
        exchanges,
        line: Arc::new(line),
        manners: Arc::new(manners),
    });
    let ended = match protocol {
        Protocol::Http1 => serve_http1(stream, service).await,
        Protocol::Http2 => serve_http2(stream, service).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_http1<S, H, F, B>(
    stream: Rewound<S>,
    service: Arc<Service<H>>,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Client, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let Manners {
        limits,
        metrics,
        closing,
        ..
    } = &*service.manners;
    let watched = Watched::new(stream, service.exchanges.clone(), *limits, metrics.clone());
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None) // the stream watches over it, and answers
        .max_header_size(limits.max_head + HEAD_MARGIN)
        .max_buf_size(MAX_BUFFER.max(limits.max_head + HEAD_MARGIN));
    let answer = service_fn(|request| service.answer(request));
    let connection = builder
        .serve_connection(TokioIo::new(watched), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    match closing.run_until_cancelled(connection.as_mut()).await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn serve_http2<S, H, F, B>(
    stream: Rewound<S>,
    service: Arc<Service<H>>,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Client, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let limits = service.manners.limits;
    service.exchanges.time_ends();
    let mut builder = http2::Builder::new(Streams {
        patience: limits.idle_timeout,
        metrics: service.manners.metrics.clone(),
    });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_REFUSED_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    // In a box of its own: a task that is made of tasks is moved about, and must not be large.
    let answer = service_fn(|request| Box::pin(service.answer(request)));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = service.manners.closing.cancelled() => {}
        () = service.exchanges.idle_for(limits.idle_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = service.exchanges.idle_for(CLOSING_PATIENCE) => Ok(()),
    }
}

impl<H> Service<H> {
    /// Answers a request, and joins its connection to the origin's where both change their protocol.
    fn answer<F, B>(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Answering<B>>, Infallible>> + Send + use<H, F, B>
    where
        H: Fn(Client, Request<Incoming>) -> F,
        F: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = bytes::Bytes> + Unpin,
    {
        let under_way = self.exchanges.begin();
        let (version, is_head) = (request.version(), request.method() == Method::HEAD);
        let client = Client::on(self.line.clone(), self.peer.clone(), self.standing());
        let switch = request.extensions_mut().remove::<OnUpgrade>();
        let answer = (self.handler)(client, request);
        let manners = switch.is_some().then(|| self.manners.clone());
        async move {
            let mut response = answer.await;
            let exchanges = under_way.exchanges();
            exchanges.outlet().close();
            if response.status() == StatusCode::SWITCHING_PROTOCOLS
                && let Some(origin) = response.extensions_mut().remove::<OnUpgrade>()
                && let (Some(client), Some(manners)) = (switch, manners)
            {
                exchanges.become_tunnel();
                let (closing, place) = (manners.closing.clone(), manners.place.clone());
                let join = tunnel::join(client, origin, closing, place);
                manners.tunnels.spawn(join);
            }
            Ok(match version {
                Version::HTTP_2 => http2_answer(response, under_way, is_head),
                _ => http1_answer(response, under_way),
            })
        }
    }

    fn standing(&self) -> Standing {
        match () {
            () if self.exchanges.is_doubtful() => Standing::Doubtful,
            () if self.exchanges.unfinished() >= MAX_UNFINISHED => Standing::Crowded,
            () => Standing::Plain,
        }
    }
}

fn http1_answer<B>(mut response: Response<B>, under_way: UnderWay) -> Response<Answering<B>> {
    if under_way.is_coming() {
        // Answered before the request's body has come: nobody waits for the rest of it.
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    response.map(|body| Answering::whole(body, under_way))
}

/// An answer as HTTP/2 has it: there is no `Connection` (RFC 9113 §8.2.2), and that the answer to HEAD
/// has no body is left to us.
fn http2_answer<B: HttpBody>(
    mut response: Response<B>,
    under_way: UnderWay,
    is_head: bool,
) -> Response<Answering<B>> {
    response.headers_mut().remove(CONNECTION);
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|length| is_head && *length > 0) {
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(|body| match is_head {
        true => Answering::none(under_way),
        false => Answering::in_pieces(body, under_way),
    })
}
