use super::recording::Recorder;
use super::*;
use std::os::unix::fs::PermissionsExt;

fn of_text(text: &str) -> Result<Traffic, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("traffic");
    std::fs::write(&path, text).expect("a file");
    read(&path)
}

fn exchange(at_ms: u64, target: &str) -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, header::HeaderValue::from_static("a.example"));
    Exchange {
        at_ms,
        took_ms: Some(7),
        method: Method::POST,
        target: target.to_owned(),
        headers: headers.clone(),
        body: Bytes::from_static(b"{\"a\":1}"),
        answer: Some(Answered {
            status: 201,
            headers,
            body: Some(Bytes::from_static(b"\xff\x00")),
        }),
    }
}

#[test]
fn a_recording_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("recording");
    let mut odd = exchange(5, "/b?x=%20");
    let opaque = header::HeaderValue::from_bytes(b"caf\xc3\xa9\xff").expect("a value");
    odd.headers.append("x-odd", opaque);
    odd.headers
        .append("x-odd", header::HeaderValue::from_static(""));
    let unknown = Exchange {
        took_ms: None,
        body: Bytes::new(),
        answer: odd.answer.clone().map(|answer| Answered {
            body: None,
            ..answer
        }),
        ..exchange(6, "/c")
    };
    let empty = Exchange {
        answer: odd.answer.clone().map(|answer| Answered {
            body: Some(Bytes::new()),
            ..answer
        }),
        ..exchange(7, "/d")
    };
    let unanswered = Exchange {
        answer: None,
        ..exchange(8, "/e")
    };
    let all = [exchange(1, "/a"), odd, unknown, empty, unanswered];
    let mut recorder = Recorder::create(&path).expect("a new file");
    // In another order than they were asked in: answers end when they end.
    all.iter()
        .rev()
        .for_each(|one| recorder.write(one).expect("written"));
    recorder.flush().expect("written");
    let read = read(&path).expect("a recording");
    assert_eq!((read.source, read.skipped), (Source::Recording, 0));
    assert_eq!(read.exchanges, all);
}

#[test]
fn a_recording_is_its_owners_and_is_continued_but_never_overwritten() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("recording");
    let mut recorder = Recorder::create(&path).expect("a new file");
    recorder.write(&exchange(1, "/a")).expect("written");
    recorder.flush().expect("written");
    let mode = std::fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = Recorder::create(&path).err().expect("it is there already");
    assert!(refused.contains("--append"), "{refused}");

    // Where the recorder was killed there is half a line.
    let mut text = std::fs::read_to_string(&path).expect("text");
    text.push_str("{\"at\":2,\"meth");
    std::fs::write(&path, text).expect("written");
    assert_eq!(read(&path).expect("a recording").skipped, 1);
    let mut recorder = Recorder::append(&path).expect("a recording");
    recorder.write(&exchange(3, "/b")).expect("written");
    recorder.flush().expect("written");
    let all = read(&path).expect("a recording");
    let targets: Vec<&str> = all.exchanges.iter().map(Exchange::path).collect();
    assert_eq!((targets, all.skipped), (vec!["/a", "/b"], 1));

    let others = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&path, others).expect("ours");
    let refused = Recorder::append(&path).err().expect("others may read it");
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn what_is_no_recording_is_not_continued() {
    let directory = tempfile::tempdir().expect("a directory");
    for text in ["", "{}\n", "{\"sidecache\":\"recording\",\"version\":2}\n"] {
        let path = directory.path().join("other");
        std::fs::write(&path, text).expect("a file");
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, own).expect("ours");
        let refused = Recorder::append(&path).err().expect("no recording");
        assert!(refused.contains("line 1"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
    }
    let newer = of_text("{\"sidecache\":\"recording\",\"version\":2}\n").expect_err("newer");
    assert!(newer.contains("version 2"), "{newer}");
}

#[test]
fn a_log_is_read_in_its_usual_forms() {
    let log = concat!(
        "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /a?b=1 HTTP/1.0\" 200 2326\n",
        "::1 - - [10/Oct/2000:20:55:37 +0000] \"POST /b HTTP/1.1\" 201 5 \"http://x/\" \"an \\\"agent\\\"\"\n",
        "1.1.1.1 - - [10/Oct/2000:20:55:38 +0000] \"GET http://h/c HTTP/1.1\" 304 0 \"-\" \"x\" 0.250\n",
        "1.1.1.1 - - [10/Oct/2000:20:55:39 +0000] \"GET /d HTTP/1.1\" 200 9 \"-\" \"x\" rt=1.5\n",
        "1.1.1.1 - - [10/Oct/2000:20:55:40 +0000] \"GET /e HTTP/1.1\" 200 9 4711\n",
        "\n",
        "1.1.1.1 - - [10/Oct/2000:20:55:41 +0000] \"\\x16\\x03\\x01\" 400 150\n",
        "1.1.1.1 - - [10/Oct/2000:20:55:42 +0000] \"-\" 408 0\n",
        "1.1.1.1 - - [10/Oct/2000:20:55:42 +0000] \"GET /cut",
    );
    let read = of_text(log).expect("a log");
    assert_eq!((read.source, read.skipped), (Source::AccessLog, 3));
    let seen = read.exchanges.iter().map(|one| {
        let status = one.answer.as_ref().map_or(0, |answer| answer.status);
        (
            one.at_ms - 971_211_330_000,
            one.method.as_str(),
            one.target.as_str(),
            status,
            one.took_ms,
        )
    });
    let seen: Vec<_> = seen.collect();
    assert_eq!(
        seen,
        [
            (6_000, "GET", "/a?b=1", 200, None),
            (7_000, "POST", "/b", 201, None),
            (7_500, "GET", "/d", 200, Some(1_500)),
            (7_750, "GET", "/c", 304, Some(250)),
            (10_000, "GET", "/e", 200, None),
        ]
    );
}

const HAR: &str = r#"{"log":{"version":"1.2","entries":[
  {"startedDateTime":"2026-03-01T12:00:01.250Z","time":12.6,
   "request":{"method":"POST","url":"https://api.example:444/login?x=1#top",
     "headers":[{"name":":authority","value":"api.example:444"},{"name":"Content-Type","value":"application/x-www-form-urlencoded"}],
     "postData":{"mimeType":"application/x-www-form-urlencoded","text":"","params":[{"name":"a b","value":"c&d"},{"name":"e","value":"f"}]}},
   "response":{"status":200,"headers":[{"name":"Content-Encoding","value":"br"},{"name":"ETag","value":"\"x\""}],
     "content":{"size":2,"text":"/wA=","encoding":"base64"}}},
  {"startedDateTime":"2026-03-01T12:00:00Z","time":3,
   "request":{"method":"GET","url":"https://api.example:444","headers":[{"name":"Host","value":"API.example:444"}]},
   "response":{"status":200,"headers":[],"content":{"size":2,"text":"ok"}}},
  {"startedDateTime":"2026-03-01T12:00:02Z","time":3,
   "request":{"method":"GET","url":"https://cdn.example/x.js","headers":[]},
   "response":{"status":0,"headers":[],"content":{}}},
  {"startedDateTime":"2026-03-01T12:00:02Z","_fromCache":"memory",
   "request":{"method":"GET","url":"https://api.example:444/kept","headers":[]},"response":{"status":200}},
  {"startedDateTime":"2026-03-01T12:00:02Z",
   "request":{"method":"GET","url":"wss://api.example:444/live","headers":[]},"response":{"status":101}},
  {"startedDateTime":"yesterday",
   "request":{"method":"GET","url":"https://api.example:444/y","headers":[]},"response":{"status":200}},
  {"nothing":"of it"}
]}}"#;

#[test]
fn an_export_is_read_with_bodies_as_they_were_shown() {
    let read = of_text(HAR).expect("a HAR file");
    assert_eq!((read.source, read.skipped), (Source::Har, 2));
    let several = of_text(HAR)
        .expect("a HAR file")
        .of_host(None)
        .expect_err("two hosts");
    assert!(
        several.contains("--host, of api.example:444, cdn.example"),
        "{several}"
    );
    let unknown = of_text(HAR).expect("a HAR file").of_host(Some("other"));
    assert!(
        unknown
            .expect_err("none")
            .contains("nothing was asked of other")
    );
    assert!(read.exchanges[2].answer.is_none(), "it was given up");
    let read = read.of_host(Some("api.example:444")).expect("one host");
    let [first, login] = read.exchanges.as_slice() else {
        panic!("{:?}", read.exchanges);
    };
    assert_eq!((first.target.as_str(), first.took_ms), ("/", Some(3)));
    let answer = first.answer.as_ref().expect("an answer");
    assert_eq!(answer.body.as_deref(), Some(b"ok".as_slice()));
    assert_eq!(
        (login.target.as_str(), login.took_ms),
        ("/login?x=1", Some(13))
    );
    assert_eq!((login.path(), login.query()), ("/login", "x=1"));
    assert_eq!(login.at_ms - first.at_ms, 1250);
    assert_eq!(login.body, "a%20b=c%26d&e=f");
    assert_eq!(
        login.headers.len(),
        2,
        "no pseudo header: {:?}",
        login.headers
    );
    assert_eq!(login.headers[header::HOST], "api.example:444");
    let answer = login.answer.as_ref().expect("an answer");
    assert_eq!(answer.body.as_deref(), Some(b"\xff\x00".as_slice()));
    assert_eq!(answer.headers.len(), 1, "what it was packed with is gone");
}

#[test]
fn what_is_no_traffic_is_told_with_what_to_do() {
    let told = |text: &str| of_text(text).expect_err("no traffic");
    assert!(told("").contains("is empty"));
    assert!(told("\u{feff} \n").contains("is empty"));
    assert!(told("{\"log\":\n{\"entries\":[{]}}").contains("line 2: it is not JSON"));
    assert!(told("{\"log\":{\"entries\":[").contains("it ends too soon"));
    assert!(told("{\"secret\":1}").contains("log.entries"));
    assert!(!told("{\"secret\":1}").contains("secret"));
    assert!(told("some words\nmore").contains("line 1 is none of a server's log"));
    assert!(
        told("\u{1f}\u{8b}").contains("log"),
        "two characters, four bytes"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("packed");
    std::fs::write(&path, b"\x1f\x8b\x08").expect("a file");
    assert!(read(&path).expect_err("packed").contains("gzip -dc"));
    assert!(
        read(&directory.path().join("none"))
            .expect_err("none")
            .contains("cannot be read")
    );
    assert!(
        read(directory.path())
            .expect_err("a directory")
            .contains("cannot be read")
    );
}

#[test]
fn a_body_that_was_not_written_down_is_known_to_be_missing() {
    let mut one = exchange(1, "/a");
    assert!(!one.lacks_body());
    one.body = Bytes::new();
    assert!(!one.lacks_body());
    one.headers.insert(
        header::CONTENT_LENGTH,
        header::HeaderValue::from_static("0"),
    );
    assert!(!one.lacks_body());
    one.headers.insert(
        header::CONTENT_LENGTH,
        header::HeaderValue::from_static("7"),
    );
    assert!(one.lacks_body());
}

#[test]
fn targets_are_paths() {
    let cases = [
        ("/a?b#c", Some("/a?b")),
        ("http://h", Some("/")),
        ("https://h/a", Some("/a")),
        ("https://h?a", None),
        ("*", None),
        ("h:443", None),
    ];
    for (target, form) in cases {
        assert_eq!(origin_form(target), form, "{target}");
    }
}
