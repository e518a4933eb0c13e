// The reads whose answers are compared before and after each write, grouped by what they show.

/** Each read: `[group, method, path, { as, headers, body }]`. */
export function reads({ doctor, otherDoctor, patient, otherPatient, admin, superAdmin }) {
  const people = [doctor, otherDoctor, patient, otherPatient, admin, superAdmin];
  const get = (group, paths, options) => paths.map((path) => [group, "GET", `/api/v1/${path}`, options]);
  const suggest = (symptoms) => ["ai", "POST", "/api/v1/doctor/suggestion", { body: { symptoms } }];
  return [
    ...get("doctor lists", [
      "doctor", "doctor?limit=50&sortBy=createdAt&sortOrder=asc", "doctor?limit=5&sortBy=createdAt&sortOrder=desc",
      "doctor?specialties=Cardiology&limit=100&sortBy=createdAt&sortOrder=asc", `doctor?email=${doctor.email}`,
    ]),
    ...get("doctor details", [`doctor/${doctor.id}`, `doctor/${otherDoctor.id}`]),
    ...get("specialties", ["specialties?limit=100&sortBy=createdAt&sortOrder=asc", "specialties"]),
    ...get("reviews", [
      "review?limit=5", `review?doctorEmail=${doctor.email}`, `review?doctorEmail=${otherDoctor.email}`,
      `review?patientEmail=${patient.email}`, `review?patientEmail=${otherPatient.email}`,
    ]),
    ...get("patient", [`patient/${patient.id}`, `patient/${otherPatient.id}`]),
    ...people.flatMap(({ token }) => [
      ...get("profiles", ["user/me"], { as: token }),
      ...get("profiles", ["auth/me"], { headers: { cookie: `accessToken=${token}` } }),
      ...get("dashboards", ["meta"], { as: token }),
    ]),
    ...people.slice(0, 4).flatMap(({ token }) =>
      get("appointments", ["appointment/my-appointment?limit=50&sortBy=createdAt&sortOrder=asc"], { as: token })),
    ...[admin, superAdmin].flatMap(({ token }) => get("appointments",
      ["appointment?limit=700&sortBy=createdAt&sortOrder=asc", "appointment?status=SCHEDULED"], { as: token })),
    ...get("slots", [`doctor-schedule?doctorId=${doctor.id}&limit=100`, "doctor-schedule"]),
    ...get("prescriptions", ["prescription?limit=5"], { as: admin.token }),
    suggest("chest pain"),
    suggest("a rash on the skin"),
  ];
}

/** Path and caller → body, for every read. */
export async function snapshot(call, list) {
  const taken = new Map();
  for (const [i, [group, method, path, options]] of list.entries()) {
    const { text } = await call(method, path, options);
    taken.set(i, { group, path, text });
  }
  return taken;
}

/** The groups in which at least one answer differs, sorted. */
export function changedGroups(before, after) {
  const changed = [...after].filter(([i, { text }]) => before.get(i).text !== text);
  return [...new Set(changed.map(([, { group }]) => group))].sort();
}
