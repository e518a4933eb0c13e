use super::{Ended, RULES};
use crate::process::{command, gather, stdout};
use crate::redis::{eventually, free_port};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// Answers by its path: how is what the answer is.
async fn origin() -> Origin {
    Origin::start(|asked: Asked| async move {
        let path = asked
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        match path.rsplit('/').next() {
            Some("gone") => Reply::of(404, "application/json", "{}"),
            Some("cookie") => Reply::json("{}").header("set-cookie", "a=b"),
            Some("empty") => Reply::json(r#"{"data": []}"#),
            _ => Reply::json(r#"{"data": [1]}"#),
        }
    })
    .await
}

struct World {
    origin: Origin,
    sidecar: Sidecar,
    directory: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let origin = origin().await;
        let needs = RULES.replace("public = true", "public = true\nstore_if = [\"/data\"]");
        let needs = needs
            .replace("kept", "needs")
            .replace("chang", "needs-chang");
        let file = head(origin.address, "memory:") + RULES + &needs;
        let directory = tempfile::tempdir().expect("a directory");
        // Where the command finds whom to ask as; the sidecar's own leaves the port to the system.
        std::fs::write(directory.path().join("rules.toml"), &file).expect("a file");
        World {
            sidecar: Sidecar::with_file(&file).await,
            origin,
            directory,
        }
    }

    fn list(&self, text: &str) {
        std::fs::write(self.directory.path().join("list"), text).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        let proxy = format!("http://{}", self.sidecar.address());
        command
            .current_dir(self.directory.path())
            .args(["warm", "list", "--proxy", &proxy])
            .args(arguments);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments)).await
    }
}

async fn ended(mut command: Command) -> Ended {
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    Ended::of(&ran.expect("no panic").expect("the command starts"))
}

#[tokio::test]
async fn each_line_is_asked_for_and_told_by_what_became_of_it() {
    let world = World::start().await;
    world.sidecar.get("/kept/a").await;
    world.list(
        "# what visitors ask for first\n\n/kept/a\nhttp://other.example/kept/b\n/needs/c\n/needs/empty\n\
         /kept/cookie\n/nobody\n/kept/d?unkeyed=1\n",
    );
    let ended = world.run(&[]).await.succeeds();
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(
        lines,
        [
            "7 lines: 1 were kept already, 3 are kept now, 3 are not kept, 0 failed",
            "1 not kept: no rule",
            "1 not kept: set-cookie",
            "1 not kept: store-if, too-large or truncated",
        ],
        "{}",
        ended.err
    );
    assert!(
        ended.err.ends_with("7 of 7\n"),
        "no terminal, so lines: {}",
        ended.err
    );
    for target in ["/kept/a", "/kept/b", "/needs/c", "/kept/d"] {
        assert_eq!(world.sidecar.get(target).await.outcome(), "hit", "{target}");
    }
    let again = world.run(&[]).await.succeeds().out;
    assert!(
        again.starts_with("7 lines: 4 were kept already, 0 are kept now"),
        "{again}"
    );
}

#[tokio::test]
async fn it_asks_as_the_first_host_and_with_the_headers_that_are_named() {
    let world = World::start().await;
    world.list("https://other.example/nobody?a=1\n");
    let ended = world.run(&["-H", "Accept-Language: de"]).await;
    ended.fails("nothing is kept of all that");
    let asked = world.origin.last();
    assert_eq!(asked.target, "/nobody?a=1");
    assert_eq!(asked.header("host"), Some("api.test"));
    assert_eq!(asked.header("accept-language"), Some("de"));
    world.run(&["--host", "else.test"]).await;
    assert_eq!(world.origin.last().header("host"), Some("else.test"));
    world
        .run(&["-H", "Cookie: a=b"])
        .await
        .fails("credentials are not sent");
}

#[tokio::test]
async fn where_hosts_have_answers_of_their_own_it_says_as_which_it_asks() {
    let world = World::start().await;
    let path = world.directory.path().join("rules.toml");
    let text = std::fs::read_to_string(&path).expect("the rules");
    std::fs::write(&path, text.replace("hosts = [\"api.test\"]\n", "")).expect("a file");
    let note = "visitors with another Host do not get these answers: give --host";
    world.list("/kept/a\n");
    let ended = world.run(&[]).await;
    let said = format!("asked for as Host {}, and {note}", world.sidecar.address());
    assert!(ended.err.contains(&said), "{}", ended.err);
    let ended = world.run(&["--host", "api.test"]).await;
    assert!(!ended.err.contains(note), "{}", ended.err);
    world.list("http://api.test/kept/a\n");
    let ended = world.run(&[]).await;
    assert!(!ended.err.contains(note), "{}", ended.err);
}

#[tokio::test]
async fn a_line_that_fails_is_told_and_the_others_are_asked_for_all_the_same() {
    let world = World::start().await;
    world.list("/kept/a\nno path\n/kept/gone\n/kept/b\n");
    let ended = world.run(&["--jobs", "1", "--rate", "1000"]).await;
    ended.fails("line 2: no path: this is no URL and no path");
    ended.fails("line 3: /kept/gone: 404 Not Found (status)");
    let refused = world.run(&["--rate", "4294967295"]).await;
    assert_eq!(refused.status, Some(2), "{}", refused.err);
    assert!(
        ended
            .out
            .starts_with("4 lines: 0 were kept already, 2 are kept now, 0 are not kept, 2 failed"),
        "{}",
        ended.out
    );
    assert_eq!(world.sidecar.get("/kept/b").await.outcome(), "hit");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_ends_it_with_how_to_go_on() {
    let world = World::start().await;
    world.list("\n/kept/a\n/kept/b\n");
    let mut elsewhere = command();
    let proxy = format!("http://127.0.0.1:{}", free_port());
    elsewhere
        .current_dir(world.directory.path())
        .args(["warm", "list", "--proxy", &proxy]);
    let ended = ended(elsewhere).await;
    ended.fails("nothing answers at");
    ended.fails("go on with: sidecache warm list --skip 1");
    ended.fails(&format!("--skip 1 --proxy {proxy}\n"));
    let mut given = command();
    let options = "--host a.test --rules rules.toml --jobs 3 --rate 50";
    let headers = ["-H", "Accept: text/html, */*", "-H", "X: it's"];
    given
        .current_dir(world.directory.path())
        .args(["warm", "list", "--proxy", &proxy])
        .args(options.split(' ').chain(headers));
    let told = format!(
        "--skip 1 --proxy {proxy} --host a.test --jobs 3 --rate 50 -H 'Accept: text/html, */*' -H 'X: it'\\''s'\n"
    );
    self::ended(given).await.fails(&told);
    let mut unknown = command();
    unknown
        .current_dir(world.directory.path())
        .args(["warm", "list"]);
    self::ended(unknown).await.fails("--proxy");
    world.list("# nothing\n");
    world.run(&[]).await.fails("list asks for nothing");
    world.run(&["--skip", "1"]).await.fails("behind line 1");
}

/// The origin answers so many requests and holds the rest back.
#[tokio::test]
async fn an_interrupted_run_finishes_what_it_began_and_says_where_to_go_on() {
    let (gate, asked) = (Arc::new(Semaphore::new(2)), Arc::new(AtomicUsize::new(0)));
    let (held, counted) = (gate.clone(), asked.clone());
    let origin = Origin::start(move |_: Asked| {
        counted.fetch_add(1, SeqCst);
        let held = held.clone();
        async move {
            held.acquire().await.expect("never closed").forget();
            Reply::json("{}")
        }
    })
    .await;
    let sidecar = Sidecar::with_file(&(head(origin.address, "memory:") + RULES)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let list: String = (1..=100)
        .map(|number| format!("/kept/{number}\n"))
        .collect();
    std::fs::write(directory.path().join("list"), list).expect("a file");
    let proxy = format!("http://{}", sidecar.address());
    let start = |more: &[&str]| {
        let mut command = command();
        command
            .current_dir(directory.path())
            .args(["warm", "list", "--host", "api.test", "--jobs", "2"]);
        command.args(["--proxy", &proxy]).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the command starts")
    };
    let mut running = start(&[]);
    let said = gather(running.stderr.take().expect("piped"));
    let said = || said.lock().expect("not poisoned").clone();
    // Two are answered, and the next two wait.
    eventually("four are asked for", async || asked.load(SeqCst) == 4).await;
    let pid = running.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &pid]).status();
    assert!(interrupted.expect("kill is there").success());
    eventually("it has heard", async || {
        said().contains("what was begun is waited for")
    })
    .await;
    gate.add_permits(2);
    let output = tokio::task::spawn_blocking(move || running.wait_with_output()).await;
    let output = output.expect("no panic").expect("it ran");
    assert_eq!(output.status.code(), Some(1), "{}", said());
    let told = "4 lines: 0 were kept already, 4 are kept now, 0 are not kept, 0 failed\n";
    assert_eq!(stdout(&output), told);
    eventually("how to go on", async || {
        let again = "interrupted; go on with: sidecache warm list --skip 4";
        said().ends_with(&format!(
            "{again} --proxy {proxy} --host api.test --jobs 2\n"
        ))
    })
    .await;
    gate.add_permits(1000);
    let rest = start(&["--skip", "4"]);
    let rest = tokio::task::spawn_blocking(move || rest.wait_with_output()).await;
    let rest = rest.expect("no panic").expect("it ran");
    let said = stdout(&rest);
    assert!(
        said.starts_with("96 lines: 0 were kept already, 96 are kept now"),
        "{said}"
    );
    assert_eq!(asked.load(SeqCst), 100);
}
