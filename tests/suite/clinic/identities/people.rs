//! Who asks: patients, doctors and administrators, by header and by cookie; people whose papers are
//! doubtful; and people with those of somebody else.

use super::tokens::{claiming, forged, good, now, until};
use crate::clinic::world::Call;

/// A token of [`Papers::Expiring`] lasts for the first half of so many seconds; the next begins then.
const WINDOW: u64 = 4;

/// Somebody who asks.
pub struct Identity {
    pub name: String,
    papers: Papers,
}

enum Papers {
    /// Header fields, in their order.
    Fixed(Vec<(&'static str, String)>),
    /// Whose token is good half of the time.
    Expiring { email: String, role: &'static str },
}

impl Identity {
    /// The request with this person's papers.
    pub fn asks(&self, call: &Call) -> Call {
        let mut call = call.clone();
        match &self.papers {
            Papers::Fixed(fields) => call.headers.extend(fields.iter().cloned()),
            Papers::Expiring { email, role } => {
                let exp = now() / WINDOW * WINDOW + WINDOW / 2;
                call = call.by(&until(email, role, exp));
            }
        }
        call
    }
}

fn fixed(name: &str, fields: &[(&'static str, &str)]) -> Identity {
    let owned = fields
        .iter()
        .map(|(name, value)| (*name, value.to_string()));
    Identity {
        name: name.to_owned(),
        papers: Papers::Fixed(owned.collect()),
    }
}

fn cookie(token: &str) -> String {
    format!("accessToken={token}")
}

fn patient(n: usize) -> String {
    good(&format!("patient{n}@clinic.example"), "PATIENT")
}

fn doctor(n: usize) -> String {
    good(&format!("doctor{n}@clinic.example"), "DOCTOR")
}

fn admin() -> String {
    good("admin@clinic.example", "ADMIN")
}

/// Everybody there is.
pub fn everybody() -> Vec<Identity> {
    let mut all = honest();
    all.extend(with_two_papers());
    all.extend(carried_oddly());
    all.extend(of_odd_claims());
    all.extend(
        [
            "patient1@clinic.example PATIENT",
            "admin@clinic.example ADMIN",
        ]
        .map(expiring),
    );
    let forged = forged("patient1@clinic.example", "PATIENT");
    all.extend(
        forged
            .iter()
            .map(|(name, token)| fixed(name, &[("authorization", token)])),
    );
    all.extend([
        fixed(
            "alg none, in the cookie",
            &[("cookie", &cookie(&forged[0].1))],
        ),
        fixed("nobody", &[]),
        fixed("logged out", &[("cookie", "")]),
    ]);
    all
}

fn expiring(who: &'static str) -> Identity {
    let (email, role) = who.split_once(' ').expect("an address and a role");
    Identity {
        name: format!("{who}, expiring"),
        papers: Papers::Expiring {
            email: email.to_owned(),
            role,
        },
    }
}

fn honest() -> Vec<Identity> {
    let chief = good("super@clinic.example", "SUPER_ADMIN");
    let colleague = good("another.admin@clinic.example", "ADMIN");
    let by = |name: String, token: &str| fixed(&name, &[("authorization", token)]);
    let mut all: Vec<_> = (1..=5)
        .map(|n| by(format!("patient {n}"), &patient(n)))
        .collect();
    all.extend((1..=3).map(|n| by(format!("doctor {n}"), &doctor(n))));
    all.extend((1..=4).map(|n| {
        fixed(
            &format!("patient {n}, cookie"),
            &[("cookie", &cookie(&patient(n)))],
        )
    }));
    all.push(fixed(
        "doctor 1, cookie",
        &[("cookie", &cookie(&doctor(1)))],
    ));
    all.push(fixed("admin, cookie", &[("cookie", &cookie(&admin()))]));
    all.push(by("admin".into(), &admin()));
    all.push(by("super".into(), &chief));
    all.push(by("another admin".into(), &colleague));
    all
}

/// In the header and in the cookie.
fn with_two_papers() -> Vec<Identity> {
    let two = |name: &str, header: &str, in_cookie: &str| {
        fixed(
            name,
            &[("authorization", header), ("cookie", &cookie(in_cookie))],
        )
    };
    vec![
        two("patient 1 twice", &patient(1), &patient(1)),
        two("patient 1 and 2", &patient(1), &patient(2)),
        two("patient and admin", &patient(1), &admin()),
        two("admin and patient", &admin(), &patient(3)),
        two("junk and patient", "junk", &patient(1)),
        two("patient and junk", &patient(1), "junk"),
        two("an empty header", "", &patient(4)),
    ]
}

/// Where parsers may differ.
fn carried_oddly() -> Vec<Identity> {
    let (one, other) = (patient(1), patient(2));
    let cookies = |name: &str, line: &str| fixed(name, &[("cookie", line)]);
    let by = |name: &str, value: &str| fixed(name, &[("authorization", value)]);
    let encoded = format!("%{:02x}{}", one.as_bytes()[0], &one[1..]);
    let huge = claiming(&format!(
        r#"{{"email":"patient1@clinic.example","role":"PATIENT","exp":4000000000,"x":"{}"}}"#,
        "x".repeat(6000)
    ));
    vec![
        cookies(
            "two cookies",
            &format!("{}; {}", cookie(&one), cookie(&other)),
        ),
        cookies(
            "two cookies, swapped",
            &format!("{};{}", cookie(&other), cookie(&one)),
        ),
        cookies(
            "an empty cookie first",
            &format!("accessToken=; {}", cookie(&one)),
        ),
        cookies("a quoted cookie", &format!("accessToken=\"{one}\"")),
        cookies("an encoded cookie", &cookie(&encoded)),
        cookies("a broken encoding", &cookie(&format!("%zz{one}"))),
        cookies("the other cookie", &format!("refreshToken={one}")),
        cookies("a shouted cookie", &format!("ACCESSTOKEN={one}; lang=en")),
        fixed(
            "two cookie lines",
            &[("cookie", &cookie(&one)), ("cookie", &cookie(&other))],
        ),
        fixed(
            "two headers",
            &[("authorization", &one), ("authorization", &other)],
        ),
        by("bearer", &format!("Bearer {one}")),
        by("bearer of nothing", "Bearer"),
        by("two in one", &format!("{one}, {other}")),
        by("spaces around", &format!(" {one} ")),
        by("huge", &huge),
    ]
}

/// Signed by the clinic, and not what it would say.
fn of_odd_claims() -> Vec<Identity> {
    let claims = [
        (
            "lower-case role",
            r#""email":"patient1@clinic.example","role":"patient""#,
        ),
        (
            "unknown role",
            r#""email":"patient1@clinic.example","role":"NURSE""#,
        ),
        ("no role", r#""email":"patient1@clinic.example""#),
        (
            "a role in a list",
            r#""email":"admin@clinic.example","role":["ADMIN"]"#,
        ),
        (
            "another's role",
            r#""email":"patient1@clinic.example","role":"ADMIN""#,
        ),
        (
            "shouted address",
            r#""email":"PATIENT1@clinic.example","role":"PATIENT""#,
        ),
        (
            "address and blank",
            r#""email":"patient1@clinic.example ","role":"PATIENT""#,
        ),
        ("a number for an address", r#""email":42,"role":"PATIENT""#),
        ("null for an address", r#""email":null,"role":"DOCTOR""#),
        (
            "an address in a list",
            r#""email":["patient1@clinic.example"],"role":"PATIENT""#,
        ),
        (
            "two addresses",
            r#""email":"patient1@clinic.example","email":"patient2@clinic.example","role":"PATIENT""#,
        ),
        (
            "two roles",
            r#""email":"admin@clinic.example","role":"PATIENT","role":"ADMIN""#,
        ),
        (
            "key signs",
            r#""email":"*:patient1@clinic.example:\n\u0000%","role":"PATIENT""#,
        ),
        (
            "a key",
            r#""email":"patient1@clinic.example:patient","role":"PATIENT""#,
        ),
    ];
    let all = claims.map(|(name, claims)| {
        let token = claiming(&format!(r#"{{{claims},"exp":4000000000}}"#));
        fixed(name, &[("authorization", &token)])
    });
    all.into()
}
