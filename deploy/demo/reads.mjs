// The cached reads of the clinic, by the names that the tables print.

/** Name → request. `queries` is filled in when a read is first answered by the clinic. */
export function createReads({ doctor, patient, otherPatient, admin }) {
  const api = (path, token = patient.token) => ({ path: `/api/v1${path}`, token, queries: 0 });
  const asc = "sortBy=createdAt&sortOrder=asc";
  return {
    "doctor list": api(`/doctor?limit=10&${asc}`),
    "newest doctors": api("/doctor?limit=5&sortBy=createdAt&sortOrder=desc"),
    "doctor details": api(`/doctor/${doctor.id}`),
    "specialty list": api(`/specialties?limit=50&${asc}`),
    "reviews": api(`/review?doctorEmail=${encodeURIComponent(doctor.email)}`),
    "patient profile": api(`/patient/${patient.id}`),
    "other patient": api(`/patient/${otherPatient.id}`),
    "my profile (patient)": api("/user/me"),
    "my profile (doctor)": api("/user/me", doctor.token),
    "account (auth/me)": api("/auth/me"),
    "my appointments": api("/appointment/my-appointment?limit=20"),
    "doctor's appointments": api("/appointment/my-appointment?limit=20", doctor.token),
    "all appointments": api("/appointment?limit=20", admin.token),
    "dashboard (patient)": api("/meta"),
    "dashboard (doctor)": api("/meta", doctor.token),
    "dashboard (admin)": api("/meta", admin.token),
    "AI suggestion": { ...api("/doctor/suggestion"), method: "POST", body: { symptoms: "Chest pain" } },
  };
}
