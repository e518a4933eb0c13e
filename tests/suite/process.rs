//! The command as a process of its own: what it prints, what signals do to it, what it logs.

mod alerts; // what is logged of them, and at the end
mod drain; // SIGTERM and SIGINT
mod logs; // what stands in them, and what never does
mod reload; // SIGHUP
mod replaced; // what a reload closes
mod restart; // what a reload cannot change
mod start; // what it says, and why it does not start
mod watch; // a file that changes

use crate::redis::eventually;
use crate::world::{self, Got};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

/// The command, before it is told anything, in an environment of its own.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecache"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().expect("the command starts")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A rules file in a directory.
pub(crate) fn written(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("rules.toml");
    std::fs::write(&path, text).expect("a rules file");
    path
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A running sidecar with a rules file of its own.
pub(crate) struct Process {
    child: Child,
    /// What it said when it started.
    introduction: String,
    /// What it logged so far.
    logged: Arc<Mutex<String>>,
    rules: PathBuf,
    _directory: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(rules: &str) -> Process {
        Process::start_with(rules, &[])
    }

    pub(crate) fn start_with(rules: &str, environment: &[(&str, &str)]) -> Process {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rules.toml");
        std::fs::write(&path, rules).expect("a rules file");
        Process::spawn(command(), path, directory, environment)
    }

    /// Starts by way of other programs, each of which becomes the next.
    pub(crate) fn start_by(launcher: &[&str], rules: &str) -> Process {
        let directory = tempfile::tempdir().expect("a directory");
        let path = written(directory.path(), rules);
        let mut command = Command::new(launcher[0]);
        let path_to_programs = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env_clear().stdin(Stdio::null());
        command
            .args(&launcher[1..])
            .arg(env!("CARGO_BIN_EXE_sidecache"));
        Process::spawn(command, path, directory, &[path_to_programs])
    }

    /// Starts with a file that is there.
    fn start_at(rules: &Path) -> Process {
        let directory = tempfile::tempdir().expect("a directory");
        Process::spawn(command(), rules.to_owned(), directory, &[])
    }

    fn spawn(
        mut command: Command,
        path: PathBuf,
        directory: tempfile::TempDir,
        environment: &[(&str, &str)],
    ) -> Process {
        let mut child = command
            .arg("--rules")
            .arg(&path)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let logged = gather(child.stderr.take().expect("piped"));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let introduction: Vec<String> = lines.by_ref().take(3).map_while(Result::ok).collect();
        assert_eq!(
            introduction.len(),
            3,
            "{}",
            logged.lock().expect("not poisoned")
        );
        Process {
            child,
            introduction: introduction.join("\n"),
            logged,
            rules: path,
            _directory: directory,
        }
    }

    /// The address that follows `before` in the introduction.
    fn address(&self, before: &str) -> SocketAddr {
        let after = self.introduction.split(before).nth(1).expect("it is named");
        let word = after.split_whitespace().next().expect("a word");
        word.trim_start_matches("http://")
            .parse()
            .expect("an address")
    }

    pub(crate) fn proxy(&self) -> SocketAddr {
        self.address("listens on ")
    }

    pub(crate) fn door(&self) -> SocketAddr {
        self.address("admin door: ")
    }

    pub(crate) async fn get(&self, target: &str) -> Got {
        world::ask(self.proxy(), "GET", target, &[], "").await
    }

    pub(crate) async fn metrics(&self) -> String {
        world::ask(self.door(), "GET", "/metrics", &[], "")
            .await
            .text()
    }

    pub(crate) fn logged(&self) -> String {
        self.logged.lock().expect("not poisoned").clone()
    }

    /// A number that it counts, by its name and labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|value| value.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        tasks.expect("it runs").count()
    }

    pub(crate) async fn logs(&self, text: &str) {
        eventually(text, async || self.logged().contains(text)).await;
    }

    pub(crate) fn write_rules(&self, text: &str) {
        std::fs::write(&self.rules, text).expect("a rules file");
    }

    /// Gives it another rules file, and returns when that is in force.
    pub(crate) async fn reload(&self, text: &str) {
        let reloads = || self.logged().matches("the rules were reloaded").count();
        let before = reloads();
        self.write_rules(text);
        self.signal("-HUP");
        eventually("the rules are reloaded", async || reloads() > before).await;
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status();
        assert!(kill.expect("kill is there").success());
    }

    /// How it ended, once it has.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", async || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        })
        .await;
        status.expect("just seen")
    }
}

/// Reads a stream to its end on a thread of its own: a full pipe would stop the process.
pub(crate) fn gather(mut stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let gathered: Arc<Mutex<String>> = Arc::default();
    let shared = gathered.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            shared.lock().expect("not poisoned").push_str(&text);
        }
    });
    gathered
}

/// A rules file with one rule, `GET /kept` for `ttl`.
pub(crate) fn rules(origin: SocketAddr, store: &str, ttl: &str) -> String {
    format!("{}{}", world::head(origin, store), rule(ttl))
}

fn rule(ttl: &str) -> String {
    format!(
        r#"
[[cache]]
name = "kept"
match = "GET /kept"
key = "things:{{query}}"
query = []
ttl = "{ttl}"
public = true

[[invalidate]]
name = "changed"
on = "POST /change"
drop = ["things:*"]
"#
    )
}

/// Whether nobody listens there.
async fn is_refused(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_err()
}
