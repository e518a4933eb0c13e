//! Rules for the clinic, by a recording of it, and by what passed a sidecar before it.

use super::world::{Call, Clinic, JWT_SECRET};
use crate::process::{command, output, stderr, stdout, written};
use crate::recorded::{Recording, propose};
use crate::redis::{RedisServer, eventually};
use crate::world::{Sidecar, ask};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::process::Output;

/// The table of a route in a proposal: from its `[[cache]]` to the next, with the evidence before it.
fn table<'t>(text: &'t str, route: &str) -> &'t str {
    let line = format!("match = \"{route}\"");
    let tables = text.split("\n\n");
    let mut found = tables.filter(|table| table.contains(&line));
    let table = found
        .next()
        .unwrap_or_else(|| panic!("no {route} in {text}"));
    assert!(found.next().is_none(), "{route} twice in {text}");
    table
}

/// Reads as the front end makes them, of several people, with a write between.
async fn browse(clinic: &Clinic, to: SocketAddr) {
    let api = |path: &str| Call::get(&format!("/api/v1/{path}"));
    let people =
        ["/patient/token", "/otherPatient/token", "/doctor/token"].map(|who| clinic.text(who));
    let doctor = format!("doctor/{}", clinic.text("/doctor/id"));
    for round in 0..2 {
        for person in people {
            for page in ["1", "2"] {
                let list = format!(
                    "doctor?page={page}&limit=5&sortBy=createdAt&sortOrder=asc&utm={round}"
                );
                api(&list).cookie(person).send(to).await;
            }
            let few = "specialties?limit=2&sortBy=createdAt&sortOrder=asc";
            for path in ["specialties", few, &doctor, "user/me", "auth/me", "meta"] {
                let got = api(path).cookie(person).send(to).await;
                assert_eq!(got.status, 200, "{path}: {}", got.text());
            }
        }
        for campaign in 0..6 {
            let list =
                format!("doctor?page=1&limit=5&sortBy=createdAt&sortOrder=asc&utm={campaign}");
            api(&list).cookie(people[0]).send(to).await;
            let list = format!("doctor?limit=5&sortBy=createdAt&sortOrder=desc&utm={campaign}");
            api(&list).cookie(people[0]).send(to).await;
        }
        api("auth/me").send(to).await; // refused
        if round == 0 {
            let change = Call::new("PATCH", &format!("/api/v1/{doctor}"));
            let change = change
                .by(clinic.text("/admin/token"))
                .json(json!({ "name": "Dr. New" }));
            assert_eq!(change.send(to).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_recording_of_the_clinic_yields_its_rules() {
    let clinic = Clinic::start().await;
    let recording = Recording::start(clinic.address, &[]);
    browse(&clinic, recording.address).await;
    let recorded = recording.end("-TERM").await;
    assert_eq!((recorded.status, recorded.mode()), (Some(0), 0o600));

    let told = propose(&recorded.file, &[]);
    let text = stdout(&told);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let list = table(&text, "GET /api/v1/doctor");
    assert!(
        list.contains("query = [\"limit\", \"page\", \"sortBy\", \"sortOrder\"]"),
        "{text}"
    );
    assert!(list.contains("query utm: left out"), "{text}");
    assert!(
        list.contains("\npublic = true") && list.contains("store_if = [\"/data\"]"),
        "{text}"
    );
    let details = table(&text, "GET /api/v1/doctor/{doctorId}");
    assert!(
        details.contains("key = \"doctor-details:{doctorId}\""),
        "{text}"
    );
    assert!(
        details.contains("\npublic = true") && details.contains("query = []"),
        "{text}"
    );
    assert!(
        details.contains("writes before a change: PATCH /api/v1/doctor/{doctorId}"),
        "{text}"
    );
    assert!(
        table(&text, "GET /api/v1/specialties").contains("\npublic = true"),
        "{text}"
    );
    for personal in [
        "GET /api/v1/user/me",
        "GET /api/v1/auth/me",
        "GET /api/v1/meta",
    ] {
        let personal = table(&text, personal);
        assert!(
            personal.contains(":{token}") && !personal.contains("public = true"),
            "{text}"
        );
    }
    assert!(text.contains("token = [\"cookie:accessToken\"]"), "{text}");
    assert_eq!(
        text.matches("[[cache]]").count(),
        text.matches("stage = \"observe\"").count() - 1
    );

    // What is proposed is sound, beside the smallest file that there is.
    let minimal = format!("[proxy]\norigin = \"http://{}\"\n{text}", clinic.address);
    let checked = output(
        command()
            .arg("check")
            .arg(written(recorded.directory.path(), &minimal)),
    );
    assert!(checked.status.success(), "{minimal}{}", stderr(&checked));
    // Nothing of anybody stands in it.
    let everything = format!("{text}{}{}", stderr(&told), recorded.printed);
    for pointer in [
        "/patient/token",
        "/patient/email",
        "/patient/name",
        "/doctor/id",
        "/doctor/name",
    ] {
        assert!(
            !everything.contains(clinic.text(pointer)),
            "{pointer} is in {everything}"
        );
    }

    // Where tokens are verified, keys are made of claims; what has a rule is left out.
    let rules = format!(
        "[proxy]\norigin = \"http://{}\"\n[identity]\ntoken = [\"cookie:accessToken\"]\n\
         verify = {{ algorithm = \"HS256\", secret = \"{JWT_SECRET}\" }}\n[[cache]]\nname = \"doctor\"\n\
         match = \"GET /api/v1/doctor\"\nkey = \"doctor:{{query}}\"\nquery = []\nttl = \"1m\"\npublic = true\n",
        clinic.address
    );
    let rules = written(recorded.directory.path(), &rules);
    let told = propose(&recorded.file, &["--rules", rules.to_str().expect("text")]);
    let text = stdout(&told);
    assert!(
        text.contains("key = \"user-me:{claims.email}:{claims.role}\""),
        "{text}{}",
        stderr(&told)
    );
    assert!(
        !text.contains("match = \"GET /api/v1/doctor\"\n") && !text.contains("[identity]\n"),
        "{text}"
    );
    assert!(!text.contains(JWT_SECRET) && !stderr(&told).contains(JWT_SECRET));
}

const TOKEN: &str = "t0ken-of-the-door";

/// A sidecar before the clinic with a rule for one of its routes, and what else stands in `[audit]`.
fn one_rule(clinic: &Clinic, redis: &RedisServer, audit: &str) -> String {
    format!(
        "namespace = \"clinic\"\n[proxy]\nlisten = \"127.0.0.1:0\"\norigin = \"http://{}\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n[store]\nurl = \"{}\"\ntimeout = \"5s\"\n\
         [identity]\ntoken = [\"header:authorization\", \"cookie:accessToken\"]\nscheme = \"raw\"\n\
         verify = {{ algorithm = \"HS256\", secret = \"{JWT_SECRET}\" }}\n[audit]\n{audit}\n\
         [[cache]]\nname = \"specialty-list\"\nmatch = \"GET /api/v1/specialties\"\nkey = \"specialties:{{query}}\"\n\
         query = [\"limit\", \"sortBy\", \"sortOrder\"]\nttl = \"1m\"\npublic = true\n",
        clinic.address,
        redis.url()
    )
}

/// What `sidecache propose` says of a running sidecar.
async fn asked(sidecar: &Sidecar) -> Output {
    let admin = format!("http://{}", sidecar.admin());
    let told = tokio::task::spawn_blocking(move || {
        let mut command = command();
        command.args(["propose", "--admin", &admin]);
        output(command.env("SIDECACHE_ADMIN_TOKEN", TOKEN))
    });
    told.await.expect("it is told")
}

/// Sees to it that all was looked into that passed.
async fn until_seen(sidecar: &Sidecar, reads: usize) {
    let token = format!("Bearer {TOKEN}");
    let headers = [("host", "localhost"), ("authorization", token.as_str())];
    let named = format!("from {reads} requests");
    eventually("all of it was looked into", async || {
        let got = ask(sidecar.admin(), "GET", "/api/propose", &headers, "").await;
        assert_eq!(got.status, 200, "{}", got.text());
        let told: Json = serde_json::from_slice(&got.body).expect("JSON");
        told["toml"].as_str().expect("a text").contains(&named)
    })
    .await;
}

#[tokio::test]
async fn what_passes_a_sidecar_yields_the_rules_that_are_missing() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let sidecar = Sidecar::with_file(&one_rule(&clinic, &redis, "")).await;
    let told = asked(&sidecar).await;
    assert_eq!(
        (told.status.code(), stdout(&told)),
        (Some(1), String::new())
    );
    assert!(
        stderr(&told).contains("write `propose = 0.1` under [audit]"),
        "{}",
        stderr(&told)
    );

    let observing = one_rule(&clinic, &redis, "propose = 1");
    sidecar.reload(&observing).expect("it is sound");
    browse(&clinic, sidecar.address()).await;
    for _ in 0..3 {
        let missing = Call::get("/api/v1/no-such-route")
            .send(sidecar.address())
            .await;
        assert_eq!(missing.status, 404);
    }
    until_seen(&sidecar, 65).await; // all but those for which there is a rule

    let told = asked(&sidecar).await;
    let text = stdout(&told);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let list = table(&text, "GET /api/v1/doctor");
    let shaped = "query = [\"limit\", \"page\", \"sortBy\", \"sortOrder\"]";
    assert!(
        list.contains(shaped) && list.contains("query utm: left out"),
        "{text}"
    );
    assert!(
        list.contains("\npublic = true") && list.contains("store_if = [\"/data\"]"),
        "{text}"
    );
    let details = table(&text, "GET /api/v1/doctor/{doctorId}");
    assert!(
        details.contains("writes before a change: seldom ones"), // less than three of them
        "{text}"
    );
    for (personal, name) in [
        ("user/me", "user-me"),
        ("auth/me", "auth-me"),
        ("meta", "meta"),
    ] {
        let personal = table(&text, &format!("GET /api/v1/{personal}"));
        let key = format!("key = \"{name}:{{claims.email}}:{{claims.role}}\"");
        assert!(
            personal.contains(&key) && !personal.contains("public = true"),
            "{text}"
        );
    }
    assert!(
        !text.contains("/specialties") && !text.contains("[identity]\n"),
        "{text}"
    );
    let refused = "GET /api/v1/no-such-route (3 requests): it was never answered 200, but 404 (3)";
    assert!(text.contains(refused), "{text}");
    nothing_of_anybody(&clinic, &format!("{text}{}", stderr(&told)));

    let stranger = [("host", "localhost")];
    let denied = ask(sidecar.admin(), "GET", "/api/propose", &stranger, "").await;
    assert_eq!(denied.status, 401, "{}", denied.text());

    // Appended, it is sound and in force, and what is somebody's own stays so.
    let rules = format!("{observing}{}", text.replace("stage = \"observe\"\n", ""));
    let directory = tempfile::tempdir().expect("a directory");
    let checked = output(
        command()
            .arg("check")
            .arg(written(directory.path(), &rules)),
    );
    assert!(checked.status.success(), "{rules}{}", stderr(&checked));
    sidecar.reload(&rules).expect("it is sound");
    apart(&clinic, &sidecar).await;
    let told = stdout(&asked(&sidecar).await);
    assert!(
        !told.contains("[[cache]]") && told.contains("62 requests have a rule already"),
        "{told}"
    );
}

/// Everybody gets, now from what is kept, what the clinic itself gives him.
async fn apart(clinic: &Clinic, sidecar: &Sidecar) {
    let people = [
        "/patient/token",
        "/otherPatient/token",
        "/doctor/token",
        "/admin/token",
    ];
    for path in ["user/me", "auth/me", "meta", "doctor?page=2&limit=5&utm=9"] {
        for round in 0..2 {
            for who in people {
                let call = Call::get(&format!("/api/v1/{path}")).cookie(clinic.text(who));
                let (own, got) = (
                    clinic.answers(&call).await,
                    call.send(sidecar.address()).await,
                );
                assert_eq!(
                    (got.status, got.text()),
                    (own.status, own.text()),
                    "{who} {path}"
                );
                if round > 0 {
                    assert_eq!(got.outcome(), "hit", "{who} {path}");
                }
            }
        }
    }
}

/// Nothing that people are known by, or know, stands in it.
fn nothing_of_anybody(clinic: &Clinic, text: &str) {
    for who in ["patient", "otherPatient", "doctor", "admin"] {
        for what in ["token", "email", "name", "id"] {
            let pointer = format!("/{who}/{what}");
            if let Some(value) = clinic.seed.pointer(&pointer).and_then(Json::as_str) {
                assert!(!text.contains(value), "{pointer} is in {text}");
            }
        }
    }
    for secret in [JWT_SECRET, TOKEN, "Dr. New", "createdAt", "@"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}
