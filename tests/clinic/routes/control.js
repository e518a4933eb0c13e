// For tests only, outside the API and not counted: counters, tokens, useful ids, the cron job, the model's mood.

import { Router } from "express";
import { cancelUnpaid } from "../booking.js";
import { PASSWORD } from "../seed.js";
import { signature } from "./webhook.js";

const CRON_MINUTES = 30;
const AI_MODES = ["ok", "fallback", "empty"];

export default function control({ db, counts, auth, ai, settings }) {
  const router = Router();
  router.get("/counts", (_req, res) => res.json(counts));
  router.post("/reset-counts", (_req, res) => {
    Object.assign(counts, { queries: 0, requests: {}, routes: {} });
    res.json(counts);
  });
  router.post("/ai", ({ body }, res) => {
    if (!AI_MODES.includes(body?.mode)) return res.status(400).json({ error: `mode is one of ${AI_MODES.join(", ")}` });
    ai.mode = body.mode;
    res.json(ai);
  });
  // `ttl` in seconds, negative for a token that has expired.
  router.get("/token", ({ query }, res) => {
    const { email = "admin@clinic.example", role = "ADMIN", ttl = "3600" } = query;
    res.json({ token: auth.sign(email, role, Number(ttl)) });
  });
  router.post("/sign", ({ body }, res) => {
    const payload = JSON.stringify(body);
    res.json({ payload, signature: signature(payload, settings.webhookSecret) });
  });
  router.post("/cron", async ({ body }, res) => {
    const minutes = body?.olderThanMinutes ?? CRON_MINUTES;
    res.json({ canceled: await db.transaction((query) => cancelUnpaid(query, minutes)) });
  });
  router.get("/seed", async (_req, res) => {
    const queries = counts.queries;
    res.json(await usefulIds(db, auth));
    counts.queries = queries;
  });
  return router;
}

async function usefulIds(db, auth) {
  const person = async (table, role, email) => ({
    ...(await db.one(`select p.id, u.id "userId", u.email, p.name from ${table} p join "user" u using (email)
      where email = $1`, [email])),
    role,
    password: PASSWORD,
    token: auth.sign(email, role, 3600),
  });
  const visit = `select a.id, a."doctorId", a."scheduleId", d.email "doctorEmail", p.email "patientEmail" from appointment a
    join doctor d on d.id = a."doctorId" join patient p on p.id = a."patientId" where not d."isDeleted" and`;
  const doctor = await person("doctor", "DOCTOR", "doctor1@clinic.example");
  const otherDoctor = await person("doctor", "DOCTOR", "doctor2@clinic.example");
  const freeSlots = ({ id }) => ids(db, `select "scheduleId" id from doctor_schedule
    where "doctorId" = $1 and not "isBooked" order by 1`, [id]);
  return {
    doctor,
    otherDoctor,
    patient: await person("patient", "PATIENT", "patient1@clinic.example"),
    otherPatient: await person("patient", "PATIENT", "patient2@clinic.example"),
    admin: await person("admin", "ADMIN", "admin@clinic.example"),
    superAdmin: await person("admin", "SUPER_ADMIN", "super@clinic.example"),
    freeSlots: await freeSlots(doctor),
    otherFreeSlots: await freeSlots(otherDoctor),
    slotsNotOffered: await ids(db, `select id from schedule where id not in
      (select "scheduleId" from doctor_schedule where "doctorId" = $1) order by 1 limit 20`, [doctor.id]),
    specialty: await db.one(`select id, title from specialty where title = 'Cardiology'`),
    unusedSpecialty: await db.one(`select id, title from specialty s where not exists
      (select from doctor_specialty x where x."specialtyId" = s.id) order by "createdAt" limit 1`),
    unpaidAppointment: await db.one(`${visit} a."paymentStatus" = 'UNPAID' and a.status = 'SCHEDULED' order by a."createdAt" limit 1`),
    paidAppointment: await db.one(`${visit} a."paymentStatus" = 'PAID' and a.status = 'SCHEDULED' order by a."createdAt" limit 1`),
    unreviewedAppointment: await db.one(`${visit} a.status = 'COMPLETED' and not exists
      (select from review r where r."appointmentId" = a.id) order by a."createdAt" limit 1`),
  };
}

const ids = async (db, sql, params) => (await db.query(sql, params)).map(({ id }) => id);
