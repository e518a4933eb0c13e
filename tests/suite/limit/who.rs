//! Whose requests are counted together.

use super::{behind_a_proxy, hello, is_limited, limit};
use crate::redis::{RedisServer, holds};
use crate::world::Sidecar;
use jsonwebtoken::{EncodingKey, Header};

const SECRET: &str = "a secret of thirty-two bytes, or more";

const IDENTITY: &str = r#"
[identity]
token = ["header:authorization", "cookie:accessToken"]
scheme = "either"
verify = { algorithm = "HS256", secret = "a secret of thirty-two bytes, or more" }
"#;

/// A token of this person's, signed with this secret.
fn token(email: &str, secret: &str) -> String {
    let claims = serde_json::json!({ "email": email, "exp": u32::MAX });
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key);
    format!("Bearer {}", token.expect("a token"))
}

/// A request from a client at the end of this way, with another header.
async fn from(sidecar: &Sidecar, way: &str, name: &str, value: &str) -> u16 {
    let headers = [("x-forwarded-for", way), (name, value)];
    sidecar.get_with("/x", &headers).await.status
}

#[tokio::test]
async fn what_a_stranger_says_of_his_way_makes_him_nobody_else() {
    let origin = hello().await;
    let rules = limit("all", "\"GET /x\"", "{client_ip}", 1);
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    assert_eq!(sidecar.get("/x").await.status, 200);
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "x-client-ip"] {
        for value in ["203.0.113.1", "for=203.0.113.2", "127.0.0.2"] {
            let refused = sidecar.get_with("/x", &[(name, value)]).await;
            assert!(is_limited(&refused), "{name}: {value}");
        }
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn behind_trusted_proxies_each_client_is_counted_by_his_own_address() {
    let origin = hello().await;
    let rules = limit("all", "\"GET /x\"", "{client_ip}", 1);
    let sidecar = behind_a_proxy(&origin, "memory:", &rules).await;
    for (way, status) in [
        ("203.0.113.1", 200),
        ("203.0.113.1", 429),
        ("203.0.113.2", 200),
        ("198.51.100.9, 203.0.113.2", 429), // what the client said himself stands before
        ("203.0.113.2, 127.0.0.9", 429),
        ("203.0.113.2:5000", 429),
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429), // of the same /64
        ("2001:db8:0:2::1", 200),
        ("nonsense", 200), // the proxy's own
        ("203.0.113.3, unknown", 429),
    ] {
        assert_eq!(from(&sidecar, way, "accept", "*/*").await, status, "{way}");
    }
    let forwarded = [("forwarded", "for=203.0.113.1;proto=http")];
    assert!(is_limited(&sidecar.get_with("/x", &forwarded).await));
}

#[tokio::test]
async fn whoever_proves_who_he_is_is_counted_wherever_he_is_and_others_by_where_they_are() {
    let redis = RedisServer::start();
    let origin = hello().await;
    let per = limit("mine", "\"GET /x\"", "{claims.email}", 1);
    let sidecar = behind_a_proxy(&origin, &redis.url(), &format!("{IDENTITY}{per}")).await;
    let (ann, bob) = (token("ann@clinic", SECRET), token("bob@clinic", SECRET));
    let forged = token("ann@clinic", "another secret of thirty-two bytes");
    let address = token("203.0.113.1", SECRET);
    for (way, token, status) in [
        ("203.0.113.1", &*ann, 200),
        ("203.0.113.2", &*ann, 429),
        ("203.0.113.2", &*bob, 200),
        ("203.0.113.1", "", 200),        // nobody: his address
        ("203.0.113.1", &*forged, 429),  // not Ann, and so at the same address
        ("203.0.113.9", &*address, 200), // a name that looks like an address is a name
        ("203.0.113.2", "", 200),
        ("203.0.113.2", "Bearer x", 429),
    ] {
        let got = from(&sidecar, way, "authorization", token).await;
        assert_eq!(got, status, "{way} {token}");
    }
    let kept = redis.say("KEYS *");
    assert!(kept.contains("test:rate-limit:mine:"), "{kept}");
    for personal in ["ann", "bob", "203.0.113"] {
        assert!(!holds(&redis.dump(), personal), "{personal} is in {kept}");
    }
}

#[tokio::test]
async fn a_token_counts_where_it_is_verified_and_no_other_has_a_counter_of_its_own() {
    let origin = hello().await;
    let per = limit("mine", "\"GET /x\"", "{token}", 1);
    let sidecar = behind_a_proxy(&origin, "memory:", &format!("{IDENTITY}{per}")).await;
    let ann = token("ann@clinic", SECRET);
    for (token, status) in [
        (&*ann, 200),
        (&*ann, 429),
        ("Bearer made.up.one", 200),
        ("Bearer made.up.two", 429),
    ] {
        let got = from(&sidecar, "203.0.113.1", "authorization", token).await;
        assert_eq!(got, status, "{token}");
    }
}

#[tokio::test]
async fn what_a_request_lacks_is_made_up_for_by_its_address_in_a_place_of_its_own() {
    let origin = hello().await;
    let per = limit("keyed", "\"GET /x\"", "{header.x-api-key}", 1);
    let sidecar = behind_a_proxy(&origin, "memory:", &per).await;
    for (way, key, status) in [
        ("203.0.113.1", "203.0.113.1", 200), // a key that is spelt like an address
        ("203.0.113.1", "", 200),
        ("203.0.113.1", "", 429),
        ("203.0.113.2", "", 200),
        ("203.0.113.2", "203.0.113.1", 429),
        ("203.0.113.1", "203.0.113.2", 200),
    ] {
        let got = from(&sidecar, way, "x-api-key", key).await;
        assert_eq!(got, status, "{way} {key:?}");
    }
}

#[tokio::test]
async fn fields_of_a_body_count_as_far_as_they_are_one_plain_value() {
    let origin = hello().await;
    let per = "{body.email | trim | lower}";
    let rules = limit("account", "\"POST /login\"", per, 1);
    let sidecar = behind_a_proxy(&origin, "memory:", &rules).await;
    let long = format!("{{\"email\": \"ann\", \"x\": \"{}\"}}", "y".repeat(70_000));
    for (way, body, status) in [
        (
            "203.0.113.1",
            r#"{"email": "ann@clinic", "password": "a"}"#,
            200,
        ),
        (
            "203.0.113.2",
            r#"{"email": " Ann@Clinic ", "password": "b"}"#,
            429,
        ),
        ("203.0.113.2", r#"{"email": "bob@clinic"}"#, 200),
        ("203.0.113.3", r#"{"email": ["carl@clinic"]}"#, 200), // at his address
        ("203.0.113.3", r#"{"email": ["dora@clinic"]}"#, 429),
        ("203.0.113.3", "email=dora@clinic", 429),
        ("203.0.113.3", &*long, 429),
        ("203.0.113.4", &*long, 200),
    ] {
        let headers = [
            ("x-forwarded-for", way),
            ("content-type", "application/json"),
        ];
        let got = sidecar.ask("POST", "/login", &headers, body).await;
        assert_eq!(got.status, status, "{way} {body:.60}");
    }
    let asked = origin.asked();
    assert_eq!(asked.last().map(|asked| asked.body.len()), Some(long.len()));
    assert!(asked[0].body.ends_with(br#""password": "a"}"#));
}

/// Of a form that is also JSON by its grammar an Express backend reads another field than we would.
#[tokio::test]
async fn a_body_that_others_may_read_differently_makes_nobody_somebody_else() {
    let origin = hello().await;
    let rules = limit("account", "\"POST /login\"", "{body.email}", 1);
    let sidecar = behind_a_proxy(&origin, "memory:", &rules).await;
    for (number, content_type, status) in [
        (1, "application/x-www-form-urlencoded", 200),
        (2, "application/x-www-form-urlencoded", 429),
        (3, "application/json; charset=utf-7", 429),
        (4, "text/plain", 429),
        (5, "application/json", 200),
    ] {
        let body = format!(r#"{{"email": "x{number}", "y": "&email=ann@clinic&z="}}"#);
        let headers = [
            ("x-forwarded-for", "203.0.113.1"),
            ("content-type", content_type),
        ];
        let got = sidecar.ask("POST", "/login", &headers, &body).await;
        assert_eq!(got.status, status, "{number} {content_type}");
    }
}

#[tokio::test]
async fn what_is_asked_for_can_be_what_is_counted_by() {
    let origin = hello().await;
    let rules = limit("each", "\"GET /room/{id}\"", "{id}:{method}", 1)
        + &limit("all", "\"GET /hall/{rest*}\"", "everybody", 1);
    let sidecar = behind_a_proxy(&origin, "memory:", &rules).await;
    for (target, status) in [
        ("/room/1", 200),
        ("/room/%31", 429),
        ("/room/2", 200),
        ("/hall/a", 200),
        ("/hall/b", 429),
    ] {
        assert_eq!(sidecar.get(target).await.status, status, "{target}");
    }
}
