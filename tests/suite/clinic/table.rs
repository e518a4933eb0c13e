//! The reads that the shipped rules keep, by what they show, and every write with what it makes
//! stale: the two tables that `rules.toml` was written for, as in `tests/clinic/checks`.

use super::world::{Call, Clinic, WEBHOOK_SECRET};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value as Json, json};
use std::time::SystemTime;

/// What a read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    DoctorLists,
    DoctorDetails,
    Specialties,
    Reviews,
    Patient,
    Profiles,
    Dashboards,
    Appointments,
    Suggestions,
}
use Shows::*;

/// One read of each target, with the name by which reports call it.
pub fn targets(clinic: &Clinic) -> Vec<(&'static str, Call)> {
    let (patient, admin) = (clinic.text("/patient/token"), clinic.text("/admin/token"));
    let api = |path: &str| Call::get(&format!("/api/v1/{path}"));
    let doctor = format!("doctor/{}", clinic.text("/doctor/id"));
    vec![
        ("doctor list", api("doctor?sortBy=createdAt&sortOrder=asc")),
        ("doctor details", api(&doctor)),
        ("specialty list", api("specialties")),
        ("review aggregates", api("review")),
        (
            "patient profile",
            api(&format!("patient/{}", clinic.text("/patient/id"))),
        ),
        ("user/me", api("user/me").by(patient)),
        ("auth/me", api("auth/me").cookie(patient)),
        (
            "my appointments",
            api("appointment/my-appointment").cookie(patient),
        ),
        ("all appointments", api("appointment").by(admin)),
        ("dashboard stats", api("meta").cookie(patient)),
        ("AI query", suggestion("chest pain")),
    ]
}

/// Asks the model.
pub fn suggestion(symptoms: &str) -> Call {
    Call::new("POST", "/api/v1/doctor/suggestion").json(json!({ "symptoms": symptoms }))
}

/// Reads of every kind by readers of every role, such that each write of the table shows in one of
/// each kind that it makes stale.
pub fn reads(clinic: &Clinic) -> Vec<(Shows, Call)> {
    let text = |pointer: &str| clinic.text(pointer);
    let api = |path: &str| Call::get(&format!("/api/v1/{path}"));
    let of = |path: &str, pointer: &str| api(&format!("{path}{}", clinic.text(pointer)));
    let mut reads = vec![
        (DoctorLists, api("doctor")),
        (
            DoctorLists,
            api("doctor?limit=5&sortBy=createdAt&sortOrder=asc"),
        ),
        (
            DoctorLists,
            api("doctor?limit=5&sortBy=createdAt&sortOrder=desc"),
        ),
        (
            DoctorLists,
            api("doctor?specialties=Cardiology&specialties=Urology&limit=3"),
        ),
        (DoctorLists, of("doctor?email=", "/doctor/email")),
        (DoctorDetails, of("doctor/", "/doctor/id")),
        (DoctorDetails, of("doctor/", "/otherDoctor/id")),
        (
            Specialties,
            api("specialties?limit=100&sortBy=createdAt&sortOrder=asc"),
        ),
        (Reviews, of("review?doctorEmail=", "/doctor/email")),
        (Reviews, of("review?doctorEmail=", "/otherDoctor/email")),
        (Reviews, of("review?patientEmail=", "/patient/email")),
        (Reviews, of("review?patientEmail=", "/otherPatient/email")),
        (Patient, of("patient/", "/patient/id")),
        (Patient, of("patient/", "/otherPatient/id")),
        (Suggestions, suggestion("chest pain")),
        (Suggestions, suggestion("a rash on the skin")),
        (Profiles, api("auth/me").cookie(text("/patient/token"))),
    ];
    let by_doctor = format!("appointment?doctorEmail={}", text("/otherDoctor/email"));
    let personal = [
        (
            Profiles,
            "user/me",
            ["doctor", "patient", "otherPatient"].as_slice(),
        ),
        (
            Dashboards,
            "meta",
            &["doctor", "patient", "admin", "superAdmin"],
        ),
        (
            Appointments,
            "appointment/my-appointment",
            &["doctor", "patient", "otherPatient"],
        ),
        (
            Appointments,
            "appointment?status=SCHEDULED&limit=20",
            &["superAdmin"],
        ),
        (Appointments, &by_doctor, &["admin"]),
    ];
    for (shows, path, people) in personal {
        let tokens = people
            .iter()
            .map(|person| clinic.text(&format!("/{person}/token")));
        reads.extend(tokens.map(|token| (shows, api(path).cookie(token))));
    }
    reads
}

/// A write: its name, what it makes stale, and the request, which may need what `book` answered.
pub struct Write {
    pub name: &'static str,
    pub stale: &'static [Shows],
    pub call: Call,
}

const NOTHING: &[Shows] = &[];
const BOOKING: &[Shows] = &[DoctorLists, DoctorDetails, Appointments, Dashboards];
const VISITS: &[Shows] = &[Appointments, Dashboards];
const REVIEWED: &[Shows] = &[
    DoctorLists,
    DoctorDetails,
    Reviews,
    Appointments,
    Dashboards,
    Profiles,
];
const DOCTOR: &[Shows] = &[DoctorLists, DoctorDetails, Appointments, Reviews, Profiles];
const PATIENT: &[Shows] = &[Patient, Profiles, Appointments, Reviews];
const SLOTS: &[Shows] = &[DoctorLists, DoctorDetails];
const SPECIALTY: &[Shows] = &[Specialties, DoctorLists];
const GONE_DOCTOR: &[Shows] = &[
    DoctorLists,
    DoctorDetails,
    Appointments,
    Reviews,
    Suggestions,
];
const GONE_PATIENT: &[Shows] = &[Patient, Appointments, Reviews];

/// The first write of all; the next ones are about the appointment that it makes.
pub fn booking(clinic: &Clinic) -> Write {
    write("book", BOOKING, book(clinic, "appointment", 0))
}

fn write(name: &'static str, stale: &'static [Shows], call: Call) -> Write {
    Write { name, stale, call }
}

fn book(clinic: &Clinic, path: &str, slot: usize) -> Call {
    let slot = clinic.text(&format!("/freeSlots/{slot}"));
    let body = json!({ "doctorId": clinic.text("/doctor/id"), "scheduleId": slot });
    post(path).by(clinic.text("/patient/token")).json(body)
}

fn post(path: &str) -> Call {
    Call::new("POST", &format!("/api/v1/{path}"))
}

fn patch(path: &str) -> Call {
    Call::new("PATCH", &format!("/api/v1/{path}"))
}

fn delete(path: &str) -> Call {
    Call::new("DELETE", &format!("/api/v1/{path}"))
}

/// All other writes of the table, in an order in which each succeeds.
pub fn writes(clinic: &Clinic, booked: &Json) -> Vec<Write> {
    let appointment = booked["data"]["id"].as_str().expect("an appointment");
    let mut writes = sessions(clinic, appointment);
    writes.extend(visits(clinic, appointment));
    writes.extend(people(clinic));
    writes.extend(administration(clinic));
    writes.extend(removals(clinic));
    writes
}

/// What looks like a write and changes nothing that is kept.
fn sessions(clinic: &Clinic, appointment: &str) -> Vec<Write> {
    let (token, email) = (clinic.text("/patient/token"), clinic.text("/patient/email"));
    let login = json!({ "email": email, "password": clinic.text("/patient/password") });
    let refresh = post("auth/refresh-token").header("cookie", &format!("refreshToken={token}"));
    let pay = post(&format!("appointment/{appointment}/initiate-payment"));
    vec![
        write("login", NOTHING, post("auth/login").json(login)),
        write("refresh-token", NOTHING, refresh),
        write("AI suggestion", NOTHING, suggestion("cough")),
        write("initiate payment", NOTHING, pay.by(token).json(json!({}))),
    ]
}

fn visits(clinic: &Clinic, appointment: &str) -> Vec<Write> {
    let (doctor, patient) = (clinic.text("/doctor/token"), clinic.text("/patient/token"));
    let status = patch(&format!("appointment/status/{appointment}"));
    let prescription = json!({ "appointmentId": appointment, "instructions": "Rest" });
    let review = json!({ "appointmentId": appointment, "rating": 1, "comment": "Waited long" });
    let offered = clinic.text("/slotsNotOffered/0");
    let withdraw = delete(&format!("doctor-schedule/{offered}"));
    vec![
        write("pay by webhook", VISITS, payment(appointment)),
        write(
            "book and pay later",
            BOOKING,
            book(clinic, "appointment/pay-later", 1),
        ),
        write(
            "change an appointment's status",
            VISITS,
            status.by(doctor).json(json!({ "status": "INPROGRESS" })),
        ),
        write(
            "prescribe",
            VISITS,
            post("prescription").by(doctor).json(prescription),
        ),
        write("review", REVIEWED, post("review").by(patient).json(review)),
        write(
            "offer a slot",
            SLOTS,
            post("doctor-schedule")
                .by(doctor)
                .json(json!({ "scheduleIds": [offered] })),
        ),
        write("withdraw a slot", SLOTS, withdraw.by(doctor)),
    ]
}

fn people(clinic: &Clinic) -> Vec<Write> {
    let text = |pointer| clinic.text(pointer);
    let (admin, patient) = (text("/admin/token"), text("/patient/token"));
    let one = |kind: &str, person: &str| {
        patch(&format!("{kind}/{}", clinic.text(&format!("/{person}/id"))))
    };
    let mine = || patch("user/update-my-profile");
    let named = |name: &str| json!({ "name": name });
    let status = patch(&format!("user/{}/status", text("/otherPatient/userId")));
    let password = json!({ "oldPassword": text("/patient/password"), "newPassword": "y" });
    // A write is the same one in any case of its path and with a slash at its end.
    let shouted = Call::new("PATCH", &format!("/API/V1/Doctor/{}/", text("/doctor/id")));
    vec![
        write(
            "change a doctor",
            DOCTOR,
            one("doctor", "doctor").by(admin).json(named("Dr New")),
        ),
        write(
            "change a doctor, shouting",
            DOCTOR,
            shouted.by(admin).json(named("Dr Newer")),
        ),
        write(
            "doctor's own profile",
            DOCTOR,
            mine().by(text("/doctor/token")).json(named("Dr Newest")),
        ),
        write(
            "change a patient",
            PATIENT,
            one("patient", "patient").by(admin).json(named("P New")),
        ),
        write(
            "patient's own profile",
            PATIENT,
            mine().cookie(patient).json(named("P Newer")),
        ),
        write(
            "change a user's status",
            &[Profiles],
            status.by(admin).json(json!({ "status": "BLOCKED" })),
        ),
        write(
            "change a password",
            &[Profiles],
            post("auth/change-password").by(patient).json(password),
        ),
    ]
}

fn administration(clinic: &Clinic) -> Vec<Write> {
    let admin = clinic.text("/admin/token");
    let unused = format!("specialties/{}", clinic.text("/unusedSpecialty/id"));
    let person = |kind: &str, email: &str| json!({ "password": "x", kind: { "email": email, "name": "Young" } });
    let create = |kind: &str, email: &str| {
        post(&format!("user/create-{kind}"))
            .by(admin)
            .json(person(kind, email))
    };
    let title = |title: &str| json!({ "title": title });
    vec![
        write(
            "create a specialty",
            SPECIALTY,
            post("specialties").by(admin).json(title("Allergology")),
        ),
        write(
            "change a specialty",
            SPECIALTY,
            patch(&unused).by(admin).json(title("Sports")),
        ),
        write("delete a specialty", SPECIALTY, delete(&unused).by(admin)),
        write(
            "create a doctor",
            &[DoctorLists, Dashboards],
            create("doctor", "d@clinic.example"),
        ),
        write(
            "create a patient",
            &[Dashboards],
            create("patient", "p@clinic.example"),
        ),
        write(
            "create an admin",
            &[Dashboards],
            create("admin", "a@clinic.example"),
        ),
    ]
}

fn removals(clinic: &Clinic) -> Vec<Write> {
    let admin = clinic.text("/admin/token");
    let remove = |path: &str, person: &str| {
        let id = clinic.text(&format!("/{person}/id"));
        delete(&format!("{path}/{id}")).by(admin)
    };
    vec![
        write(
            "soft delete a patient",
            GONE_PATIENT,
            remove("patient/soft", "otherPatient"),
        ),
        write(
            "soft delete a doctor",
            GONE_DOCTOR,
            remove("doctor/soft", "doctor"),
        ),
        write(
            "delete a doctor",
            GONE_DOCTOR,
            remove("doctor", "otherDoctor"),
        ),
    ]
}

/// The payment provider's call for an appointment, signed. Its bytes are not what any JSON writer
/// would make of its content.
pub fn payment(appointment: &str) -> Call {
    let event = format!(
        "{{ \"type\" :\t\"checkout.session.completed\",\r\n \"note\":\"\\u00e4 ä \\/\", \"data\":{{\"object\":\
         {{\"payment_status\":\"paid\",\"metadata\":{{\"appointmentId\":\"{appointment}\"}} }} }} }}\n"
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = now.expect("after 1970").as_secs();
    let key = EncodingKey::from_secret(WEBHOOK_SECRET.as_bytes());
    let signed = crypto::sign(
        format!("{seconds}.{event}").as_bytes(),
        &key,
        Algorithm::HS256,
    );
    let digest = URL_SAFE_NO_PAD
        .decode(signed.expect("a signature"))
        .expect("base64");
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut call = Call::new("POST", "/webhook")
        .header("content-type", "application/json")
        .header("stripe-signature", &format!("t={seconds},v1={hex}"));
    call.body = event;
    call
}
