// Prescriptions: a doctor writes one for a paid appointment, which completes it.

import { randomUUID } from "node:crypto";
import { ADMINS } from "../api.js";
import { paging } from "../paging.js";

const FROM = `from prescription x join appointment a on a.id = x."appointmentId" join patient p on p.id = a."patientId"`;

export default function register(api, { db }) {
  api("GET /prescription", ADMINS, async ({ query }) => {
    const { page, limit, sql } = paging(query, ["createdAt"]);
    const data = await db.query(`select * from (select x.*, a."doctorId", a."patientId" ${FROM}) listed ${sql}`);
    return { message: "Prescriptions retrieval successfully", meta: { page, limit }, data };
  });

  api("GET /prescription/my-prescription", ["PATIENT"], async ({ user, query }) => {
    const { page, limit, sql } = paging(query, ["createdAt"]);
    const data = await db.query(`select * from (select x.*, a."doctorId" ${FROM} where p.email = $1) listed ${sql}`,
      [user.email]);
    return { message: "Prescriptions fetched successfully", meta: { page, limit }, data };
  });

  api("POST /prescription", ["DOCTOR"], async ({ user, body }) => ({
    message: "Prescription created successfully",
    data: await db.transaction((query) => prescribe(query, user.email, body)),
  }));
}

async function prescribe(query, email, { appointmentId, instructions, followUpDate = null }) {
  const [completed] = await query(
    `update appointment a set status = 'COMPLETED', "updatedAt" = now() from doctor d
      where a.id = $1 and d.id = a."doctorId" and d.email = $2 and a."paymentStatus" = 'PAID' returning a.id`,
    [appointmentId, email]);
  if (!completed) throw new Error("This is not your paid appointment!");
  const [created] = await query(
    `insert into prescription (id, "appointmentId", instructions, "followUpDate") values ($1, $2, $3, $4) returning *`,
    [randomUUID(), appointmentId, instructions, followUpDate]);
  return created;
}
