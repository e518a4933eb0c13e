//! `sidecache record` and `sidecache propose`: each as a process, before an origin of the test's.

use crate::process::{command, gather, output, stderr, stdout};
use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply, ask};
use hyper::header::HOST;
use sidecache::traffic::{self, Source, Traffic};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A recorder as a process, in a directory of its own.
pub(crate) struct Recording {
    child: Child,
    pub(crate) address: SocketAddr,
    said: Arc<Mutex<String>>,
    complained: Arc<Mutex<String>>,
    pub(crate) directory: tempfile::TempDir,
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// What a recorder left.
pub(crate) struct Recorded {
    pub(crate) file: PathBuf,
    /// All that it printed.
    pub(crate) printed: String,
    pub(crate) status: Option<i32>,
    pub(crate) directory: tempfile::TempDir,
}

impl Recording {
    pub(crate) fn start(origin: SocketAddr, options: &[&str]) -> Recording {
        let directory = tempfile::tempdir().expect("a directory");
        Recording::start_in(directory, origin, options)
    }

    fn start_in(directory: tempfile::TempDir, origin: SocketAddr, options: &[&str]) -> Recording {
        let mut child = recorder(origin)
            .arg(directory.path().join("recording"))
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let complained = gather(child.stderr.take().expect("piped"));
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it talks in UTF-8");
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let address =
            address.unwrap_or_else(|| panic!("{line}{}", complained.lock().expect("not poisoned")));
        Recording {
            address: address.parse().expect("an address"),
            said: gather(output),
            complained,
            child,
            directory,
        }
    }

    /// Ends it as an operator would.
    pub(crate) async fn end(mut self, signal: &str) -> Recorded {
        let kill = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(kill.expect("kill is there").success());
        let mut status = None;
        eventually("the recorder ends", async || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        })
        .await;
        eventually("it has told", async || {
            self.said
                .lock()
                .expect("not poisoned")
                .contains("recorded in")
        })
        .await;
        let printed = format!(
            "{}{}",
            self.said.lock().expect("not poisoned"),
            self.complained.lock().expect("not poisoned")
        );
        Recorded {
            file: self.directory.path().join("recording"),
            printed,
            status: status.and_then(|status| status.code()),
            directory: std::mem::replace(
                &mut self.directory,
                tempfile::tempdir().expect("a directory"),
            ),
        }
    }
}

impl Recorded {
    pub(crate) fn traffic(&self) -> Traffic {
        traffic::read(&self.file).expect("a recording")
    }

    pub(crate) fn mode(&self) -> u32 {
        let metadata = std::fs::metadata(&self.file).expect("it is there");
        metadata.permissions().mode() & 0o777
    }
}

fn recorder(origin: SocketAddr) -> Command {
    let mut command = command();
    command
        .args(["record", "--origin", &format!("http://{origin}")])
        .args(["--listen", "127.0.0.1:0"]);
    command
}

pub(crate) fn propose(file: &Path, options: &[&str]) -> Output {
    output(
        command()
            .arg("propose")
            .arg("--traffic")
            .arg(file)
            .args(options),
    )
}

const TOKEN: &str = "t0ken-of-ann";

/// Tells what it was asked.
async fn echo() -> Origin {
    Origin::start(|asked: Asked| async move {
        let path = asked.target.split('?').next().unwrap_or_default();
        let said = format!("{} {path}", asked.method);
        Reply::json(format!(
            "{{\"said\": {said:?}, \"accessToken\": \"issued-{TOKEN}\"}}"
        ))
        .header("set-cookie", &format!("session={TOKEN}; HttpOnly"))
        .header("set-cookie", "theme=dark")
    })
    .await
}

#[tokio::test]
async fn what_passes_is_unchanged_and_written_down_for_its_owner_alone() {
    let origin = echo().await;
    let recording = Recording::start(origin.address, &[]);
    let headers = [
        ("authorization", TOKEN),
        ("x-odd", "caf\u{e9}"),
        ("accept-encoding", "gzip"),
    ];
    let got = ask(recording.address, "GET", "/a%20b?x=1&x=2", &headers, "").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(
        got.header("cache-status"),
        None,
        "it says nothing of itself"
    );
    let seen = origin.last();
    assert_eq!(seen.target, "/a%20b?x=1&x=2");
    assert_eq!(seen.header("authorization"), Some(TOKEN));
    assert_eq!(
        seen.header("accept-encoding"),
        Some("identity"),
        "packed bodies tell nobody anything"
    );
    let json = [("content-type", "application/json")];
    ask(
        recording.address,
        "PATCH",
        "/b",
        &json,
        "{\"password\":\"pw\"}",
    )
    .await;
    let recorded = recording.end("-INT").await;

    assert_eq!((recorded.status, recorded.mode()), (Some(0), 0o600));
    assert!(
        recorded.printed.contains("2 exchanges recorded"),
        "{}",
        recorded.printed
    );
    assert!(
        recorded.printed.contains("will hold credentials"),
        "{}",
        recorded.printed
    );
    assert!(!recorded.printed.contains(TOKEN), "{}", recorded.printed);
    let traffic = recorded.traffic();
    assert_eq!((traffic.source, traffic.skipped), (Source::Recording, 0));
    let [get, patch] = traffic.exchanges.as_slice() else {
        panic!("{:?}", traffic.exchanges);
    };
    assert_eq!(
        (get.method.as_str(), get.target.as_str()),
        ("GET", "/a%20b?x=1&x=2")
    );
    assert_eq!(get.headers["authorization"], TOKEN);
    assert_eq!(
        get.headers["accept-encoding"], "gzip",
        "as its client said it"
    );
    assert_eq!(get.headers[HOST], "api.test");
    assert_eq!(get.headers["x-odd"].as_bytes(), "caf\u{e9}".as_bytes());
    let answer = get.answer.as_ref().expect("an answer");
    assert_eq!(answer.body.as_ref(), Some(&got.body));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(patch.body, "{\"password\":\"pw\"}");
}

#[tokio::test]
async fn a_recording_is_continued_and_never_overwritten() {
    let origin = echo().await;
    let recording = Recording::start(origin.address, &["--no-bodies"]);
    ask(recording.address, "POST", "/a", &[], "0123456789").await;
    let recorded = recording.end("-TERM").await;
    let [first] = &recorded.traffic().exchanges[..] else {
        panic!("one was recorded: {}", recorded.printed);
    };
    assert!(first.lacks_body(), "{:?}", first.headers);
    assert_eq!(
        first.answer.as_ref().and_then(|answer| answer.body.clone()),
        None
    );

    let again = output(recorder(origin.address).arg(&recorded.file));
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("is not overwritten"),
        "{}",
        stderr(&again)
    );
    let more = Recording::start_in(recorded.directory, origin.address, &["--append"]);
    ask(more.address, "GET", "/b", &[], "").await;
    let recorded = more.end("-INT").await;
    let traffic = recorded.traffic();
    let targets: Vec<&str> = traffic
        .exchanges
        .iter()
        .map(|one| one.target.as_str())
        .collect();
    assert_eq!(targets, ["/a", "/b"]);
}

#[tokio::test]
async fn what_is_redacted_tells_people_apart_and_nothing_of_them() {
    let origin = echo().await;
    let recording = Recording::start(origin.address, &["--redact"]);
    let json = ("content-type", "application/json");
    let ann = [
        json,
        ("authorization", TOKEN),
        ("cookie", "sid=ann-s; theme=dark"),
    ];
    let bob = [
        json,
        ("authorization", "t0ken-of-bob"),
        ("cookie", "sid=bob-s; theme=dark"),
    ];
    let login = "{\"user\":{\"name\":\"Ann\",\"newPassword\":\"hunter2\"}}";
    ask(
        recording.address,
        "POST",
        "/login?access_token=query-s",
        &ann,
        login,
    )
    .await;
    ask(recording.address, "GET", "/a", &ann, "").await;
    ask(recording.address, "GET", "/a", &bob, "").await;
    ask(
        recording.address,
        "POST",
        "/upload",
        &[],
        "password=no-type",
    )
    .await;
    let recorded = recording.end("-INT").await;
    let text = std::fs::read_to_string(&recorded.file).expect("text");
    for secret in [
        TOKEN,
        "t0ken-of-bob",
        "ann-s",
        "bob-s",
        "query-s",
        "hunter2",
        "no-type",
        "issued-",
    ] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("Ann") && text.contains("HttpOnly"), "{text}");
    let all = recorded.traffic().exchanges;
    let who = |at: usize| all[at].headers["authorization"].clone();
    assert!(who(0) == who(1) && who(1) != who(2), "{all:?}");
    assert!(
        recorded.printed.contains("learn cannot replay it"),
        "{}",
        recorded.printed
    );
}

#[tokio::test]
async fn who_is_not_at_home_listens_only_where_it_is_said_that_this_is_meant() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("recording");
    let mut command = command();
    command
        .args([
            "record",
            "--origin",
            "http://127.0.0.1:1",
            "--listen",
            "192.0.2.1:0",
        ])
        .arg(&file);
    let refused = output(&mut command);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("--public"),
        "{}",
        stderr(&refused)
    );
    // An address of nobody: meant, and yet not to be had.
    let failed = output(command.arg("--public"));
    assert!(stderr(&failed).contains("--listen"), "{}", stderr(&failed));
    assert!(!file.exists(), "nothing is in the way of the next attempt");
}

/// What comes next on a connection, up to where `end` is.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let byte = stream.read_u8().await.expect("more comes");
        read.push(byte);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn uploads_and_streams_of_events_keep_streaming() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let recording = Recording::start(listener.local_addr().expect("an address"), &[]);
    let mut client = TcpStream::connect(recording.address)
        .await
        .expect("a connection");
    let head =
        "POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let (mut origin, _) = listener.accept().await.expect("a connection");
    until(&mut origin, "first").await; // before the rest is there
    client
        .write_all(b"4\r\nrest\r\n0\r\n\r\n")
        .await
        .expect("sent");
    until(&mut origin, "0\r\n\r\n").await;
    let events =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let first = format!("{events}7\r\ndata: 1\r\n");
    origin.write_all(first.as_bytes()).await.expect("sent");
    until(&mut client, "data: 1").await; // before the next is there
    origin.write_all(b"7\r\ndata: 2\r\n").await.expect("sent");
    until(&mut client, "data: 2").await;
    drop(client); // as one leaves a stream of events
    eventually("the exchange is written down", async || {
        let file = recording.directory.path().join("recording");
        traffic::read(&file).is_ok_and(|traffic| traffic.exchanges.len() == 1)
    })
    .await;
    let recorded = recording.end("-INT").await;
    let all = recorded.traffic().exchanges;
    assert_eq!(all[0].body, "firstrest");
    let answer = all[0].answer.as_ref().expect("an answer");
    assert_eq!(
        (answer.status, answer.body.clone()),
        (200, None),
        "nobody saw its end"
    );
}

#[tokio::test]
async fn what_an_origin_did_not_answer_is_not_recorded() {
    let recording = Recording::start(
        SocketAddr::from(([127, 0, 0, 1], crate::redis::free_port())),
        &[],
    );
    let got = ask(recording.address, "GET", "/a", &[], "").await;
    assert_eq!(got.status, 502);
    let recorded = recording.end("-INT").await;
    assert_eq!(recorded.traffic().exchanges.len(), 0);
    assert!(
        recorded.printed.contains("1 came to no answer"),
        "{}",
        recorded.printed
    );
}

#[tokio::test]
async fn a_log_tells_volumes_and_what_is_no_traffic_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("access.log");
    let line = |target: &str| {
        format!(
            "1.2.3.4 - ann [10/Oct/2026:13:55:36 +0000] \"GET {target} HTTP/1.1\" 200 5 \"-\" \"-\" 0.020\n"
        )
    };
    let log = [line("/user/17?secret=x"), line("/user/18"), line("/about")].concat();
    std::fs::write(&file, log).expect("a file");
    let told = propose(&file, &[]);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let text = stdout(&told);
    assert!(text.contains("2  GET /user/{userId}, 20 ms each"), "{text}");
    assert!(text.contains("sidecache record"), "{text}");
    assert!(
        !text.contains("secret") && !text.contains("[[cache]]"),
        "{text}"
    );
    std::fs::write(&file, "{\"a\": 1}").expect("a file");
    let told = propose(&file, &[]);
    assert_eq!(told.status.code(), Some(1));
    assert!(stderr(&told).contains("log.entries"), "{}", stderr(&told));
}

#[tokio::test]
async fn what_changes_its_protocol_passes_and_is_not_recorded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let recording = Recording::start(listener.local_addr().expect("an address"), &[]);
    let mut client = TcpStream::connect(recording.address)
        .await
        .expect("a connection");
    let asked =
        "GET /live HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write_all(asked.as_bytes()).await.expect("sent");
    let (mut origin, _) = listener.accept().await.expect("a connection");
    until(&mut origin, "\r\n\r\n").await;
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    origin.write_all(switch.as_bytes()).await.expect("sent");
    until(&mut client, "\r\n\r\n").await;
    client.write_all(b"ping").await.expect("sent");
    until(&mut origin, "ping").await;
    origin.write_all(b"pong").await.expect("sent");
    until(&mut client, "pong").await;
    let recorded = recording.end("-INT").await;
    assert_eq!(recorded.traffic().exchanges.len(), 0);
    assert!(
        recorded.printed.contains("1 came to no answer"),
        "{}",
        recorded.printed
    );
}

#[test]
fn an_export_of_a_browser_is_proposed_by_for_the_host_that_is_named() {
    let entry = |host: &str, n: u64| {
        serde_json::json!({
            "startedDateTime": format!("2026-03-01T12:00:{n:02}Z"), "time": 20,
            "request": { "method": "GET", "url": format!("https://{host}/api/list?page={n}"), "headers": [] },
            "response": { "status": 200, "headers": [], "content": { "text": format!("[{}]", n % 2) } },
        })
    };
    let hosts = ["api.example", "api.example", "cdn.example"]
        .iter()
        .zip(0..);
    let mut entries: Vec<_> = hosts.map(|(host, n)| entry(host, n % 2)).collect();
    entries.push(entries[0].clone());
    let har = serde_json::json!({ "log": { "entries": entries } });
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("export.har");
    std::fs::write(&file, har.to_string()).expect("a file");
    let told = propose(&file, &[]);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        stderr(&told).contains("--host, of api.example, cdn.example"),
        "{}",
        stderr(&told)
    );
    let told = propose(&file, &["--host", "api.example"]);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let text = stdout(&told);
    assert!(text.contains("from 3 requests"), "{text}");
    assert!(
        text.contains("match = \"GET /api/list\"\nkey = \"list:{query}\""),
        "{text}"
    );
}
