//! Asking silent peers whether they are still there.
//!
//! A machine that loses its power, or a network that forgets a connection, says nothing to anybody. An
//! exchange has time-outs of its own; a tunnel or a stream of events may be silent for hours, and
//! would hold its place for as long.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Of silence, before the first question: less than what routers and load balancers take for the end
/// of a connection.
const SILENCE: Duration = Duration::from_secs(60);

/// Between two questions that are not answered, and how many of them make an end: two minutes in all.
const PAUSE: Duration = Duration::from_secs(15);
const QUESTIONS: u32 = 4;

/// Has the kernel ask, and end the connection if nobody answers.
///
/// # Errors
/// The connection is over already.
pub fn ask(stream: &TcpStream) -> io::Result<()> {
    let questions = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(PAUSE)
        .with_retries(QUESTIONS);
    SockRef::from(stream).set_tcp_keepalive(&questions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_peer_that_vanished_is_noticed_within_two_minutes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(address).await.expect("listens");
        ask(&stream).expect("open");
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("open"));
        let silence = socket.tcp_keepalive_time().expect("open");
        let pause = socket.tcp_keepalive_interval().expect("open");
        let questions = socket.tcp_keepalive_retries().expect("open");
        assert!(silence + pause * questions <= Duration::from_secs(120));
    }
}
