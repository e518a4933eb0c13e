// Users of every role: creation by admins, their own profile, their status.

import { randomUUID } from "node:crypto";
import { ADMINS, EVERYONE, PUBLIC } from "../api.js";
import { hashPassword } from "../auth.js";
import { insertAll, update } from "../db.js";
import { profile } from "../profile.js";
import { DOCTOR_FIELDS } from "./doctors.js";
import { PATIENT_FIELDS } from "./patients.js";

const STATUSES = ["ACTIVE", "BLOCKED", "DELETED"];
const ADMIN_FIELDS = ["name", "contactNumber"];
const FIELDS = { DOCTOR: DOCTOR_FIELDS, PATIENT: PATIENT_FIELDS, ADMIN: ADMIN_FIELDS, SUPER_ADMIN: ADMIN_FIELDS };
const TABLES = { DOCTOR: "doctor", PATIENT: "patient", ADMIN: "admin", SUPER_ADMIN: "admin" };

export default function register(api, { db }) {
  api("GET /user/me", EVERYONE, async ({ user }) => ({
    message: "My profile data fetched!",
    data: await profile(db, user),
  }));

  api("PATCH /user/update-my-profile", EVERYONE, async ({ user, body }) => ({
    message: "My profile updated!",
    data: await update(db.query, TABLES[user.role], "email", user.email, body, FIELDS[user.role]),
  }));

  api("PATCH /user/:id/status", ADMINS, async ({ params, body }) => {
    if (!STATUSES.includes(body.status)) throw new Error(`Invalid status ${body.status}`);
    const { passwordHash: _, ...data } = await update(db.query, "user", "id", params.id, body, ["status"]);
    return { message: "Users profile status changed!", data };
  });

  api("POST /user/create-doctor", ADMINS, create(db, "DOCTOR"));
  api("POST /user/create-admin", ADMINS, create(db, "ADMIN"));
  api("POST /user/create-patient", PUBLIC, create(db, "PATIENT"));
}

// The body is `{ password, doctor: { email, name, … } }`, the second name being the role's.
function create(db, role) {
  const table = TABLES[role];
  return async ({ body }) => {
    const { email, name, specialties = [], ...rest } = body[table] ?? {};
    if (!email || !name || !body.password) throw new Error(`A ${table} needs an email, a name and a password`);
    const allowed = Object.entries(rest).filter(([field]) => FIELDS[role].includes(field));
    const defaults = role === "DOCTOR" ? newDoctor() : {};
    const row = { id: randomUUID(), email, name, ...defaults, ...Object.fromEntries(allowed) };
    await db.transaction(async (query) => {
      await insertAll(query, "user", [newUser(email, body.password, role)]);
      await insertAll(query, table, [withTimes(row)]);
      await insertAll(query, "doctor_specialty", specialties.map((id) => ({ doctorId: row.id, specialtyId: id })));
    });
    return { status: 201, message: `${table} created successfully!`, data: row };
  };
}

function withTimes(row) {
  const now = new Date().toISOString();
  return { ...row, createdAt: now, updatedAt: now };
}

function newUser(email, password, role) {
  const passwordHash = hashPassword(password);
  return withTimes({ id: randomUUID(), email, passwordHash, role, status: "ACTIVE", needPasswordChange: true });
}

const newDoctor = () => ({
  contactNumber: "01700000000", address: "Dhaka", gender: "FEMALE", registrationNumber: `REG-${randomUUID()}`,
  experience: 0, appointmentFee: 500, qualification: "MBBS", designation: "Consultant",
  currentWorkingPlace: "Clinic", bio: "", averageRating: 0, isDeleted: false,
});
