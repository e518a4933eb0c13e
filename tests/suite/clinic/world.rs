//! The clinic and the program as processes of a test's own, and requests to them.

use crate::redis::RedisServer;
use crate::world::{Got, ask, eventually};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// What the clinic signs tokens with and the program verifies them by.
pub const JWT_SECRET: &str = "a secret of the tests";

/// What the clinic verifies webhooks by.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A process that ends with its test, and what it said on standard output first.
pub struct Running {
    process: Child,
    /// Open as long as the process runs, so that it may go on talking.
    output: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let command = command.current_dir(ROOT).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the program can be started");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        Running { process, output }
    }

    /// The rest of the next line that contains `before`.
    pub fn line_after(&mut self, before: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("it talks in UTF-8") > 0 {
            if let Some((_, rest)) = line.split_once(before) {
                return rest.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("it ended without saying {before:?}");
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        let kill = Command::new("kill").arg(id).status();
        assert!(kill.expect("kill is there").success());
        self.process.wait().expect("it ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

/// The backend, seeded afresh.
pub struct Clinic {
    _running: Running,
    /// Where it listens.
    pub address: SocketAddr,
    /// Useful ids and tokens, see `tests/clinic/routes/control.js`.
    pub seed: Json,
}

impl Clinic {
    pub async fn start() -> Clinic {
        Clinic::start_with(&[]).await
    }

    /// Starts one with further environment variables.
    pub async fn start_with(env: &[(&str, &str)]) -> Clinic {
        let mut running = Running::start(
            Command::new("node")
                .arg("tests/clinic/server.js")
                .envs([("PORT", "0"), ("HOST", "127.0.0.1")])
                .envs([
                    ("JWT_SECRET", JWT_SECRET),
                    ("WEBHOOK_SECRET", WEBHOOK_SECRET),
                ])
                .envs(env.iter().copied()),
        );
        let port = running.line_after("{\"listening\":");
        let port = port.trim_end_matches('}').parse().expect("a port");
        let mut clinic = Clinic {
            _running: running,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            seed: Json::Null,
        };
        clinic.seed = clinic.control("GET", "/seed", Json::Null).await;
        clinic
    }

    /// Speaks to what is there for tests only; no sidecar knows of it.
    pub async fn control(&self, method: &str, path: &str, body: Json) -> Json {
        let sent = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let json = [("content-type", "application/json")];
        let got = ask(
            self.address,
            method,
            &format!("/__clinic{path}"),
            &json,
            &sent,
        )
        .await;
        assert_eq!(got.status, 200, "{}", got.text());
        serde_json::from_slice(&got.body).expect("JSON")
    }

    /// A text of the seed, such as `/patient/token`.
    pub fn text(&self, pointer: &str) -> &str {
        let value = self.seed.pointer(pointer).and_then(Json::as_str);
        value.unwrap_or_else(|| panic!("the seed has no {pointer}"))
    }

    /// How often a request, such as `GET /api/v1/doctor`, came since [`Clinic::forget_counts`].
    pub async fn came(&self, request: &str) -> u64 {
        let counts = self.control("GET", "/counts", Json::Null).await;
        counts["requests"][request].as_u64().unwrap_or(0)
    }

    pub async fn forget_counts(&self) {
        self.control("POST", "/reset-counts", Json::Null).await;
    }

    /// A token signed by the clinic, for `ttl` seconds.
    pub async fn token(&self, email: &str, role: &str, ttl: i64) -> String {
        let path = format!("/token?email={email}&role={role}&ttl={ttl}");
        let signed = self.control("GET", &path, Json::Null).await;
        signed["token"].as_str().expect("a token").to_owned()
    }

    /// Sets the model's mood: `ok`, `fallback` or `empty`.
    pub async fn model(&self, mode: &str) {
        self.control("POST", "/ai", json!({ "mode": mode })).await;
    }

    pub async fn answers(&self, call: &Call) -> Got {
        call.send(self.address).await
    }
}

/// The program, with rules of its own and the environment that the shipped file asks for.
pub struct Program {
    running: Running,
    /// Where it takes requests.
    pub address: SocketAddr,
    admin: SocketAddr,
    _rules: tempfile::TempDir,
}

impl Program {
    /// Starts it with the shipped rules and waits until it may use Redis. It is patient with Redis:
    /// on a busy machine a late answer is no outage. Tests of outages use [`Program::with`].
    pub async fn start(clinic: &Clinic, redis: &RedisServer) -> Program {
        Program::start_with(clinic, redis, &[]).await
    }

    /// [`Program::start`] with further changes.
    pub async fn start_with(
        clinic: &Clinic,
        redis: &RedisServer,
        changes: &[(&str, &str)],
    ) -> Program {
        let patient = ("max_entry = ", "timeout = \"5s\"\nmax_entry = ");
        let program = Program::with(clinic, redis, &[&[patient], changes].concat());
        program.uses_redis().await;
        program
    }

    /// Starts it with the shipped rules but for `changes`, each a text and what stands in its place. No
    /// audit asks the clinic again where its requests are counted, unless a change says so.
    pub fn with(clinic: &Clinic, redis: &RedisServer, changes: &[(&str, &str)]) -> Program {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("rules.toml");
        let shipped = std::fs::read_to_string(Path::new(ROOT).join("rules.toml"));
        let rules = changes
            .iter()
            .fold(shipped.expect("the shipped rules"), |rules, (old, new)| {
                assert!(
                    rules.contains(old),
                    "the shipped rules do not contain {old:?}"
                );
                rules.replace(old, new)
            })
            .replace("leak = 0.01", "leak = 0");
        std::fs::write(&file, rules).expect("a rules file");
        let own = std::env::var("SIDECACHE_BIN"); // another build, to measure it
        let path = own.unwrap_or(env!("CARGO_BIN_EXE_sidecache").to_owned());
        let mut running = Running::start(
            Command::new(path)
                .arg("--rules")
                .arg(file)
                .env("ORIGIN_URL", format!("http://{}", clinic.address))
                .env("REDIS_URL", redis.url())
                .env("JWT_SECRET", JWT_SECRET)
                .env("SIDECACHE_LISTEN", "127.0.0.1:0")
                .env("SIDECACHE_ADMIN_LISTEN", "127.0.0.1:0")
                .env("SIDECACHE_LOG", "error"),
        );
        let proxy = running.line_after("listens on http://");
        let admin = running.line_after("admin door: http://");
        let proxy = proxy.split(' ').next().unwrap_or_default();
        Program {
            running,
            address: proxy.parse().expect("an address"),
            admin: admin.parse().expect("an address"),
            _rules: directory,
        }
    }

    pub async fn uses_redis(&self) {
        eventually("the program uses Redis", async || {
            self.store().await == "up"
        })
        .await;
    }

    /// `up` or `down`, as it sees Redis.
    pub async fn store(&self) -> String {
        let host = [("host", "localhost")];
        let ready = ask(self.admin, "GET", "/readyz", &host, "").await;
        let ready: Json = serde_json::from_slice(&ready.body).expect("JSON");
        ready["store"].as_str().expect("a state").to_owned()
    }

    /// How often it looked something up in Redis, whatever came of it.
    pub async fn looks(&self) -> u64 {
        let host = [("host", "localhost")];
        let metrics = ask(self.admin, "GET", "/metrics", &host, "").await.text();
        let line = "sidecache_store_commands_total{command=\"mget\"} ";
        let count = metrics.lines().find_map(|text| text.strip_prefix(line));
        count.map_or(0, |count| count.parse().expect("a count"))
    }

    /// Sends a request to the admin door.
    pub async fn door(&self, method: &str, path: &str, body: &str) -> Got {
        let headers = [("host", "localhost"), ("content-type", "application/json")];
        ask(self.admin, method, path, &headers, body).await
    }

    /// Drops patterns by hand.
    pub async fn purge(&self, patterns: &[&str]) {
        let body = json!({ "drop": patterns }).to_string();
        let got = self.door("POST", "/api/purge", &body).await;
        assert_eq!(got.status, 200, "{}", got.text());
    }

    pub async fn answers(&self, call: &Call) -> Got {
        call.send(self.address).await
    }

    /// Asks until the answer comes from the cache.
    pub async fn until_hit(&self, call: &Call) -> Got {
        for _ in 0..3 {
            let got = self.answers(call).await;
            if got.outcome() == "hit" {
                return got;
            }
        }
        panic!(
            "{} is never a hit: {}",
            call.path,
            self.answers(call).await.cache_status()
        );
    }

    pub fn id(&self) -> u32 {
        self.running.process.id()
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(self) -> ExitStatus {
        self.running.terminate()
    }
}

/// A request that can be sent to the clinic as well as to a sidecar.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Call {
    pub fn new(method: &'static str, path: &str) -> Call {
        Call {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub fn get(path: &str) -> Call {
        Call::new("GET", path)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Call {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With a token in the raw Authorization header.
    pub fn by(self, token: &str) -> Call {
        self.header("authorization", token)
    }

    /// With a token in the cookie, as the front end sends it.
    pub fn cookie(self, token: &str) -> Call {
        self.header("cookie", &format!("accessToken={token}"))
    }

    pub fn json(self, body: Json) -> Call {
        let mut call = self.header("content-type", "application/json");
        call.body = body.to_string();
        call
    }

    pub async fn send(&self, to: SocketAddr) -> Got {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ask(to, self.method, &self.path, &headers, &self.body).await
    }
}
