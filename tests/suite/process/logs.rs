use super::{Process, rules};
use crate::redis::{RedisServer, eventually};
use crate::world::{self, Asked, Origin, Reply};
use jsonwebtoken::{EncodingKey, Header, encode};

const SECRET: &str = "jwt-secret-7f3a91";
const PASSWORD: &str = "redis-password-20c4";
const TOKEN: &str = "admin-token-5be8d2";
const SEAL: &str = "c2VhbC1rZXktc2VhbC1rZXktc2VhbC1rZXktMDAwMDE=";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const EMAIL: &str = "ann.secret@clinic.example";

const PERSONAL: &str = r#"
[identity]
token = ["header:authorization", "cookie:accessToken"]
scheme = "either"
verify = { algorithm = "HS256", secret = "${JWT_SECRET}" }

[[cache]]
name = "mine"
match = "GET /mine"
key = "mine:{claims.email}:{query}"
query = ["q"]
ttl = "5m"

[[cache]]
name = "by-name"
match = "GET /by/{name}"
key = "by:{name}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "suggestion"
match = "POST /suggestion"
key = "ai:{body.symptoms | hash}"
body = ["symptoms"]
ttl = "5m"
public = true

[[invalidate]]
name = "mine-changed"
on = "POST /mine/change"
drop = ["mine:{claims.email}:*", "by:{body.name}"]
"#;

fn token() -> String {
    let claims = serde_json::json!({ "email": EMAIL, "exp": 4_000_000_000_u64 });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).expect("a token")
}

async fn origin() -> Origin {
    Origin::start(|_: Asked| async {
        Reply::json(r#"{"data": "answer-body-8d1e"}"#).header("x-secret", "answer-header-3c77")
    })
    .await
}

/// Traffic of every kind, with a secret in every place that may hold one. Returns all that sidecache
/// said of itself in answers: what the door told, `Cache-Status`, and errors.
async fn traffic(process: &Process, redis: &mut RedisServer) -> String {
    let mut said = String::new();
    let proxy = process.proxy();
    let jwt = token();
    let bearer = format!("Bearer {jwt}");
    let cookie = format!("accessToken={jwt}; other=cookie-value-9a2b");
    let json = ("content-type", "application/json");
    for _ in 0..2 {
        world::ask(
            proxy,
            "GET",
            "/mine?q=query-value-61aa",
            &[("authorization", &bearer)],
            "",
        )
        .await;
        world::ask(proxy, "GET", "/mine", &[("cookie", &cookie)], "").await;
        world::ask(
            proxy,
            "GET",
            "/mine",
            &[("authorization", "Bearer forged-token-4411")],
            "",
        )
        .await;
        world::ask(proxy, "GET", "/by/by.name@clinic.example", &[], "").await;
        world::ask(
            proxy,
            "ANN-METHOD",
            "/pass?email=pass.by@clinic.example",
            &[
                ("cookie", &cookie),
                ("traceparent", TRACE),
                ("tracestate", "vendor=state-of-ann"),
                ("x-request-id", "id-of-ann"),
            ],
            "",
        )
        .await;
        let body = r#"{"name": "request-body-77fe"}"#;
        let symptoms = r#"{"symptoms": "symptom-c0ff"}"#;
        let asked = world::ask(proxy, "POST", "/suggestion", &[json], symptoms).await;
        said += asked.cache_status();
        let doubtful = [("host", "a b"), ("cookie", cookie.as_str())];
        let refused = world::ask(proxy, "GET", "/by/ann.secret", &doubtful, "").await;
        assert_eq!(refused.status, 400);
        said += &format!("{:?} {}", refused.headers, refused.text());
        world::ask(
            proxy,
            "POST",
            "/mine/change",
            &[("authorization", &bearer), json],
            body,
        )
        .await;
        world::ask(
            process.door(),
            "POST",
            "/api/purge",
            &[("authorization", "Bearer wrong-token-0d0d")],
            "{}",
        )
        .await;
        let admin = format!("Bearer {TOKEN}");
        let purge = format!(r#"{{"drop": ["mine:{EMAIL}:*"]}}"#);
        world::ask(
            process.door(),
            "POST",
            "/api/purge",
            &[("authorization", &admin)],
            &purge,
        )
        .await;
        let told = world::ask(
            process.door(),
            "GET",
            "/api/audit?token=wrong-token-0d0d",
            &[],
            "",
        );
        said += &told.await.text();
        for target in ["/metrics", "/readyz", "/api/audit", "/api/rules"] {
            let headers = [("authorization", admin.as_str())];
            let told = world::ask(process.door(), "GET", target, &headers, "").await;
            said += &format!("{:?} {}", told.headers, told.text());
        }
        redis.kill();
    }
    redis.restart();
    eventually("the store is up again", async || {
        process.metrics().await.contains("sidecache_store_up 1")
    })
    .await;
    process.write_rules("namespace = \"${JWT_SECRET}\"\n[store]\nurl = \"${REDIS_URL}\"");
    process.signal("-HUP");
    process.logs("the rules were not reloaded").await;
    said
}

#[tokio::test]
async fn no_secret_and_nobodys_data_stand_in_the_most_detailed_log() {
    let origin = origin().await;
    let mut redis = RedisServer::start_with(&["--requirepass", PASSWORD]);
    let url = redis
        .url()
        .replace("redis://", &format!("redis://:{PASSWORD}@"));
    let text = rules(origin.address, "${REDIS_URL}", "5m")
        .replacen("[admin]", "[admin]\ntoken = \"${ADMIN_TOKEN}\"", 1)
        .replacen(
            "[store]",
            "[audit]\nleak = 1.0\n[store]\nseal = \"${SEAL}\"",
            1,
        );
    let environment = [
        ("SIDECACHE_LOG", "trace"),
        ("JWT_SECRET", SECRET),
        ("REDIS_URL", &url),
        ("ADMIN_TOKEN", TOKEN),
        ("SEAL", SEAL),
    ];
    let process = Process::start_with(&format!("{text}{PERSONAL}"), &environment);
    let said = traffic(&process, &mut redis).await;
    let logged = process.logged();
    assert!(logged.contains("answered"), "something is logged");
    assert!(logged.contains("sidecache::span"), "spans are");
    assert!(
        said.contains("sidecache_requests_total") && said.contains("by:{name}"),
        "{said}"
    );
    let jwt = token();
    let secrets = [
        SECRET,
        PASSWORD,
        TOKEN,
        SEAL,
        "seal-key-",
        EMAIL,
        "symptom-c0ff",
        &jwt,
        jwt.rsplit('.').next().expect("a signature"),
        "ann.secret",
        "cookie-value-9a2b",
        "forged-token-4411",
        "wrong-token-0d0d",
        "by.name",
        "pass.by",
        "query-value-61aa",
        "request-body-77fe",
        "answer-body-8d1e",
        "answer-header-3c77",
        "ANN-METHOD",
        "state-of-ann",
        "id-of-ann",
    ];
    for secret in secrets {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    let by_others = logged.lines().filter(|line| !is_ours(line));
    assert_eq!(by_others.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Whether a line of the log is an event of ours, or goes on with one, or warns.
fn is_ours(line: &str) -> bool {
    let mut words = line.split_whitespace().skip(1);
    match words.next() {
        Some("TRACE" | "DEBUG" | "INFO") => words
            .next()
            .is_some_and(|target| target.starts_with("sidecache")),
        _ => true,
    }
}

#[tokio::test]
async fn a_redis_that_refuses_the_password_is_told_of_without_it() {
    let origin = origin().await;
    let redis = RedisServer::start_with(&["--requirepass", "another-password"]);
    let url = redis
        .url()
        .replace("://", &format!("://ann.secret:{PASSWORD}@"));
    let environment = [("SIDECACHE_LOG", "trace"), ("REDIS_URL", url.as_str())];
    let text = rules(origin.address, "${REDIS_URL}", "5m");
    let process = Process::start_with(&text, &environment);
    process.logs("store").await;
    process.get("/kept").await;
    let logged = process.logged();
    assert!(logged.contains("WARN"), "{logged}");
    for secret in [PASSWORD, "ann.secret"] {
        assert!(!logged.contains(secret), "{logged}");
    }
}

#[tokio::test]
async fn logs_are_json_lines_where_that_is_asked_for() {
    let origin = origin().await;
    let environment = [("SIDECACHE_LOG", "debug"), ("SIDECACHE_LOG_FORMAT", "json")];
    let mut process = Process::start_with(&rules(origin.address, "memory:", "5m"), &environment);
    process.get("/kept").await;
    process.signal("-TERM");
    assert_eq!(process.ended().await.code(), Some(0));
    process.logs("draining").await;
    let logged = process.logged();
    let lines: Vec<serde_json::Value> = logged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let answered = lines
        .iter()
        .find(|line| line["fields"]["message"] == "answered");
    let answered = answered.expect("a request is logged");
    assert_eq!(answered["fields"]["outcome"], "miss");
    assert_eq!(answered["fields"]["rule"], "kept");
    assert!(answered["timestamp"].is_string() && answered["level"] == "DEBUG");
}

#[test]
fn problems_show_the_line_but_not_the_secret_on_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.toml");
    let lines = [
        format!("[store]\nurl = \"redis://:{PASSWORD}@:notaport/x\""),
        format!("[store]\nurl = \"postgres://user:{PASSWORD}@host\""),
        format!("[store]\nurl = \"https://user:{PASSWORD}@host\""),
        "[store]\nurl = \"${REDIS_URL}\"".to_owned(),
        format!(
            "[identity]\ntoken = [\"header:a\"]\nverify = {{ algorithm = \"HS999\", secret = \"{SECRET}\" }}"
        ),
        format!(
            "[identity]\ntoken = [\"header:a\"]\nverify = {{ algorithm = \"RS256\", secret = \"{SECRET}\" }}"
        ),
        format!("[admin]\nlisten = \"0.0.0.0:no\"\ntoken = \"{TOKEN}\""),
        format!("[admin]\ntokem = \"{TOKEN}\""),
        format!("[store]\nseal = \"{SEAL}=\""),
        format!("[store]\nseal = \"${{SEAL}}\"\nseal_previous = [\"{SEAL}\", \"{SEAL}x\"]"),
        format!("[store]\nseal = \"${{SEAL}}\"\nseal_previous = [\n  \"{SEAL}x\",\n]"),
        "[admin]\nlisten = \"0.0.0.0:9\"\ntoken = \"${SHORT_TOKEN}\"".to_owned(),
        "[store]\nseal = \"${TOKEN}\"".to_owned(),
        "[store]\ntimeout = \"${TOKEN}\"".to_owned(),
        "[identity]\ntoken = [\"${TOKEN}\"]".to_owned(),
        "[identity]\ntoken = \"cookie:a\"\nverify = { algorithm = \"RS256\", public_key = \"${TOKEN}\" }"
            .to_owned(),
        "[[cache]]\nname = \"${TOKEN}\"\n[[cache]]\nname = \"${TOKEN}\"".to_owned(),
        format!("[admin]\ntokem = \"\"\"{TOKEN}\"\"\""),
        format!("[admin]\nTOKEN = \"${{UNSET:-{TOKEN}}}\""),
        format!(
            "[identity]\ntoken = [\"header:a\"]\nverify = {{ algorithm = \"HS256\", secert = \"{SECRET}\" }}"
        ),
    ];
    for line in lines {
        let text = format!("namespace = \"t\"\n[proxy]\norigin = \"http://127.0.0.1:1\"\n{line}\n");
        std::fs::write(&path, text).expect("a rules file");
        let mut said = String::new();
        for mode in ["check", "run"] {
            let mut command = super::command();
            command.env("REDIS_URL", format!("redis://:{PASSWORD}@:notaport/x"));
            command.envs([
                ("TOKEN", TOKEN),
                ("SEAL", SEAL),
                ("SHORT_TOKEN", "short-7c1d"),
            ]);
            let refused = super::output(command.arg(mode).env("SIDECACHE_RULES", &path));
            assert_eq!(refused.status.code(), Some(1), "{mode} {line}");
            said += &super::stderr(&refused);
        }
        assert!(said.matches("rules.toml:").count() >= 2, "{said}");
        for secret in [PASSWORD, SECRET, TOKEN, SEAL, "short-7c1d"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
