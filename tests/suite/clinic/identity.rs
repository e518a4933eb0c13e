//! Who is served what: never another's answer, and nothing kept for a token that does not hold.

use super::world::{Call, Clinic, JWT_SECRET, Program};
use crate::redis::RedisServer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value as Json, json};

const MINE: &str = "/api/v1/appointment/my-appointment";
const ALL: &str = "/api/v1/appointment";

async fn start() -> (Clinic, RedisServer, Program) {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::start(&clinic, &redis).await;
    (clinic, redis, program)
}

fn signed(email: &str, secret: &str) -> String {
    let claims = json!({ "email": email, "role": "PATIENT", "exp": 4_000_000_000_u64 });
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), &claims, &key).expect("a token")
}

fn unsigned(email: &str) -> String {
    let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({ "email": email, "role": "PATIENT", "exp": 4_000_000_000_u64 });
    format!(
        "{}.{}.",
        part(json!({ "alg": "none", "typ": "JWT" })),
        part(claims)
    )
}

#[tokio::test]
async fn two_patients_never_share_an_appointment_list() {
    let (clinic, _redis, program) = start().await;
    for call in [Call::by, Call::cookie] {
        let mut lists = Vec::new();
        for person in ["patient", "otherPatient"] {
            let token = clinic.text(&format!("/{person}/token"));
            let call = call(Call::get(MINE), token);
            let kept = program.until_hit(&call).await;
            assert_eq!(kept.body, clinic.answers(&call).await.body);
            assert!(
                kept.text()
                    .contains(clinic.text(&format!("/{person}/email")))
            );
            lists.push(kept.body);
        }
        assert_ne!(lists[0], lists[1]);
    }
    assert_refreshed_token_hits(&clinic, &program).await;
}

#[tokio::test]
async fn what_ends_a_session_forgets_one_person_and_nobody_else() {
    let (clinic, _redis, program) = start().await;
    let token = |person: &str| clinic.text(&format!("/{person}/token"));
    let reads = |person| {
        ["/api/v1/auth/me", "/api/v1/user/me", MINE]
            .map(|path| Call::get(path).cookie(token(person)))
    };
    for read in reads("patient").iter().chain(&reads("otherPatient")) {
        program.until_hit(read).await;
    }
    let change = json!({ "oldPassword": "wrong", "newPassword": "x" }); // refused with 500, which counts
    let change = Call::new("POST", "/api/v1/auth/change-password").json(change);
    let refused = program.answers(&change.by(token("patient"))).await;
    assert_eq!(refused.status, 500, "{}", refused.text());
    for (own, others) in reads("patient").iter().zip(&reads("otherPatient")) {
        assert_eq!(program.answers(own).await.outcome(), "miss", "{}", own.path);
        assert_eq!(
            program.answers(others).await.outcome(),
            "hit",
            "{}",
            others.path
        );
    }
}

async fn assert_refreshed_token_hits(clinic: &Clinic, program: &Program) {
    let email = clinic.text("/patient/email");
    let kept = program
        .until_hit(&Call::get(MINE).by(clinic.text("/patient/token")))
        .await;
    let refreshed = signed(email, JWT_SECRET);
    let got = program.answers(&Call::get(MINE).by(&refreshed)).await;
    assert_eq!((got.outcome(), &got.body), ("hit", &kept.body));
}

#[tokio::test]
async fn a_bad_token_and_a_wrong_role_go_to_the_origin_and_are_served_nothing_kept() {
    let (clinic, _redis, program) = start().await;
    assert_bad_tokens_are_served_nothing(&clinic, &program).await;
    assert_roles_are_kept_apart(&clinic, &program).await;
    assert_roles_are_spelt_as_the_origin_spells_them(&clinic, &program).await;
}

async fn assert_bad_tokens_are_served_nothing(clinic: &Clinic, program: &Program) {
    let (email, token) = (clinic.text("/patient/email"), clinic.text("/patient/token"));
    program.until_hit(&Call::get(MINE).by(token)).await;
    let expired = clinic.token(email, "PATIENT", -5).await;
    let bad = [
        signed(email, "another secret"),
        expired,
        unsigned(email),
        format!("Bearer {token}"),
        format!("{token}x"),
        "junk".into(),
    ];
    for bad in &bad {
        for call in [Call::get(MINE).by(bad), Call::get(MINE).cookie(bad)] {
            let came = clinic.came(&format!("GET {MINE}")).await;
            let got = program.answers(&call).await;
            let direct = clinic.answers(&call).await;
            assert_eq!((got.status, direct.status), (500, 500), "{bad}");
            assert_eq!(
                (got.outcome(), got.text()),
                ("bypass", direct.text()),
                "{bad}"
            );
            assert_eq!(clinic.came(&format!("GET {MINE}")).await, came + 2, "{bad}");
        }
    }
    let nobody = program.answers(&Call::get(MINE)).await;
    assert_eq!((nobody.outcome(), nobody.status), ("bypass", 500));
}

/// Whatever is kept for a role, whoever has another is answered by the origin.
async fn assert_roles_are_kept_apart(clinic: &Clinic, program: &Program) {
    let kept = program
        .until_hit(&Call::get(ALL).by(clinic.text("/admin/token")))
        .await;
    assert_eq!(kept.status, 200);
    for person in ["patient", "doctor"] {
        let call = Call::get(ALL).by(clinic.text(&format!("/{person}/token")));
        let got = program.answers(&call).await;
        assert_eq!(
            (got.status, got.outcome(), got.detail()),
            (500, "bypass", Some("role"))
        );
        assert_eq!(got.body, clinic.answers(&call).await.body);
    }
    let colleague = clinic
        .token("another.admin@clinic.example", "ADMIN", 60)
        .await;
    let shared = program.answers(&Call::get(ALL).by(&colleague)).await;
    assert_eq!(
        (shared.outcome(), &shared.body),
        ("hit", &kept.body),
        "one answer for the role"
    );
    let above = program
        .answers(&Call::get(ALL).by(clinic.text("/superAdmin/token")))
        .await;
    assert_eq!(
        above.outcome(),
        "miss",
        "each role has an answer of its own"
    );
}

/// Keys hold roles in lower case; to the origin `patient` is nobody.
async fn assert_roles_are_spelt_as_the_origin_spells_them(clinic: &Clinic, program: &Program) {
    let (email, token) = (clinic.text("/patient/email"), clinic.text("/patient/token"));
    let nobody = clinic.token(email, "patient", 60).await;
    for path in [MINE, "/api/v1/user/me", "/api/v1/meta"] {
        program.until_hit(&Call::get(path).by(token)).await;
        let got = program.answers(&Call::get(path).by(&nobody)).await;
        assert_eq!(
            (got.status, got.outcome(), got.detail()),
            (500, "bypass", Some("role")),
            "{path}"
        );
    }
}

/// Every pair of header and cookie, on every route with identity: the sidecar and the clinic must
/// agree on whose request it is. `GET /auth/me` reads the cookie only.
#[tokio::test]
async fn header_and_cookie_together_are_read_as_the_origin_reads_them() {
    let (clinic, _redis, program) = start().await;
    let token = |person: &str| clinic.text(&format!("/{person}/token")).to_owned();
    let tokens = ["patient", "otherPatient", "admin"].map(token);
    let odd = ["", "junk"].map(str::to_owned);
    let values: Vec<Option<&String>> = std::iter::once(None)
        .chain(tokens.iter().chain(&odd).map(Some))
        .collect();
    for path in [
        "/api/v1/user/me",
        "/api/v1/auth/me",
        "/api/v1/meta",
        MINE,
        ALL,
    ] {
        for header in &values {
            for cookie in &values {
                let call = Call::get(path);
                let call = header.iter().fold(call, |call, token| call.by(token));
                let call = cookie.iter().fold(call, |call, token| call.cookie(token));
                let direct = clinic.answers(&call).await;
                for _ in 0..2 {
                    let got = program.answers(&call).await;
                    let place = format!("{path} {:?}: {}", call.headers, got.cache_status());
                    assert_eq!(
                        (got.status, got.text()),
                        (direct.status, direct.text()),
                        "{place}"
                    );
                }
            }
        }
    }
}
