use crate::process::Process;
use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Between two changes. With each the rules are reloaded, as if a second had passed.
const CHANGE_EVERY: Duration = Duration::from_millis(500);

/// An origin at one port that can be away. It remembers its numbers.
pub struct Flapping {
    port: u16,
    numbers: Arc<Mutex<HashMap<String, i64>>>,
    origin: Option<Origin>,
}

impl Flapping {
    pub async fn start() -> Flapping {
        let mut flapping = Flapping {
            port: crate::redis::free_port(),
            numbers: Arc::default(),
            origin: None,
        };
        flapping.come().await;
        flapping
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    async fn come(&mut self) {
        if self.origin.is_some() {
            return;
        }
        let numbers = self.numbers.clone();
        let answer = move |asked: Asked| {
            let numbers = numbers.clone();
            async move {
                let id = asked
                    .target
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let mut numbers = numbers.lock().expect("not poisoned");
                let n = numbers.entry(id.clone()).or_default();
                *n += i64::from(asked.method == "POST");
                let padding = if asked.target.starts_with("/large/") {
                    300_000
                } else {
                    10
                };
                let padding = "x".repeat(padding);
                Reply::json(format!(
                    r#"{{"id": "{id}", "n": {n}, "padding": "{padding}"}}"#
                ))
            }
        };
        self.origin = Some(Origin::start_at(self.port, answer).await);
    }

    /// Nobody listens any more; connections that are there go on.
    fn go(&mut self) {
        self.origin = None;
    }
}

/// What the sidecar cannot do anything about.
pub struct Weather {
    origin: Flapping,
    redis: RedisServer,
    changes: usize,
}

impl Weather {
    pub fn over(origin: Flapping, redis: RedisServer) -> Weather {
        Weather {
            origin,
            redis,
            changes: 0,
        }
    }

    /// The next change, and a while of it.
    pub async fn change(&mut self, process: &Process) {
        self.changes += 1;
        let rules = super::rules(
            self.origin.address(),
            &self.redis.url(),
            60 + (self.changes % 2) as u32,
        );
        process.write_rules(&rules);
        process.signal("-HUP");
        match self.changes % 8 {
            1 => self.redis.stop(),
            2 => self.redis.cont(),
            3 => self.origin.go(),
            4 => self.origin.come().await,
            5 => self.redis.kill(),
            6 => self.redis.restart(),
            _ => {}
        }
        sleep(CHANGE_EVERY).await;
    }

    /// All is well again.
    pub async fn clear(&mut self) {
        self.origin.come().await;
        if self.changes % 8 == 1 {
            self.redis.cont();
        }
        if self.changes % 8 == 5 {
            self.redis.restart();
        }
        eventually("redis answers", async || self.redis.say("PING") == "PONG").await;
    }
}
