// The people of the clinic and what has happened among them; the same at every start.

import { hashPassword } from "./auth.js";
import { insertAll } from "./db.js";
import { createRandom } from "./random.js";

const DOCTORS = 320;
const PATIENTS = 200;
const SLOTS = 480;
const SLOTS_PER_DOCTOR = 12;
const APPOINTMENTS = 600;
// Appointments are numbered by age: the first are completed, the first of these reviewed and prescribed for.
const REVIEWED = 400;
const COMPLETED = 430;
const PAID = 520;

const EPOCH = Date.UTC(2026, 0, 1);
const FIRST_SLOT = Date.UTC(2027, 0, 4, 9);
const HALF_HOUR = 30 * 60 * 1000;

export const PASSWORD = "clinic123";

export const TITLES = [
  "Cardiology", "Dermatology", "Neurology", "Pediatrics", "Orthopedics", "Psychiatry", "Gastroenterology",
  "Endocrinology", "Ophthalmology", "Urology", "Pulmonology", "Rheumatology", "Oncology", "Nephrology",
];
// No doctor carries this one, so it may be renamed and deleted.
const UNUSED_TITLE = "Sports Medicine";

const FIRST = ["Amina", "Bashir", "Chandra", "Dina", "Elias", "Farah", "Gustav", "Hana", "Ivan", "Jorge", "Karima", "Lena"];
const LAST = ["Rahman", "Okafor", "Lindgren", "Costa", "Ito", "Novak", "Haddad", "Moreau", "Singh", "Weber", "Diaz"];
const CITIES = ["Dhaka", "Chattogram", "Sylhet", "Khulna", "Rajshahi"];
const PHRASES = [
  "has worked with families of every age for many years", "listens before prescribing",
  "trained in three countries and publishes on daily practice", "leads a weekly clinic for chronic conditions",
  "teaches young colleagues to explain every decision", "is known for short waiting times and long conversations",
];

export async function seed(db) {
  const random = createRandom(20260101);
  const tables = { ...people(random), ...calendar() };
  Object.assign(tables, history(random, tables));
  await db.transaction(async (query) => {
    for (const [table, rows] of Object.entries(inOrder(tables))) await insertAll(query, table, rows);
    await query(`update doctor_schedule s set "isBooked" = true from appointment a
      where a."doctorId" = s."doctorId" and a."scheduleId" = s."scheduleId"`);
    await query(`update doctor d set "averageRating" = r.average from
      (select "doctorId", round(avg(rating), 2)::float8 average from review group by 1) r where r."doctorId" = d.id`);
  });
}

const at = (minutes) => new Date(EPOCH + minutes * 60_000).toISOString();

function people(random) {
  const passwordHash = hashPassword(PASSWORD);
  const users = [];
  const person = (email, role, i) => {
    const times = { createdAt: at(i), updatedAt: at(i) };
    users.push({ id: random.uuid(), email, passwordHash, role, status: "ACTIVE", needPasswordChange: true, ...times });
    return { id: random.uuid(), email, name: `${random.pick(FIRST)} ${random.pick(LAST)}`, ...times };
  };
  const admin = ["super", "admin"].map((name, i) =>
    person(`${name}@clinic.example`, name === "super" ? "SUPER_ADMIN" : "ADMIN", i));
  const doctor = Array.from({ length: DOCTORS }, (_, i) =>
    doctorRow(random, person(`doctor${i + 1}@clinic.example`, "DOCTOR", i), i));
  const patient = Array.from({ length: PATIENTS }, (_, i) => ({
    ...person(`patient${i + 1}@clinic.example`, "PATIENT", i),
    contactNumber: `018${String(10_000_000 + i)}`,
    address: random.pick(CITIES),
    bloodGroup: random.pick(["A+", "B+", "O+", "AB+", "O-"]),
    isDeleted: false,
  }));
  const specialty = [...TITLES, UNUSED_TITLE].map((title, i) => ({
    id: random.uuid(), title, icon: `/icons/${i}.svg`, createdAt: at(i), updatedAt: at(i),
  }));
  const doctor_specialty = doctor.flatMap(({ id }, i) =>
    [i, i + 5].map((n) => ({ doctorId: id, specialtyId: specialty[n % TITLES.length].id })));
  return { user: users, admin, doctor, patient, specialty, doctor_specialty };
}

function doctorRow(random, person, i) {
  return {
    ...person,
    contactNumber: `017${String(10_000_000 + i)}`,
    address: random.pick(CITIES),
    gender: random.pick(["MALE", "FEMALE"]),
    registrationNumber: `REG-${1000 + i}`,
    experience: random.below(35),
    appointmentFee: 300 + 50 * random.below(20),
    qualification: random.pick(["MBBS", "MBBS, FCPS", "MD", "MBBS, MRCP"]),
    designation: random.pick(["Consultant", "Professor", "Registrar"]),
    currentWorkingPlace: `${random.pick(CITIES)} General Hospital`,
    // Long enough that 300 doctors make an answer above 1.5 MB.
    bio: Array.from({ length: 60 }, () => `${person.name} ${random.pick(PHRASES)}.`).join(" "),
    averageRating: 0,
    isDeleted: false,
  };
}

function calendar() {
  const schedule = Array.from({ length: SLOTS }, (_, i) => ({
    id: `slot-${String(i + 1).padStart(3, "0")}`,
    startDateTime: new Date(FIRST_SLOT + i * HALF_HOUR).toISOString(),
    endDateTime: new Date(FIRST_SLOT + (i + 1) * HALF_HOUR).toISOString(),
  }));
  return { schedule };
}

function history(random, { doctor, patient, schedule }) {
  // 37 and the number of slots share no factor, so a doctor's slots differ.
  const slot = (d, k) => schedule[(d * 7 + k * 37) % SLOTS].id;
  const doctor_schedule = doctor.flatMap(({ id }, d) =>
    Array.from({ length: SLOTS_PER_DOCTOR }, (_, k) => ({ doctorId: id, scheduleId: slot(d, k), isBooked: false })));
  const rows = { doctor_schedule, appointment: [], payment: [], prescription: [], review: [] };
  for (let i = 0; i < APPOINTMENTS; i++) {
    const d = i % DOCTORS;
    addAppointment(random, rows, i, {
      doctor: doctor[d],
      patient: patient[(i * 3) % PATIENTS],
      scheduleId: slot(d, Math.floor(i / DOCTORS)),
    });
  }
  return rows;
}

function addAppointment(random, rows, i, { doctor, patient, scheduleId }) {
  const appointmentId = random.uuid();
  const paymentStatus = i < PAID ? "PAID" : "UNPAID";
  const link = { patientId: patient.id, doctorId: doctor.id };
  const createdAt = at(1000 + i);
  rows.appointment.push({
    id: appointmentId, ...link, scheduleId, videoCallingId: random.uuid(),
    status: i < COMPLETED ? "COMPLETED" : "SCHEDULED", paymentStatus, createdAt, updatedAt: createdAt,
  });
  rows.payment.push({
    id: random.uuid(), appointmentId, amount: doctor.appointmentFee, transactionId: `TX-${i}`, status: paymentStatus,
  });
  if (i >= REVIEWED) return;
  rows.prescription.push({
    id: random.uuid(), appointmentId, instructions: "Twice a day after meals", followUpDate: null, createdAt,
  });
  rows.review.push({
    id: random.uuid(), appointmentId, ...link, rating: 1 + random.below(5), comment: `Visit ${i + 1}`, createdAt,
  });
}

// Foreign keys decide the order of insertion.
function inOrder({ user, admin, doctor, patient, specialty, doctor_specialty, schedule, ...rest }) {
  return { user, admin, doctor, patient, specialty, doctor_specialty, schedule, ...rest };
}
