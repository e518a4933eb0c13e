// What the clinic's visitors do: the eight targets, each asked in many ways by many people, and the writes.

import { createRandom } from "../../tests/clinic/random.js";

const PATIENTS = 200;
export const DOCTORS = 320;
// One request in so many is a write. A clinic's ordinary day has fewer; each write here drops the
// lists, the appointments or the profiles of everybody.
const READS_PER_WRITE = 500;
// Zipf's exponent: web traffic is seen between 0.6 and 1.
const SKEW = 0.9;
const SEED = 20261122;

const SYMPTOMS = ["chest pain", "skin rash", "bad sleep", "a cough at night", "knee hurts", "child with fever",
  "stomach ache", "dry eyes", "short of breath", "headache"];
const DURATIONS = ["since today", "for two days", "for a week", "for a month"];

/** Target → what is wanted of a hit in milliseconds. The origin's own times stand in deploy/demo/processes.mjs. */
export const WANTED = {
  "doctor list": 50,
  "doctor details": 20,
  "appointment list": 30,
  "patient profile": 40,
  "dashboard": 100,
  "specialty list": 30,
  "reviews": 50,
  "AI suggestion": 100,
};

// How often each is asked, out of a hundred: a visit is a list, some details, and one's own pages.
export const SHARE = {
  "doctor list": 24, "doctor details": 26, "appointment list": 12, "patient profile": 10, "dashboard": 8,
  "specialty list": 10, "reviews": 7, "AI suggestion": 3,
};

/** The same people and doctors in every run; `clinic` is asked for ids and tokens behind the sidecar's back. */
export async function meetPeople(control, clinic) {
  const { data: doctors } = await (await fetch(`${clinic}/api/v1/doctor?limit=${DOCTORS}&sortBy=createdAt`)).json();
  const seed = await control("GET", "/seed");
  const patients = [];
  for (let n = 1; n <= PATIENTS; n++) {
    const email = `patient${n}@clinic.example`;
    patients.push(await control("GET", `/token?email=${email}&role=PATIENT`));
  }
  return { doctors: doctors.map(({ id, email }) => ({ id, email })), patients, ...seed };
}

/** Target → the request that asks it in its nth most popular way. */
export function createTargets({ doctors, patients, patient, otherPatient, admin }) {
  const at = (list, n) => list[n % list.length];
  const api = (n, path, more) => ({ path: `/api/v1${path}`, token: at(patients, n * 7).token, ...more });
  const known = [patient.id, otherPatient.id];
  return {
    "doctor list": (n) => api(n, `/doctor?limit=10&page=${1 + (n % 32)}&sortBy=createdAt&sortOrder=asc`),
    "doctor details": (n) => api(n, `/doctor/${at(doctors, n).id}`),
    "appointment list": (n) => api(n, "/appointment/my-appointment?limit=20", { token: at(patients, n).token }),
    "patient profile": (n) => (n % 10 === 9 ? api(n, `/patient/${at(known, n)}`) : api(n, "/user/me", { token: at(patients, n).token })),
    "dashboard": (n) => api(n, "/meta", { token: n === 0 ? admin.token : at(patients, n).token }),
    "specialty list": (n) => api(n, `/specialties?limit=50&page=${1 + (n % 2)}`),
    "reviews": (n) => api(n, `/review?doctorEmail=${encodeURIComponent(at(doctors, n).email)}`),
    "AI suggestion": (n) => api(n, "/doctor/suggestion", {
      method: "POST", body: { symptoms: `${at(SYMPTOMS, n)} ${at(DURATIONS, Math.floor(n / SYMPTOMS.length))}` },
    }),
  };
}

/**
 * Gives one request after the other, `{ target, request }`, without a target for a write. They are the same at each
 * call, but that each books appointments with a `doctor` and in `slots` of its own: who is booked is not free again.
 */
export function createTraffic(people, { doctor, slots }) {
  const random = createRandom(SEED);
  const targets = createTargets(people);
  const bag = Object.entries(SHARE).flatMap(([target, share]) => Array(share).fill(target));
  const rank = zipf(DOCTORS);
  const write = createWrites(people, doctor, [...slots], random);
  return () => {
    if (random.below(READS_PER_WRITE) === 0) return { request: write() };
    const target = random.pick(bag);
    return { target, request: targets[target](rank(random.below(2 ** 30) / 2 ** 30)) };
  };
}

// A number from 0 to 1 → a rank from 0 on, the first the most popular.
export function zipf(ranks) {
  let sum = 0;
  const upTo = Array.from({ length: ranks }, (_, n) => (sum += 1 / (n + 1) ** SKEW));
  return (number) => upTo.findIndex((limit) => number * sum <= limit);
}

function createWrites({ doctors, patients, patient, admin, unpaidAppointment }, doctor, slots, random) {
  const api = (method, path, token, body) => ({ method, path: `/api/v1${path}`, token, body });
  const visit = (status) => api("PATCH", `/appointment/status/${unpaidAppointment.id}`, admin.token, { status });
  const kinds = [
    () => api("PATCH", "/user/update-my-profile", random.pick(patients).token, { address: `Street ${random.below(100)}` }),
    () => api("PATCH", `/doctor/${random.pick(doctors).id}`, admin.token, { appointmentFee: 300 + random.below(500) }),
    () => visit(random.pick(["SCHEDULED", "INPROGRESS"])),
    () => (slots.length > 0
      ? api("POST", "/appointment/pay-later", patient.token, { doctorId: doctor.id, scheduleId: slots.pop() })
      : visit("SCHEDULED")),
    () => api("POST", "/specialties", admin.token, { title: `Specialty ${crypto.randomUUID()}` }),
  ];
  return () => random.pick(kinds)();
}
