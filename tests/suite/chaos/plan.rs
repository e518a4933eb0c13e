//! Writes before they are sent: where, and what the origin and its client will do with them.

use super::dice::Dice;
use super::history::Fault;
use super::origin::{AFTER, BEFORE, THEN, WRITE};
use super::{ORIGIN_TIMEOUT, REGISTERS, SIDECARS};
use crate::world::request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

const BODY: &str = r#"{"by": 1}"#;

/// One write.
pub struct Plan {
    pub id: u64,
    pub register: usize,
    pub through: usize,
    /// Only the new rules have a set for it.
    pub lifts: bool,
    pub fault: Option<Fault>,
    before: Duration,
    after: Duration,
}

impl Plan {
    /// Any write.
    pub fn drawn(dice: &mut Dice, id: u64) -> Plan {
        let fault = match dice.below(20) {
            0..=2 => Some(Fault::FailedAfterCommit),
            3 | 4 => Some(Fault::LostAfterCommit),
            5 | 6 => Some(Fault::ClientLeft),
            7 if dice.once_in(2) => Some(Fault::CommittedLate),
            _ => None,
        };
        let before = match fault {
            Some(Fault::CommittedLate) => ORIGIN_TIMEOUT + dice.ms(10, 300),
            _ => dice.ms(0, 10),
        };
        // Often there is time to be killed between commit and bump.
        let after = match dice.once_in(3) {
            true => dice.ms(100, 400),
            false => dice.ms(0, 10),
        };
        Plan {
            id,
            register: dice.mostly_small(REGISTERS),
            through: dice.below(SIDECARS),
            lifts: fault.is_none() && dice.once_in(8),
            fault,
            before,
            after,
        }
    }

    /// One that is committed at once and answered `after` that.
    pub fn plain(id: u64, register: usize, through: usize, after: Duration) -> Plan {
        Plan {
            id,
            register,
            through,
            lifts: false,
            fault: None,
            before: Duration::ZERO,
            after,
        }
    }

    fn method(&self) -> &'static str {
        if self.lifts { "POST" } else { "PATCH" }
    }

    fn target(&self) -> String {
        let what = if self.lifts { "lift" } else { "raise" };
        format!("/{what}/{}", self.register)
    }

    fn headers(&self) -> [(&'static str, String); 4] {
        let then = match self.fault {
            Some(Fault::FailedAfterCommit) => "fail",
            Some(Fault::LostAfterCommit) => "lose",
            _ => "answer",
        };
        [
            (WRITE, self.id.to_string()),
            (BEFORE, self.before.as_millis().to_string()),
            (AFTER, self.after.as_millis().to_string()),
            (THEN, then.to_owned()),
        ]
    }

    /// The whole of it.
    pub fn request(&self) -> Request<Full<Bytes>> {
        let headers = self.headers();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        request(self.method(), &self.target(), &headers, BODY)
    }

    /// Sends all of it or half of its body, and leaves.
    pub async fn leave(&self, to: SocketAddr, dice: &mut Dice) -> Option<()> {
        let mut stream = TcpStream::connect(to).await.ok()?;
        let headers: String = self
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let (method, target, length) = (self.method(), self.target(), BODY.len());
        let sent = if dice.once_in(4) { length / 2 } else { length };
        let text = format!(
            "{method} {target} HTTP/1.1\r\nhost: api.test\r\n{headers}content-length: {length}\r\n\r\n{}",
            &BODY[..sent]
        );
        stream.write_all(text.as_bytes()).await.ok()?;
        sleep(dice.ms(0, 30)).await; // the moment of leaving is what is drawn
        Some(())
    }
}
