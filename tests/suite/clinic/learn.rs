//! `sidecache learn` against the clinic: a table of five lines, from which most is missing, and a recorded visit that
//! makes each kind of write once.

use super::audited::missing;
use super::freshness::Pair;
use super::table::{booking, payment, reads, writes};
use super::world::{Call, Clinic, JWT_SECRET, Running};
use crate::process::{command, stderr, stdout};
use crate::world::Got;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

/// What people write who think of each write's own path.
pub(super) const FIVE_LINES: &str = r#"
[[invalidate]]
name = "doctor-updated"
on   = ["PATCH /api/v1/doctor/{doctorId}"]
drop = ["doctors:details:{doctorId}", "doctors:list:*"]

[[invalidate]]
name = "appointment-created"
on   = ["POST /api/v1/appointment"]
drop = ["appointments:*", "dashboard:*"]

[[invalidate]]
name = "review-submitted"
on   = ["POST /api/v1/review"]
drop = ["doctors:details:*", "reviews:*"]

[[invalidate]]
name = "specialty-updated"
on   = ["POST /api/v1/specialties", "PATCH /api/v1/specialties/{specialtyId}", "DELETE /api/v1/specialties/{specialtyId}"]
drop = ["specialties:*", "doctors:list:*"]

[[invalidate]]
name = "payment-completed"
on   = ["POST /webhook"]
drop = ["appointments:*", "dashboard:*"]
"#;

/// The rules whose answers each write of the clinic changes: the table of `backend.md`, as its code has it.
pub(super) const MATRIX: &[(&str, &[&str])] = &[
    ("POST /api/v1/auth/login", &[]),
    ("POST /api/v1/auth/refresh-token", &[]),
    (
        "POST /api/v1/appointment/{appointmentId}/initiate-payment",
        &[],
    ),
    ("POST /api/v1/appointment", BOOKING),
    ("POST /api/v1/appointment/pay-later", BOOKING),
    ("POST /webhook", VISITS),
    ("PATCH /api/v1/appointment/status/{statusId}", VISITS),
    ("POST /api/v1/prescription", VISITS),
    (
        "POST /api/v1/review",
        &[
            "all-appointments",
            "dashboard",
            "doctor-details",
            "doctor-list",
            "my-appointments",
            "my-profile",
            "my-session",
            "review-list",
        ],
    ),
    ("PATCH /api/v1/doctor/{doctorId}", DOCTOR),
    (
        "PATCH /api/v1/user/update-my-profile", // by a doctor, and by a patient
        &[
            "all-appointments",
            "doctor-details",
            "doctor-list",
            "my-appointments",
            "my-profile",
            "my-session",
            "patient-details",
            "review-list",
        ],
    ),
    (
        "PATCH /api/v1/patient/{patientId}",
        &[
            "all-appointments",
            "my-appointments",
            "my-profile",
            "my-session",
            "patient-details",
            "review-list",
        ],
    ),
    ("POST /api/v1/doctor-schedule", SLOTS),
    ("DELETE /api/v1/doctor-schedule/{doctorScheduleId}", SLOTS),
    ("POST /api/v1/specialties", SPECIALTIES),
    ("PATCH /api/v1/specialties/{specialtyId}", SPECIALTIES),
    ("DELETE /api/v1/specialties/{specialtyId}", SPECIALTIES),
    (
        "POST /api/v1/user/create-doctor",
        &["dashboard", "doctor-list"],
    ),
    ("POST /api/v1/user/create-patient", &["dashboard"]),
    ("POST /api/v1/user/create-admin", &["dashboard"]),
    ("PATCH /api/v1/user/{userId}/status", PROFILES),
    ("POST /api/v1/auth/change-password", PROFILES),
    ("DELETE /api/v1/doctor/soft/{softId}", GONE_DOCTOR),
    ("DELETE /api/v1/doctor/{doctorId}", GONE_DOCTOR),
    (
        "DELETE /api/v1/patient/soft/{softId}",
        &[
            "all-appointments",
            "my-appointments",
            "patient-details",
            "review-list",
        ],
    ),
];

const BOOKING: &[&str] = &[
    "all-appointments",
    "dashboard",
    "doctor-details",
    "doctor-list",
    "my-appointments",
];
const VISITS: &[&str] = &["all-appointments", "dashboard", "my-appointments"];
const DOCTOR: &[&str] = &[
    "all-appointments",
    "doctor-details",
    "doctor-list",
    "my-appointments",
    "my-profile",
    "my-session",
    "review-list",
];
const GONE_DOCTOR: &[&str] = &[
    "ai-suggestion",
    "all-appointments",
    "doctor-details",
    "doctor-list",
    "my-appointments",
    "review-list",
];
const SLOTS: &[&str] = &["doctor-details", "doctor-list"];
const SPECIALTIES: &[&str] = &["doctor-list", "specialty-list"];
const PROFILES: &[&str] = &["my-profile", "my-session"];

/// A pair of a write's route and a rule.
pub(super) type Pairs = BTreeSet<(String, String)>;

pub(super) fn expected() -> Pairs {
    let pairs = MATRIX.iter().flat_map(|(write, rules)| {
        let pair = |rule: &&str| ((*write).to_owned(), (*rule).to_owned());
        rules.iter().map(pair).collect::<Vec<_>>()
    });
    pairs.collect()
}

/// A visit to the clinic that `sidecache record` writes down: every read of the rules, and each kind of write once.
struct Visit<'c> {
    clinic: &'c Clinic,
    /// Where it is recorded.
    recorder: SocketAddr,
}

impl Visit<'_> {
    async fn record(clinic: &Clinic, file: &Path) {
        let origin = format!("http://{}", clinic.address);
        let mut running = Running::start(command().arg("record").arg(file).args([
            "--origin",
            &origin,
            "--listen",
            "127.0.0.1:0",
        ]));
        let listens = running.line_after("sidecache listens on ");
        let address = listens.trim_start_matches("http://").split(' ').next();
        let visit = Visit {
            clinic,
            recorder: address
                .and_then(|text| text.parse().ok())
                .expect("an address"),
        };
        visit.make().await;
        assert!(running.terminate().success());
    }

    async fn make(&self) {
        let payer = self.people_of("/unpaidAppointment").await;
        for call in self.reads(&payer) {
            self.ask(&call).await;
        }
        let booked = self.ask(&booking(self.clinic).call).await;
        let booked: Json = serde_json::from_slice(&booked.body).expect("JSON");
        for write in writes(self.clinic, &booked) {
            let paid = self.clinic.text("/unpaidAppointment/id");
            let call = match write.name {
                // Signed, so that no other appointment can stand in it: one that each clinic has.
                "pay by webhook" => payment(paid),
                "prescribe" => Call::new("POST", "/api/v1/prescription")
                    .by(&payer.doctor)
                    .json(json!({ "appointmentId": paid, "instructions": "Rest" })),
                _ => write.call,
            };
            self.ask(&call).await;
        }
    }

    /// Those of the table, and what shows the writes that it does not make.
    fn reads(&self, payer: &People) -> Vec<Call> {
        let api = |path: &str| Call::get(&format!("/api/v1/{path}"));
        let mine = || api("appointment/my-appointment");
        let all = |by: &str, email: &str| {
            api(&format!("appointment?{by}Email={email}")).by(self.clinic.text("/admin/token"))
        };
        let text = |pointer| self.clinic.text(pointer);
        let of_table = reads(self.clinic).into_iter().map(|(_, call)| call);
        let more = [
            mine().cookie(&payer.patient),
            mine().cookie(&payer.doctor),
            mine().cookie(text("/otherDoctor/token")),
            all("doctor", text("/unpaidAppointment/doctorEmail")),
            all("patient", text("/otherPatient/email")),
            api("auth/me").cookie(text("/doctor/token")),
            api("auth/me").cookie(text("/otherPatient/token")),
        ];
        of_table.chain(more).collect()
    }

    async fn people_of(&self, visit: &str) -> People {
        let email = |of: &str| self.clinic.text(&format!("{visit}/{of}Email"));
        People {
            doctor: self.clinic.token(email("doctor"), "DOCTOR", 3600).await,
            patient: self.clinic.token(email("patient"), "PATIENT", 3600).await,
        }
    }

    async fn ask(&self, call: &Call) -> Got {
        let got = call.send(self.recorder).await;
        assert!(got.status < 300, "{}: {}", call.path, got.text());
        got
    }
}

struct People {
    doctor: String,
    patient: String,
}

const SHIPPED: &str = include_str!("../../../rules.toml");

/// The shipped sets.
fn sets() -> &'static str {
    let at = SHIPPED.find("# ---- Writes").expect("its sections");
    &SHIPPED[at..]
}

/// The shipped `[[cache]]` rules, with these sets.
pub(super) fn rules(proposed: &str) -> String {
    SHIPPED.replace(sets(), proposed)
}

pub(super) async fn sidecache(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = command();
    let path = std::env::var("PATH").unwrap_or_default();
    command.current_dir(directory).args(arguments);
    command.env("JWT_SECRET", JWT_SECRET).env("PATH", path);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    ran.expect("no panic").expect("the command starts")
}

/// Learns with these sets from the recorded visit, at a clinic of its own.
async fn learnt(directory: &Path, sets: &str) -> (Option<i32>, Json) {
    let clinic = Clinic::start().await;
    std::fs::write(directory.join("rules.toml"), rules(sets)).expect("a file");
    let origin = format!("http://{}", clinic.address);
    let arguments = [
        "learn",
        "--origin",
        &origin,
        "--traffic",
        "visit.jsonl",
        "--json",
        "--settle",
        "0ms",
    ];
    let output = sidecache(directory, &arguments).await;
    for secret in [
        "@clinic.example",
        clinic.text("/patient/token"),
        clinic.text("/doctor/id"),
    ] {
        assert!(!stdout(&output).contains(secret), "{secret}");
    }
    let told = serde_json::from_str(&stdout(&output));
    let told = told.unwrap_or_else(|_| panic!("{}{}", stdout(&output), stderr(&output)));
    (output.status.code(), told)
}

fn changed(told: &Json) -> Pairs {
    let rows = told["writes"].as_array().expect("rows");
    let pairs = rows.iter().flat_map(|row| {
        let rules = row["rules"].as_object().expect("rules");
        let changed = rules
            .iter()
            .filter(|(_, cell)| cell["changed"].as_u64() > Some(0));
        let write = row["write"].as_str().expect("a route").to_owned();
        changed.map(move |(rule, _)| (write.clone(), rule.clone()))
    });
    pairs.collect()
}

fn named_missing(told: &Json) -> Pairs {
    let all = told["missing"].as_array().expect("what is missing").iter();
    let text = |one: &Json, field: &str| one[field].as_str().expect("a text").to_owned();
    all.map(|one| (text(one, "write"), text(one, "rule")))
        .collect()
}

fn assert_all_is_measured(told: &Json) {
    let rows = told["writes"].as_array().expect("rows");
    let written: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row["write"].as_str())
        .collect();
    let expected: BTreeSet<&str> = MATRIX.iter().map(|(write, _)| *write).collect();
    assert_eq!(written, expected);
    for row in rows {
        assert_eq!(row["unmeasured"], json!([]), "{}", row["write"]);
    }
}

/// What is proposed to whom has the five lines.
pub(super) async fn proposed(directory: &Path) -> String {
    let visit = directory.join("visit.jsonl");
    Visit::record(&Clinic::start().await, &visit).await;
    let (_, told) = learnt(directory, FIVE_LINES).await;
    told["toml"].as_str().expect("tables").to_owned()
}

#[tokio::test]
async fn the_whole_matrix_is_measured_and_what_is_proposed_leaves_nothing_missing() {
    let directory = tempfile::tempdir().expect("a directory");
    Visit::record(
        &Clinic::start().await,
        &directory.path().join("visit.jsonl"),
    )
    .await;

    let (status, told) = learnt(directory.path(), FIVE_LINES).await;
    assert_all_is_measured(&told);
    let (measured, expected) = (changed(&told), expected());
    let too_few: Vec<_> = expected.difference(&measured).collect();
    let too_many: Vec<_> = measured.difference(&expected).collect();
    assert!(
        too_few.is_empty() && too_many.is_empty(),
        "not seen: {too_few:#?}\nnot there: {too_many:#?}"
    );
    assert_eq!(status, Some(1), "something is missing");
    assert_eq!(named_missing(&told), missing());

    let proposed = told["toml"].as_str().expect("tables");
    std::fs::write(directory.path().join("proposed.toml"), rules(proposed)).expect("a file");
    let checked = sidecache(directory.path(), &["check", "proposed.toml"]).await;
    assert!(checked.status.success(), "{}\n{proposed}", stderr(&checked));

    // Behind it nothing is missing, and no read by anybody is stale after any write; what no write changed stays kept.
    let lives = async {
        let pair = Pair::start_with(&[(sets(), proposed)]).await;
        pair.write_all().await;
    };
    let ((status, told), ()) = tokio::join!(learnt(directory.path(), proposed), lives);
    assert_all_is_measured(&told);
    assert_eq!(told["missing"], json!([]), "{proposed}");
    assert_eq!(changed(&told), expected);
    assert_eq!(status, Some(0));
}
