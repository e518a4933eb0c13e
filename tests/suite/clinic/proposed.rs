//! Rules for the clinic, by a recording of it.

use super::world::{Call, Clinic, JWT_SECRET};
use crate::process::{command, output, stderr, stdout, written};
use crate::recorded::{Recording, propose};
use serde_json::json;
use std::net::SocketAddr;

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
