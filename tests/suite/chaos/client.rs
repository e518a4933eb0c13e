//! A client.

use crate::redis::PATIENCE;
use crate::world::Got;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Error, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// A client with one connection, kept alive. It has none again once anything went wrong.
#[derive(Default)]
pub struct Client(Option<Connection>);

struct Connection {
    to: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<Result<(), Error>>,
}

impl Connection {
    async fn open(to: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect(to).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
        Some(Connection {
            to,
            sender,
            _driver: AbortOnDropHandle::new(tokio::spawn(driver)),
        })
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Option<Got> {
        let response = self.sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        Some(Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }
}

impl Client {
    /// The whole answer, if there was one.
    pub async fn ask(&mut self, to: SocketAddr, request: Request<Full<Bytes>>) -> Option<Got> {
        let mut connection = match self.0.take() {
            Some(connection) if connection.to == to && !connection.sender.is_closed() => connection,
            _ => Connection::open(to).await?,
        };
        let got = timeout(PATIENCE, connection.ask(request)).await;
        let got = got.expect("neither an answer nor an end of the connection")?;
        self.0 = Some(connection);
        Some(got)
    }
}
