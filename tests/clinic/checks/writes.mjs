// Every write of the clinic and the groups of reads that it makes stale: the table the default rules are written for.

const LISTS = ["doctor details", "doctor lists"];
const VISITS = ["appointments", "dashboards"];
const BOOKING = [...LISTS, ...VISITS, "slots"];
const DOCTOR = [...LISTS, "appointments", "profiles", "reviews"];
const PATIENT = ["appointments", "patient", "profiles", "reviews"];
const GONE_DOCTOR = [...LISTS, "ai", "appointments", "reviews"];

/**
 * Each: `[name, stale groups, (seed, world) => [method, path, options]]`. They run in this order, so the ones that
 * remove somebody come last. `world.created` holds what the answer of an earlier write said.
 */
export const WRITES = [
  ["login", [], ({ patient }) => post("/auth/login", { email: patient.email, password: patient.password })],
  ["refresh-token", [], ({ patient }) => ["POST", "/api/v1/auth/refresh-token",
    { headers: { cookie: `refreshToken=${patient.token}` } }]],
  ["logout", [], () => post("/auth/logout")],
  ["AI suggestion", [], () => post("/doctor/suggestion", { symptoms: "cough" })],

  ["book", BOOKING, ({ patient, doctor, freeSlots: [slot] }) =>
    post("/appointment", { doctorId: doctor.id, scheduleId: slot }, patient)],
  ["initiate payment", [], ({ patient }, { created }) => post(`/appointment/${created.book.id}/initiate-payment`, {}, patient)],
  ["pay by webhook", VISITS, (_seed, { created, sign }) => sign(paymentOf(created.book.id))],
  ["book and pay later", BOOKING, ({ patient, doctor, freeSlots: [, slot] }) =>
    post("/appointment/pay-later", { doctorId: doctor.id, scheduleId: slot }, patient)],
  ["change an appointment's status", VISITS, ({ doctor }, { created }) =>
    patch(`/appointment/status/${created.book.id}`, { status: "INPROGRESS" }, doctor)],
  ["prescribe", [...VISITS, "prescriptions"], ({ doctor }, { created }) =>
    post("/prescription", { appointmentId: created.book.id, instructions: "Rest" }, doctor)],
  ["review", [...LISTS, ...VISITS, "profiles", "reviews"], ({ patient }, { created }) =>
    post("/review", { appointmentId: created.book.id, rating: 1, comment: "Waited long" }, patient)],

  ["change a doctor", DOCTOR, ({ admin, doctor }) => patch(`/doctor/${doctor.id}`, { name: "Dr New" }, admin)],
  ["doctor's own profile", DOCTOR, ({ doctor }) => patch("/user/update-my-profile", { name: "Dr Newer" }, doctor)],
  ["change a patient", PATIENT, ({ admin, patient }) => patch(`/patient/${patient.id}`, { name: "P New" }, admin)],
  ["patient's own profile", PATIENT, ({ patient }) => patch("/user/update-my-profile", { name: "P Newer" }, patient)],
  ["offer a slot", [...LISTS, "slots"], ({ doctor, slotsNotOffered: [slot] }) =>
    post("/doctor-schedule", { scheduleIds: [slot] }, doctor)],
  ["withdraw a slot", [...LISTS, "slots"], ({ doctor, slotsNotOffered: [slot] }) =>
    ["DELETE", `/api/v1/doctor-schedule/${slot}`, { as: doctor.token }]],

  ["create a specialty", ["doctor lists", "specialties"], ({ admin }) => post("/specialties", { title: "Allergology" }, admin)],
  ["change a specialty", ["doctor lists", "specialties"], ({ admin, unusedSpecialty }) =>
    patch(`/specialties/${unusedSpecialty.id}`, { title: "Sports" }, admin)],
  ["delete a specialty", ["doctor lists", "specialties"], ({ admin, unusedSpecialty }) =>
    ["DELETE", `/api/v1/specialties/${unusedSpecialty.id}`, { as: admin.token }]],

  ["create a doctor", ["dashboards", "doctor lists"], ({ admin, specialty }) => post("/user/create-doctor",
    { password: "x", doctor: { email: "new.doctor@clinic.example", name: "Dr Young", specialties: [specialty.id] } }, admin)],
  ["create a patient", ["dashboards"], () => post("/user/create-patient",
    { password: "x", patient: { email: "new.patient@clinic.example", name: "P Young" } })],
  ["create an admin", ["dashboards"], ({ admin }) => post("/user/create-admin",
    { password: "x", admin: { email: "new.admin@clinic.example", name: "A Young" } }, admin)],

  ["change a user's status", ["profiles"], ({ admin, otherPatient }) =>
    patch(`/user/${otherPatient.userId}/status`, { status: "BLOCKED" }, admin)],
  ["change a password", ["profiles"], ({ patient }) =>
    post("/auth/change-password", { oldPassword: patient.password, newPassword: "y" }, patient)],

  ["cron job", BOOKING, () => ["POST", "/__clinic/cron", { body: { olderThanMinutes: 0 } }]],
  ["soft delete a patient", ["appointments", "patient", "reviews"], ({ admin, otherPatient }) =>
    ["DELETE", `/api/v1/patient/soft/${otherPatient.id}`, { as: admin.token }]],
  ["soft delete a doctor", GONE_DOCTOR, ({ admin, doctor }) =>
    ["DELETE", `/api/v1/doctor/soft/${doctor.id}`, { as: admin.token }]],
  ["delete a doctor", GONE_DOCTOR, ({ admin, otherDoctor }) =>
    ["DELETE", `/api/v1/doctor/${otherDoctor.id}`, { as: admin.token }]],
];

const send = (method) => (path, body, user) => [method, `/api/v1${path}`, { body: body ?? {}, as: user?.token }];
const post = send("POST");
const patch = send("PATCH");

const paymentOf = (appointmentId) => ({
  type: "checkout.session.completed",
  data: { object: { payment_status: "paid", metadata: { appointmentId } } },
});
