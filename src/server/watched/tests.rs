//! What is written around an answer.

use super::*;
use hyper::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn an_interim_answer_that_has_begun_is_finished_before_the_tunnel() {
    let (mut client, stream) = tokio::io::duplex(8);
    let exchanges = Exchanges::new();
    let limits = ClientLimits::default();
    let metrics = Arc::new(Metrics::new());
    let mut watched = Watched::new(stream, exchanges.clone(), limits, metrics);
    let interim = exchanges.outlet().open();
    interim.say(StatusCode::PROCESSING, &HeaderMap::new());
    let flushed = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut watched).poll_flush(cx)));
    assert!(flushed.await.is_pending(), "the client takes eight bytes");
    exchanges.outlet().close();
    exchanges.become_tunnel();
    let answering = tokio::spawn(async move {
        watched.write_all(b"HTTP/1.1 101 ").await?;
        watched.shutdown().await
    });
    let mut heard = String::new();
    let heard_all = client.read_to_string(&mut heard).await;
    assert_eq!(heard, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 101 ");
    assert!(heard_all.is_ok() && answering.await.is_ok_and(|written| written.is_ok()));
}
