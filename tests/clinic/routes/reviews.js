// Reviews: the list, and a patient's new one, which changes the doctor's rating.

import { randomUUID } from "node:crypto";
import { PUBLIC } from "../api.js";
import { conditions, paging } from "../paging.js";

const FROM = `from review r join doctor d on d.id = r."doctorId" join patient p on p.id = r."patientId"`;
const DOCTOR = `json_build_object('id', d.id, 'name', d.name, 'email', d.email, 'designation', d.designation,
  'averageRating', d."averageRating", 'isDeleted', d."isDeleted") doctor`;
const PATIENT = `json_build_object('id', p.id, 'name', p.name, 'email', p.email, 'isDeleted', p."isDeleted") patient`;

export default function register(api, { db }) {
  api("GET /review", PUBLIC, async ({ query }) => {
    const where = conditions();
    where.add((p) => `p.email = ${p}`, query.patientEmail);
    where.add((p) => `d.email = ${p}`, query.doctorEmail);
    const { page, limit, sql } = paging(query, ["createdAt", "rating"]);
    const totals = `select count(*)::int total, round(avg(rating), 2)::float8 "averageRating" ${FROM} ${where.sql}`;
    const meta = await db.one(totals, where.params);
    const data = await db.query(
      `select * from (select r.*, ${DOCTOR}, ${PATIENT} ${FROM} ${where.sql}) listed ${sql}`, where.params);
    return { message: "Reviews retrieval successfully", meta: { ...meta, page, limit }, data };
  });

  api("POST /review", ["PATIENT"], async ({ user, body }) => ({
    message: "Review created successfully",
    data: await db.transaction((query) => review(query, user.email, body)),
  }));
}

async function review(query, email, { appointmentId, rating, comment = "" }) {
  if (!(rating >= 1 && rating <= 5)) throw new Error("A rating is a number from 1 to 5");
  const [visit] = await query(
    `select a.* from appointment a join patient p on p.id = a."patientId" where a.id = $1 and p.email = $2`,
    [appointmentId, email]);
  if (!visit) throw new Error("This is not your appointment!");
  const [created] = await query(
    `insert into review (id, "appointmentId", "patientId", "doctorId", rating, comment)
      values ($1, $2, $3, $4, $5, $6) returning *`,
    [randomUUID(), visit.id, visit.patientId, visit.doctorId, Math.round(rating), comment]);
  await query(
    `update doctor set "averageRating" = (select round(avg(rating), 2)::float8 from review where "doctorId" = $1)
      where id = $1`, [visit.doctorId]);
  return created;
}
