use super::{Process, command, output, rules, stderr, stdout, written};
use crate::world::{self, Asked, Origin, Reply};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

async fn hello() -> Origin {
    Origin::start(|_: Asked| async { Reply::json("{}") }).await
}

#[tokio::test]
async fn it_says_what_it_listens_on_and_what_it_fronts() {
    let origin = hello().await;
    let process = Process::start(&rules(origin.address, "memory:", "5m"));
    let said = &process.introduction;
    assert!(
        said.contains(&format!("before http://{}", origin.address)),
        "{said}"
    );
    assert!(said.contains("1 rule, 1 set;"), "{said}");
    assert!(said.contains("admin door: http://127.0.0.1:"), "{said}");
    assert_eq!(process.get("/kept").await.outcome(), "miss");
    assert_eq!(process.get("/kept").await.outcome(), "hit");
}

#[tokio::test]
async fn rules_are_named_by_flag_or_environment_with_or_without_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = written(directory.path(), "namespace = 1");
    let expected = |output: &std::process::Output| {
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(output).contains("rules.toml:1"),
            "{}",
            stderr(output)
        );
    };
    expected(&output(command().arg("--rules").arg(&path)));
    expected(&output(command().arg("run").arg("--rules").arg(&path)));
    expected(&output(command().env("SIDECACHE_RULES", &path)));
    // A variable that is set to nothing names none: the usual one is read.
    expected(&output(
        command()
            .env("SIDECACHE_RULES", "")
            .current_dir(directory.path()),
    ));
    expected(&output(command().current_dir(directory.path())));
    expected(&output(command().arg("check").arg(&path)));
    expected(&output(
        command().arg("check").env("SIDECACHE_RULES", &path),
    ));
}

#[test]
fn a_missing_file_is_named_and_remedied() {
    let gone = output(command().args(["--rules", "/nowhere/rules.toml"]));
    assert_eq!(gone.status.code(), Some(1));
    let said = stderr(&gone);
    assert!(
        said.contains("/nowhere/rules.toml") && said.contains("--rules FILE"),
        "{said}"
    );
}

#[test]
fn check_prints_every_problem_with_its_line_a_caret_and_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = r#"namespace = "test"
[proxy]
origen = "http://127.0.0.1:5000"
[[cache]]
name = "a"
match = "GET /a"
key = "a:{nothing}"
tll = "5m"
ttl = "5m"
[[cache]]
name = "b"
match = "GET /b"
key = "b"
ttl = "soon"
"#;
    let checked = output(command().arg("check").arg(written(directory.path(), text)));
    assert_eq!(checked.status.code(), Some(1));
    let said = stderr(&checked);
    let parts = [
        "did you mean `origin`?",
        "`{nothing}`",
        "did you mean `ttl`?",
        "not a duration",
        "^^^",
        "= help:",
        "rules.toml:3:",
        "rules.toml:7:",
        "rules.toml:8:",
        "rules.toml:14:",
    ];
    for part in parts {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(stdout(&checked).is_empty());
}

#[test]
fn check_of_a_sound_file_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let address = "127.0.0.1:5000".parse().expect("an address");
    let path = written(directory.path(), &rules(address, "memory:", "5m"));
    let checked = output(command().arg("check").arg(&path));
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert!(
        stdout(&checked).contains("1 rule, 1 set, no problem"),
        "{}",
        stdout(&checked)
    );
}

#[test]
fn an_unset_secret_is_explained_where_it_is_asked_for() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.toml");
    for secret in [None, Some("")] {
        let mut command = command();
        command.arg("check").arg(&shipped);
        command.envs(secret.map(|secret| ("JWT_SECRET", secret)));
        let checked = output(&mut command);
        assert_eq!(checked.status.code(), Some(1), "{secret:?}");
        let said = stderr(&checked);
        assert!(
            said.contains("JWT_SECRET") && said.contains("^") && said.contains("help"),
            "{said}"
        );
    }
    let sound = output(
        command()
            .arg("check")
            .arg(&shipped)
            .env("JWT_SECRET", "s3cret"),
    );
    assert_eq!(sound.status.code(), Some(0), "{}", stderr(&sound));
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let origin = hello().await;
    let taken = rules(origin.address, "memory:", "5m").replacen(
        "127.0.0.1:0",
        &origin.address.to_string(),
        1,
    );
    let directory = tempfile::tempdir().expect("a directory");
    let refused = output(
        command()
            .arg("--rules")
            .arg(written(directory.path(), &taken)),
    );
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    let place = format!("[proxy] listen = \"{}\"", origin.address);
    assert!(
        said.contains(&place) && said.contains("another process"),
        "{said}"
    );
    assert!(stdout(&refused).is_empty());
}

#[test]
fn a_journal_that_cannot_be_opened_ends_it_with_its_path_and_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let absent = crate::redis::free_port();
    let origin = std::net::SocketAddr::from(([127, 0, 0, 1], absent));
    let text = rules(origin, &format!("redis://127.0.0.1:{absent}"), "5m");
    let text = text.replace("[store]", "[store]\njournal = \"absent/journal\"");
    let refused = output(
        command()
            .arg("--rules")
            .arg(written(directory.path(), &text)),
    );
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("absent/journal") && said.contains("in a directory that exists"),
        "{said}"
    );
    assert!(stdout(&refused).is_empty());
}

#[tokio::test]
async fn it_listens_on_a_socket_before_an_origin_on_one_and_replaces_a_stale_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (front, back) = (
        directory.path().join("front.sock"),
        directory.path().join("back.sock"),
    );
    let listener = UnixListener::bind(&back).expect("a socket");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 16 * 1024];
        let _ = stream.read(&mut head).await.expect("a request");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(answer).await.expect("sent");
    });
    drop(UnixListener::bind(&front).expect("left behind by somebody who was killed"));
    let address = "127.0.0.1:1".parse().expect("an address");
    let text = rules(address, "memory:", "5m")
        .replacen("127.0.0.1:0", &format!("unix:{}", front.display()), 1)
        .replacen("http://127.0.0.1:1", &format!("unix:{}", back.display()), 1);
    let mut process = Process::start(&text);
    assert!(
        process
            .introduction
            .contains(&format!("unix:{}", front.display()))
    );
    assert_eq!(asked(&front).await.matches("hello").count(), 1);
    let hit = asked(&front).await;
    assert!(hit.contains("; hit") && hit.ends_with("hello"), "{hit}");
    let second = output(command().arg("--rules").arg(&process.rules));
    assert_eq!(
        second.status.code(),
        Some(1),
        "a socket in use is not taken away"
    );
    assert!(
        stderr(&second).contains(&front.display().to_string()),
        "{}",
        stderr(&second)
    );
    process.signal("-TERM");
    assert_eq!(process.ended().await.code(), Some(0));
    assert!(!front.exists());
}

async fn asked(socket: &Path) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("it listens");
    let get = b"GET /kept HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
    stream.write_all(get).await.expect("sent");
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.expect("an answer");
    heard
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crash_leaves_no_dump_of_what_it_keeps() {
    let origin = hello().await;
    let process = Process::start(&rules(origin.address, "memory:", "5m"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.child.id()));
    let limits = limits.expect("it runs");
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = cores.expect("a limit").split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    assert_eq!(process.get("/kept").await.outcome(), "miss");
    let metrics = process.metrics().await;
    assert!(
        metrics.contains("process_resident_memory_bytes "),
        "{metrics}"
    );
}

#[tokio::test]
async fn it_starts_before_its_origin_and_serves_it_once_it_comes() {
    let port = crate::redis::free_port();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let process = Process::start(&rules(address, "memory:", "5m"));
    let ready = world::ask(process.door(), "GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200, "it is ready to say that there is nobody");
    let got = process.get("/kept").await;
    assert_eq!(
        (got.status, got.detail()),
        (502, Some("origin-unreachable"))
    );
    let write = world::ask(process.proxy(), "POST", "/change", &[], "").await;
    assert_eq!(
        (write.status, write.detail()),
        (502, Some("origin-unreachable"))
    );
    let origin = Origin::start_at(port, |_| async { Reply::json("{}") }).await;
    assert_eq!(process.get("/kept").await.outcome(), "miss");
    drop(origin);
    assert_eq!(process.get("/kept").await.outcome(), "hit");
}
