//! What is asked: every read of the clinic, in several spellings; and the writes in between.

use super::people::Identity;
use super::tokens::good;
use crate::chaos::Dice;
use crate::clinic::table::suggestion;
use crate::clinic::world::{Call, Clinic};
use crate::world::Got;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What a patient writes into a review.
pub const COMPLAINT: &str = "migraine since Tuesday";

/// Whose origins the clinic answers differently.
const ORIGINS: [&str; 3] = [
    "http://localhost:3000",
    "http://localhost:3001",
    "https://evil.example",
];

/// Every GET of the clinic, and the POST that only asks. Lists are sorted where the clinic's own order
/// is not determined.
pub fn reads(clinic: &Clinic) -> Vec<Call> {
    let text = |pointer| clinic.text(pointer);
    let (doctor, patient) = (text("/doctor/id"), text("/patient/id"));
    let mut paths: Vec<String> = [
        "doctor?sortBy=createdAt&sortOrder=asc&limit=3",
        "doctor?specialties=Cardiology&specialties=Urology&sortBy=name&sortOrder=asc&limit=2",
        "doctor/nobody",
        "specialties?sortBy=createdAt&sortOrder=asc",
        "review?limit=3",
        "user/me",
        "auth/me",
        "meta",
        "appointment/my-appointment",
        "appointment/my-appointment?limit=2&status=SCHEDULED",
        "appointment?limit=3",
        "appointment?patientEmail=patient1@clinic.example&limit=2",
        "schedule?limit=3",
        "doctor-schedule/my-schedule?limit=3",
        "prescription?limit=2",
        "prescription/my-prescription?limit=2",
        "no-such-route",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("doctor/{doctor}"));
    paths.push(format!("patient/{patient}"));
    paths.push(format!("doctor-schedule?doctorId={doctor}&limit=3"));
    let gets = paths
        .iter()
        .map(|path| Call::get(&format!("/api/v1/{path}")));
    let mut reads: Vec<Call> = gets.collect();
    reads.push(suggestion("chest pain"));
    reads
}

/// The same request in another spelling that Express takes for it, from another page, or as HEAD.
pub fn respelt(read: &Call, dice: &mut Dice) -> Call {
    let mut call = read.clone();
    if dice.once_in(6) {
        call.path = call.path.replacen("/api/v1", "/API/v1", 1);
    }
    if dice.once_in(6) && !call.path.contains('?') {
        call.path.push('/');
    }
    if dice.once_in(4) {
        call = call.header("origin", ORIGINS[dice.below(ORIGINS.len())]);
    }
    if dice.once_in(10) && call.method == "GET" {
        call.method = "HEAD";
    }
    call
}

fn addresses(got: &Got) -> BTreeSet<String> {
    let text = got.text();
    let words = text
        .split('"')
        .filter(|word| word.ends_with("@clinic.example"));
    words.map(str::to_owned).collect()
}

/// Whether two answers to one call are about the same person, where such an answer is about one.
pub fn same_owner(call: &Call, one: &Got, other: &Got) -> bool {
    let about_one = call.path.trim_end_matches('/').ends_with("/me") && call.method == "GET";
    !about_one || addresses(one) == addresses(other)
}

/// Writes, each of which leaves the clinic as it never was before: so two equal answers of the clinic
/// mean that nothing happened between them.
pub struct Changes {
    seed: Json,
    drawn: AtomicUsize,
}

impl Changes {
    pub fn of(clinic: &Clinic) -> Changes {
        Changes {
            seed: clinic.seed.clone(),
            drawn: AtomicUsize::new(0),
        }
    }

    fn text(&self, pointer: &str) -> &str {
        let value = self.seed.pointer(pointer).and_then(Json::as_str);
        value.unwrap_or_else(|| panic!("the seed has no {pointer}"))
    }

    /// The next write: by somebody who may, or by anybody at all.
    pub fn draw(&self, people: &[Identity], dice: &mut Dice) -> Call {
        let n = self.drawn.fetch_add(1, SeqCst);
        let anybody = &people[dice.below(people.len())];
        match n % 14 {
            0 => self.reviews(),
            1 => self.person(
                "PATCH",
                "doctor",
                "doctor",
                json!({ "bio": format!("Nr {n}") }),
            ),
            2 => self.person(
                "PATCH",
                "patient",
                "patient",
                json!({ "address": format!("Nr {n}") }),
            ),
            3 => self
                .own("patient")
                .json(json!({ "name": format!("P Rahman {n}") })),
            4 => self
                .own("doctor")
                .json(json!({ "name": format!("Dr Lindgren {n}") })),
            5 => self.status(n),
            6 => self.books(n),
            7 => self.account(n),
            8 => self.password(),
            9 => anybody.asks(&Call::new("POST", "/api/v1/auth/logout")),
            10 => self.creates("specialties", json!({ "title": format!("Title {n}") })),
            11 => self.creates("user/create-patient", new_patient(n)),
            12 => self.shouted(n),
            _ => anybody.asks(&profile(json!({ "contactNumber": format!("{n}") }))),
        }
    }

    fn person(&self, method: &'static str, path: &str, who: &str, body: Json) -> Call {
        let path = format!("/api/v1/{path}/{}", self.text(&format!("/{who}/id")));
        Call::new(method, &path)
            .by(self.text("/admin/token"))
            .json(body)
    }

    fn own(&self, who: &str) -> Call {
        profile(Json::Null).cookie(self.text(&format!("/{who}/token")))
    }

    fn shouted(&self, n: usize) -> Call {
        let path = format!("/API/V1/Doctor/{}/", self.text("/doctor/id"));
        let call = Call::new("PATCH", &path).by(self.text("/admin/token"));
        call.json(json!({ "designation": format!("Nr {n}") }))
    }

    /// The clinic notes when a status changed, so going to and fro is not the same again.
    fn status(&self, n: usize) -> Call {
        let path = format!(
            "/api/v1/appointment/status/{}",
            self.text("/paidAppointment/id")
        );
        let status = ["INPROGRESS", "SCHEDULED"][n % 2];
        let call = Call::new("PATCH", &path).by(self.text("/admin/token"));
        call.json(json!({ "status": status }))
    }

    fn account(&self, n: usize) -> Call {
        let path = format!("/api/v1/user/{}/status", self.text("/otherPatient/userId"));
        let status = ["BLOCKED", "ACTIVE"][n % 2];
        let call = Call::new("PATCH", &path).by(self.text("/admin/token"));
        call.json(json!({ "status": status }))
    }

    fn books(&self, n: usize) -> Call {
        let slots = self.seed["freeSlots"].as_array().expect("slots");
        let slot = &slots[n / 14 % slots.len()];
        let body = json!({ "doctorId": self.text("/doctor/id"), "scheduleId": slot });
        let call = Call::new("POST", "/api/v1/appointment");
        call.by(self.text("/patient/token")).json(body)
    }

    fn reviews(&self) -> Call {
        let visit = "/unreviewedAppointment";
        let patient = good(self.text(&format!("{visit}/patientEmail")), "PATIENT");
        let id = self.text(&format!("{visit}/id"));
        let body = json!({ "appointmentId": id, "rating": 2, "comment": COMPLAINT });
        Call::new("POST", "/api/v1/review").by(&patient).json(body)
    }

    fn password(&self) -> Call {
        let (old, token) = (self.text("/patient/password"), self.text("/patient/token"));
        let body = json!({ "oldPassword": old, "newPassword": old });
        let call = Call::new("POST", "/api/v1/auth/change-password");
        call.by(token).json(body)
    }

    fn creates(&self, path: &str, body: Json) -> Call {
        let call = Call::new("POST", &format!("/api/v1/{path}"));
        call.by(self.text("/admin/token")).json(body)
    }
}

fn profile(body: Json) -> Call {
    let call = Call::new("PATCH", "/api/v1/user/update-my-profile");
    if body.is_null() {
        call
    } else {
        call.json(body)
    }
}

fn new_patient(n: usize) -> Json {
    let patient = json!({ "email": format!("new{n}@clinic.example"), "name": "Young" });
    json!({ "password": "x", "patient": patient })
}
