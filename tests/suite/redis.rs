//! A real redis-server of a test's own: on a free port of loopback or on a socket, with nothing
//! saved, ended when the test ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program; another of the same words can be put in its place.
fn program() -> String {
    std::env::var("SIDECACHE_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

/// How long anything that a test waits for may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds`, and fails with `what` if it does not in time.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A redis-server.
pub struct RedisServer {
    process: Option<Child>,
    home: tempfile::TempDir,
    port: u16,
    args: Vec<String>,
    /// What a sentinel is told in a file, which it writes to.
    sentinel: Option<String>,
}

impl RedisServer {
    /// Starts one on a free port.
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// Starts one with further arguments.
    pub fn start_with(args: &[&str]) -> RedisServer {
        let mut server = RedisServer::absent(args);
        server.restart();
        server
    }

    /// One that is yet to be started, on a port that is free now.
    pub fn absent(args: &[&str]) -> RedisServer {
        let home = tempfile::tempdir().expect("a directory for redis");
        let args = args.iter().map(|arg| arg.to_string()).collect();
        RedisServer {
            process: None,
            home,
            port: free_port(),
            args,
            sentinel: None,
        }
    }

    /// Starts a sentinel that is told these lines.
    pub fn sentinel(lines: &str) -> RedisServer {
        let mut server = RedisServer::absent(&[]);
        server.sentinel = Some(lines.to_owned());
        server.restart();
        server
    }

    /// Starts it (again), empty, at the same place.
    pub fn restart(&mut self) {
        self.kill();
        let process = self.command().current_dir(self.home.path()).spawn();
        self.process =
            Some(process.expect("redis-server is missing: apt-get install redis-server"));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn command(&self) -> Command {
        let port = self.port.to_string();
        let mut command = Command::new(program());
        command.stdout(Stdio::null());
        if let Some(lines) = &self.sentinel {
            let file = self.home.path().join("sentinel.conf");
            let lines = format!("port {port}\nbind 127.0.0.1\n{lines}\n");
            std::fs::write(&file, lines).expect("a file for the sentinel");
            command.arg(file).arg("--sentinel");
            return command;
        }
        let common = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        command.args(common).arg("--unixsocket").arg(self.socket());
        command.args(&self.args);
        command
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("redis.sock")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("redis is ours to kill");
            process.wait().expect("redis ends");
        }
    }

    /// SIGSTOP: it hangs, with its connections open.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("redis runs").id().to_string();
        let kill = Command::new("kill").args([signal, &process]).status();
        assert!(kill.expect("kill is there").success());
    }

    /// Sends one command and returns the reply: strings as they are, an array joined by newlines,
    /// nil as `(nil)`, an error with its leading `-`.
    pub fn ask(&self, command: &[&[u8]]) -> String {
        let (mut stream, mut replies) = self.connection();
        send(&mut stream, command);
        reply(&mut replies)
    }

    /// [`RedisServer::say`] behind the default user's password.
    pub fn say_as(&self, password: &str, command: &str) -> String {
        let (mut stream, mut replies) = self.connection();
        send(&mut stream, &[b"AUTH", password.as_bytes()]);
        assert_eq!(reply(&mut replies), "OK");
        let words: Vec<_> = command.split(' ').map(str::as_bytes).collect();
        send(&mut stream, &words);
        reply(&mut replies)
    }

    fn connection(&self) -> (TcpStream, BufReader<TcpStream>) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("redis listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout is allowed");
        let replies = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
        (stream, replies)
    }

    /// [`RedisServer::ask`] for words.
    pub fn say(&self, command: &str) -> String {
        let words: Vec<_> = command.split(' ').map(str::as_bytes).collect();
        self.ask(&words)
    }

    /// What a backup of it would hold: the file that it writes of itself, not compressed.
    pub fn dump(&self) -> Vec<u8> {
        self.say("CONFIG SET rdbcompression no");
        assert_eq!(self.say("SAVE"), "OK");
        std::fs::read(self.home.path().join("dump.rdb")).expect("a dump")
    }

    /// How often a command (lower case) was called, by anyone, since the start.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.say("INFO commandstats");
        let prefix = format!("cmdstat_{command}:calls=");
        let calls = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        calls.map_or(0, |rest| {
            rest.split(',')
                .next()
                .and_then(|n| n.parse().ok())
                .expect("a count")
        })
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether bytes hold a word, in whatever case.
pub fn holds(bytes: &[u8], word: &str) -> bool {
    let mut parts = bytes.windows(word.len());
    parts.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// A port of loopback that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

fn send(stream: &mut TcpStream, command: &[&[u8]]) {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for part in command {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    stream.write_all(&bytes).expect("redis reads");
}

fn reply(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("redis replies");
    let line = line.trim_end();
    let (kind, rest) = line.split_at(1);
    match (kind, rest.parse::<i64>()) {
        ("$" | "*", Ok(-1)) => "(nil)".into(),
        ("$", Ok(length)) => {
            let mut bytes = vec![0; length as usize + 2];
            stream.read_exact(&mut bytes).expect("redis replies whole");
            String::from_utf8_lossy(&bytes[..length as usize]).into_owned()
        }
        ("*", Ok(count)) => (0..count)
            .map(|_| reply(stream))
            .collect::<Vec<_>>()
            .join("\n"),
        ("-", _) => line.into(),
        _ => rest.into(),
    }
}
