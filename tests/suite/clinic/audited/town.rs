//! Who is at the clinic and what they have to do with each other, as far as reads and writes of every kind are to be
//! made of it again and again.

use super::super::table::{self, payment};
use super::super::world::{Call, Clinic};
use crate::chaos::Dice;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Doctors and patients whose pages are read, of each so many at a time; and so many of those that were deleted.
const KNOWN: usize = 3;
const GONE: usize = 1;

/// Where pages of reviews and appointments show something: the first doctors and patients have had visits.
const DOCTORS: std::ops::Range<usize> = 3..80;
const PATIENTS: std::ops::Range<usize> = 3..200;

/// Specialties that no doctor has, to begin with.
const SPECIALTIES: usize = 5;

struct Person {
    id: String,
    user: String,
    email: String,
    token: String,
    password: String,
    is_blocked: bool,
}

struct Doctor {
    person: Person,
    /// Slots that are offered and not booked, and those that are not offered.
    free: Vec<String>,
    others: Vec<String>,
}

struct Visit {
    id: String,
    doctor: String,
    patient: String,
    status: String,
    is_paid: bool,
    is_prescribed: bool,
    is_reviewed: bool,
}

/// The clinic as the writer knows it.
pub struct Town<'c> {
    clinic: &'c Clinic,
    dice: Dice,
    doctors: VecDeque<Doctor>,
    patients: VecDeque<Person>,
    gone_doctors: VecDeque<Person>,
    gone_patients: VecDeque<Person>,
    /// As the clinic has them, with the slots that they offer.
    all_doctors: Vec<Json>,
    next_doctor: usize,
    next_patient: usize,
    visits: Vec<Visit>,
    specialties: Vec<String>,
    /// So that no two writes say the same.
    count: usize,
}

fn text(json: &Json, pointer: &str) -> String {
    let value = json.pointer(pointer).and_then(Json::as_str);
    value
        .unwrap_or_else(|| panic!("no {pointer} in {json}"))
        .to_owned()
}

fn api(method: &'static str, path: &str) -> Call {
    Call::new(method, &format!("/api/v1/{path}"))
}

impl<'c> Town<'c> {
    pub async fn of(clinic: &'c Clinic, dice: Dice) -> Town<'c> {
        let mut town = Town {
            clinic,
            dice,
            doctors: VecDeque::new(),
            patients: VecDeque::new(),
            gone_doctors: VecDeque::new(),
            gone_patients: VecDeque::new(),
            all_doctors: Vec::new(),
            next_doctor: 0,
            next_patient: 0,
            visits: Vec::new(),
            specialties: vec![clinic.text("/unusedSpecialty/id").to_owned()],
            count: 0,
        };
        let by_age = "limit=1000&sortBy=createdAt&sortOrder=asc";
        let all = town.asked(api("GET", &format!("doctor?{by_age}"))).await;
        town.all_doctors = all["data"].as_array().expect("doctors").clone();
        let admin = clinic.text("/admin/token");
        let all = api("GET", &format!("appointment?{by_age}")).by(admin);
        let all = town.asked(all).await;
        let visits = all["data"].as_array().expect("appointments").iter();
        town.visits = visits.map(Visit::of).collect();
        for _ in 0..SPECIALTIES {
            let title = json!({ "title": town.fresh("Field") });
            let made = api("POST", "specialties").by(admin).json(title);
            let made = town.asked(made).await;
            town.specialties.push(text(&made, "/data/id"));
        }
        for _ in 0..KNOWN {
            town.another_doctor().await;
            town.another_patient().await;
        }
        town
    }

    /// Asks the clinic itself, past all sidecars.
    async fn asked(&self, call: Call) -> Json {
        answered(&call, self.clinic.address).await
    }

    /// The first ones are those whose pages the table reads.
    async fn another_doctor(&mut self) {
        let at = match self.next_doctor {
            at @ 0..2 => at,
            at => DOCTORS.start + at * 10 % DOCTORS.len(),
        };
        self.next_doctor += 1;
        let row = self.all_doctors[at].clone();
        let person = self.person(&text(&row, "/email"), "DOCTOR").await;
        let slots = row["doctorSchedules"].as_array().expect("slots");
        let is_free = |slot: &&Json| slot["isBooked"] == false;
        let id = |slot: &Json| text(slot, "/scheduleId");
        let offered: Vec<String> = slots.iter().map(id).collect();
        let all = (1..=480).map(|number| format!("slot-{number:03}"));
        let doctor = Doctor {
            person,
            free: slots.iter().filter(is_free).map(id).collect(),
            others: all.filter(|slot| !offered.contains(slot)).collect(),
        };
        self.doctors.push_back(doctor);
    }

    async fn another_patient(&mut self) {
        let number = match self.next_patient {
            at @ 0..2 => at + 1,
            at => PATIENTS.start + at * 11 % PATIENTS.len(),
        };
        self.next_patient += 1;
        let email = format!("patient{number}@clinic.example");
        let person = self.person(&email, "PATIENT").await;
        self.patients.push_back(person);
    }

    async fn person(&self, email: &str, role: &str) -> Person {
        let token = self.clinic.token(email, role, 3 * 3600).await;
        let me = self.asked(api("GET", "user/me").by(&token)).await;
        Person {
            id: text(&me, "/data/id"),
            user: text(&me, "/data/userId"),
            email: email.to_owned(),
            token,
            password: self.clinic.text("/patient/password").to_owned(),
            is_blocked: false,
        }
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what} {}", self.count)
    }

    /// What is read of whom it knows now.
    pub fn reads(&self) -> Vec<Call> {
        let admin = self.clinic.text("/admin/token");
        let get = |path: &str| api("GET", path);
        let mut reads: Vec<Call> = table::reads(self.clinic)
            .into_iter()
            .map(|(_, call)| call)
            .collect();
        reads.push(get("specialties"));
        reads.push(get("doctor?searchTerm=Professor&limit=4&page=2"));
        let doctors = self.doctors.iter().map(|doctor| &doctor.person);
        for one in doctors.chain(&self.gone_doctors) {
            let email = &one.email;
            reads.push(get(&format!("doctor/{}", one.id)));
            reads.push(get(&format!("doctor?email={email}")));
            reads.push(get(&format!("review?doctorEmail={email}")));
            reads.push(get(&format!("appointment?doctorEmail={email}")).by(admin));
            reads.extend(own(one));
        }
        for one in self.patients.iter().chain(&self.gone_patients) {
            let email = &one.email;
            reads.push(get(&format!("patient/{}", one.id)));
            reads.push(get(&format!("review?patientEmail={email}")));
            reads.push(get(&format!("appointment?patientEmail={email}")).by(admin));
            reads.extend(own(one));
        }
        reads
    }

    /// Makes a write of this kind, a route of the matrix, by somebody whom it concerns.
    pub async fn write(&mut self, kind: &str, to: SocketAddr) {
        let (method, path) = kind.split_once(' ').expect("a route");
        let path = path.trim_start_matches("/api/v1").trim_start_matches('/');
        match path.split('/').next().expect("a word") {
            "auth" => self.session(path, to).await,
            "appointment" | "prescription" | "review" | "webhook" => self.visit(path, to).await,
            "doctor-schedule" => self.slots(method, to).await,
            "specialties" => self.specialty(method, to).await,
            _ => match (method, path) {
                ("DELETE", _) => self.removal(path, to).await,
                ("POST", _) => self.newcomer(path, to).await,
                _ => self.change(path, to).await,
            },
        }
    }

    async fn session(&mut self, path: &str, to: SocketAddr) {
        let admin = self.clinic.text("/admin/token");
        let call = api("POST", path);
        let call = match path {
            "auth/login" => {
                let (email, password) = ("/admin/email", "/patient/password");
                let [email, password] = [email, password].map(|one| self.clinic.text(one));
                call.json(json!({ "email": email, "password": password }))
            }
            "auth/refresh-token" => call.header("cookie", &format!("refreshToken={admin}")),
            _ => {
                let new = self.fresh("password");
                let person = self.anybody();
                let old = std::mem::replace(&mut person.password, new.clone());
                let call = call.by(&person.token);
                call.json(json!({ "oldPassword": old, "newPassword": new }))
            }
        };
        answered(&call, to).await;
    }

    /// A doctor or a patient.
    fn anybody(&mut self) -> &mut Person {
        let (who, at) = (self.dice.below(2), self.dice.below(KNOWN));
        match who {
            0 => &mut self.doctors[at].person,
            _ => &mut self.patients[at],
        }
    }

    async fn visit(&mut self, path: &str, to: SocketAddr) {
        if matches!(path, "appointment" | "appointment/pay-later") {
            return self.booking(path, to).await;
        }
        let admin = self.clinic.text("/admin/token");
        let stars = [1, 5][self.dice.below(2)];
        let comment = self.fresh("Waited");
        let clinic = self.clinic;
        let call = match path {
            "webhook" => {
                let visit = self.chosen(|visit| !visit.is_paid);
                visit.is_paid = true;
                payment(&visit.id)
            }
            "prescription" => {
                let visit = self.chosen(|visit| visit.is_paid && !visit.is_prescribed);
                (visit.is_prescribed, visit.status) = (true, "COMPLETED".to_owned());
                let body = json!({ "appointmentId": visit.id, "instructions": comment });
                let doctor = visit.doctor.clone();
                api("POST", path)
                    .json(body)
                    .by(&clinic.token(&doctor, "DOCTOR", 3600).await)
            }
            "review" => {
                let visit = self.chosen(|visit| !visit.is_reviewed);
                visit.is_reviewed = true;
                let body =
                    json!({ "appointmentId": visit.id, "rating": stars, "comment": comment });
                let patient = visit.patient.clone();
                api("POST", path)
                    .json(body)
                    .by(&clinic.token(&patient, "PATIENT", 3600).await)
            }
            "appointment/status/{statusId}" => {
                let visit = self.chosen(|visit| visit.status != "INPROGRESS");
                visit.status = "INPROGRESS".to_owned();
                let call = api("PATCH", &format!("appointment/status/{}", visit.id));
                call.by(admin).json(json!({ "status": "INPROGRESS" }))
            }
            _ => {
                let visit = self.chosen(|visit| !visit.is_paid);
                let path = format!("appointment/{}/initiate-payment", visit.id);
                let patient = visit.patient.clone();
                let token = clinic.token(&patient, "PATIENT", 3600).await;
                api("POST", &path).by(&token).json(json!({}))
            }
        };
        answered(&call, to).await;
    }

    /// One of those that fit: best of a doctor and a patient whose pages are read, and of those any.
    fn chosen(&mut self, fits: impl Fn(&Visit) -> bool) -> &mut Visit {
        let doctors = &self.doctors;
        let patients = &self.patients;
        let known = |visit: &Visit| {
            let doctor = doctors.iter().any(|one| one.person.email == visit.doctor);
            let patient = patients.iter().any(|one| one.email == visit.patient);
            usize::from(doctor) + usize::from(patient)
        };
        let fitting = || {
            let visits = self.visits.iter().enumerate();
            visits.filter(|(_, visit)| fits(visit))
        };
        let most = fitting().map(|(_, visit)| known(visit)).max();
        let most = most.expect("the clinic has more appointments than writes are made");
        let best: Vec<usize> = fitting()
            .filter(|(_, visit)| known(visit) == most)
            .map(|(at, _)| at)
            .collect();
        let at = best[self.dice.below(best.len())];
        &mut self.visits[at]
    }

    async fn booking(&mut self, path: &str, to: SocketAddr) {
        let (doctor, patient) = (self.dice.below(KNOWN), self.dice.below(KNOWN));
        self.offers_some(doctor, to).await;
        let (doctor, patient) = (&mut self.doctors[doctor], &self.patients[patient]);
        let slot = doctor.free.pop().expect("a slot");
        let body = json!({ "doctorId": doctor.person.id, "scheduleId": slot });
        let call = api("POST", path).by(&patient.token).json(body);
        let booked = answered(&call, to).await;
        self.visits.push(Visit {
            id: text(&booked, "/data/id"),
            doctor: doctor.person.email.clone(),
            patient: patient.email.clone(),
            status: "SCHEDULED".to_owned(),
            is_paid: false,
            is_prescribed: false,
            is_reviewed: false,
        });
    }

    /// Sees to it that a doctor has a slot to book.
    async fn offers_some(&mut self, doctor: usize, to: SocketAddr) {
        if self.doctors[doctor].free.is_empty() {
            self.offer(doctor, to).await;
        }
    }

    async fn offer(&mut self, doctor: usize, to: SocketAddr) {
        let doctor = &mut self.doctors[doctor];
        let slot = doctor.others.pop().expect("a slot");
        let call = api("POST", "doctor-schedule").by(&doctor.person.token);
        answered(&call.json(json!({ "scheduleIds": [slot] })), to).await;
        doctor.free.push(slot);
    }

    async fn slots(&mut self, method: &str, to: SocketAddr) {
        let at = self.dice.below(KNOWN);
        if method == "POST" {
            return self.offer(at, to).await;
        }
        self.offers_some(at, to).await;
        let doctor = &mut self.doctors[at];
        let slot = doctor.free.pop().expect("a slot");
        let call = api("DELETE", &format!("doctor-schedule/{slot}"));
        answered(&call.by(&doctor.person.token), to).await;
        doctor.others.insert(0, slot);
    }

    async fn specialty(&mut self, method: &str, to: SocketAddr) {
        let admin = self.clinic.text("/admin/token");
        let title = json!({ "title": self.fresh("Field") });
        let at = self.dice.below(self.specialties.len());
        let path = format!("specialties/{}", self.specialties[at]);
        match method {
            "POST" => {
                let call = api("POST", "specialties").by(admin).json(title);
                let made = answered(&call, to).await;
                self.specialties.push(text(&made, "/data/id"));
            }
            "PATCH" => {
                let call = api("PATCH", &path).by(admin).json(title);
                answered(&call, to).await;
            }
            _ => {
                self.specialties.swap_remove(at);
                answered(&api("DELETE", &path).by(admin), to).await;
            }
        }
    }

    async fn newcomer(&mut self, path: &str, to: SocketAddr) {
        let kind = path.rsplit('-').next().expect("a word");
        let name = self.fresh(kind);
        let email = format!("{}@clinic.example", name.replace(' ', "-new-"));
        let body = json!({ "password": "x", kind: { "email": email, "name": name } });
        let admin = self.clinic.text("/admin/token");
        answered(&api("POST", path).by(admin).json(body), to).await;
    }

    async fn change(&mut self, path: &str, to: SocketAddr) {
        let admin = self.clinic.text("/admin/token");
        let name = json!({ "name": self.fresh("New Name") });
        let at = self.dice.below(KNOWN);
        let call = match path {
            "doctor/{doctorId}" => {
                let path = format!("doctor/{}", self.doctors[at].person.id);
                api("PATCH", &path).by(admin).json(name)
            }
            "patient/{patientId}" => {
                let path = format!("patient/{}", self.patients[at].id);
                api("PATCH", &path).by(admin).json(name)
            }
            "user/update-my-profile" => api("PATCH", path).by(&self.anybody().token).json(name),
            _ => {
                let person = self.anybody();
                person.is_blocked = !person.is_blocked;
                let status = ["ACTIVE", "BLOCKED"][usize::from(person.is_blocked)];
                let call = api("PATCH", &format!("user/{}/status", person.user));
                call.by(admin).json(json!({ "status": status }))
            }
        };
        answered(&call, to).await;
    }

    async fn removal(&mut self, path: &str, to: SocketAddr) {
        let route = path.rsplit_once('/').expect("a route").0;
        let gone = match route.starts_with("doctor") {
            true => self.doctors.pop_front().expect("a doctor").person,
            false => self.patients.pop_front().expect("a patient"),
        };
        let admin = self.clinic.text("/admin/token");
        let call = api("DELETE", &format!("{route}/{}", gone.id));
        answered(&call.by(admin), to).await;
        let email = gone.email.clone();
        // Nobody books or reviews for them any more.
        self.visits
            .retain(|visit| visit.doctor != email && visit.patient != email);
        let of = if route.starts_with("doctor") {
            self.another_doctor().await;
            &mut self.gone_doctors
        } else {
            self.another_patient().await;
            &mut self.gone_patients
        };
        of.push_back(gone);
        if of.len() > GONE {
            of.pop_front();
        }
    }
}

/// What only they may read.
fn own(person: &Person) -> [Call; 4] {
    let token = &person.token;
    [
        api("GET", "user/me").by(token),
        api("GET", "auth/me").cookie(token),
        api("GET", "meta").cookie(token),
        api("GET", "appointment/my-appointment").cookie(token),
    ]
}

async fn answered(call: &Call, by: SocketAddr) -> Json {
    let got = call.send(by).await;
    let said = || {
        format!(
            "{} {}: {} {}",
            call.method,
            call.path,
            got.status,
            got.text()
        )
    };
    assert!(got.status < 300, "{}", said());
    serde_json::from_slice(&got.body).unwrap_or_else(|_| panic!("{}", said()))
}

impl Visit {
    fn of(row: &Json) -> Visit {
        Visit {
            id: text(row, "/id"),
            doctor: text(row, "/doctor/email"),
            patient: text(row, "/patient/email"),
            status: text(row, "/status"),
            is_paid: row["paymentStatus"] == "PAID",
            is_prescribed: !row["prescription"].is_null(),
            is_reviewed: !row["review"].is_null(),
        }
    }
}
