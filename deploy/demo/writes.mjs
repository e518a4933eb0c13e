// The writes of the demo, and the reads that each must make fresh.

const LISTS = ["doctor list", "doctor details"];
const VISITS = ["my appointments", "doctor's appointments", "all appointments"];
const DASHBOARDS = ["dashboard (patient)", "dashboard (doctor)", "dashboard (admin)"];
const PATIENT = ["patient profile", "my profile (patient)", "account (auth/me)", ...VISITS, "reviews"];
const DOCTOR = [...LISTS, "my profile (doctor)", ...VISITS, "reviews"];

/** Each: `{ name, fresh, request }`; `request` may use `made`, the data that earlier answers carried, by name. */
export function createWrites({ doctor, patient, otherPatient, admin, freeSlots, slotsNotOffered }, made, sign) {
  const api = (method, path, user, body) => ({ method, path: `/api/v1${path}`, token: user.token, body });
  return [
    {
      name: "book an appointment", fresh: [...LISTS, ...VISITS, ...DASHBOARDS],
      request: () => api("POST", "/appointment", patient, { doctorId: doctor.id, scheduleId: freeSlots[0] }),
    },
    {
      name: "pay (webhook)", fresh: [...VISITS, ...DASHBOARDS],
      request: () => sign(made["book an appointment"].id),
    },
    {
      name: "begin the visit", fresh: [...VISITS, ...DASHBOARDS],
      request: () => api("PATCH", `/appointment/status/${made["book an appointment"].id}`, doctor, { status: "INPROGRESS" }),
    },
    {
      name: "prescribe", fresh: [...VISITS, ...DASHBOARDS],
      request: () => api("POST", "/prescription", doctor,
        { appointmentId: made["book an appointment"].id, instructions: "Rest for a week" }),
    },
    {
      name: "review the doctor", fresh: [...LISTS, "reviews", ...VISITS, ...DASHBOARDS, "my profile (doctor)"],
      request: () => api("POST", "/review", patient,
        { appointmentId: made["book an appointment"].id, rating: 5, comment: "Listens well" }),
    },
    {
      name: "change a doctor", fresh: DOCTOR,
      request: () => api("PATCH", `/doctor/${doctor.id}`, admin, { name: "Dr Renamed" }),
    },
    {
      name: "change my profile", fresh: PATIENT,
      request: () => api("PATCH", "/user/update-my-profile", patient, { name: "Patient Renamed" }),
    },
    {
      name: "offer a slot", fresh: LISTS,
      request: () => api("POST", "/doctor-schedule", doctor, { scheduleIds: [slotsNotOffered[0]] }),
    },
    {
      name: "create a specialty", fresh: ["specialty list", "doctor list"],
      request: () => api("POST", "/specialties", admin, { title: "Allergology" }),
    },
    {
      name: "create a doctor", fresh: ["newest doctors", "dashboard (admin)"],
      request: () => api("POST", "/user/create-doctor", admin,
        { password: "demo", doctor: { email: "new@clinic.example", name: "Dr New" } }),
    },
    {
      name: "change a password", fresh: ["my profile (patient)", "account (auth/me)"],
      request: () => api("POST", "/auth/change-password", patient, { oldPassword: patient.password, newPassword: "demo" }),
    },
    {
      name: "remove a patient", fresh: ["other patient"],
      request: () => api("DELETE", `/patient/soft/${otherPatient.id}`, admin),
    },
    {
      name: "remove a doctor", fresh: [...LISTS, ...VISITS, "reviews", "AI suggestion"],
      request: () => api("DELETE", `/doctor/soft/${doctor.id}`, admin),
    },
  ];
}
