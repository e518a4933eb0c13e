// A doctor's slots: which there are, offering some, taking one back.

import { PUBLIC } from "../api.js";
import { conditions, paging } from "../paging.js";

const FROM = `from doctor_schedule x join schedule s on s.id = x."scheduleId" join doctor d on d.id = x."doctorId"`;
const COLUMNS = `x.*, s."startDateTime", s."endDateTime"`;
const ORDER = `"startDateTime" asc, "doctorId" asc`;

export default function register(api, { db }) {
  api("GET /schedule", ["DOCTOR"], async ({ query }) => {
    const { page, limit, sql } = paging(query, ["startDateTime"], `"startDateTime" asc`);
    return { message: "Schedules retrieval successfully", meta: { page, limit }, data: await db.query(`select * from schedule ${sql}`) };
  });

  const slots = async (query, email) => {
    const where = conditions();
    where.add((p) => `x."doctorId" = ${p}`, query.doctorId);
    where.add((p) => `x."isBooked" = ${p}`, query.isBooked);
    where.add((p) => `d.email = ${p}`, email);
    const { page, limit, sql } = paging(query, ["startDateTime"], ORDER);
    const { total } = await db.one(`select count(*)::int total ${FROM} ${where.sql}`, where.params);
    const data = await db.query(`select ${COLUMNS} ${FROM} ${where.sql} ${sql}`, where.params);
    return { message: "Doctor schedules retrieval successfully", meta: { total, page, limit }, data };
  };
  api("GET /doctor-schedule", PUBLIC, ({ query }) => slots(query));
  api("GET /doctor-schedule/my-schedule", ["DOCTOR"], ({ user, query }) => slots(query, user.email));

  api("POST /doctor-schedule", ["DOCTOR"], async ({ user, body }) => ({
    message: "Doctor schedule created successfully!",
    data: await db.query(
      `insert into doctor_schedule ("doctorId", "scheduleId")
        select d.id, unnest($2::text[]) from doctor d where d.email = $1 returning *`, [user.email, body.scheduleIds]),
  }));

  api("DELETE /doctor-schedule/:id", ["DOCTOR"], async ({ user, params }) => {
    const data = await db.one(
      `delete from doctor_schedule x using doctor d
        where x."doctorId" = d.id and d.email = $1 and x."scheduleId" = $2 and not x."isBooked" returning x.*`,
      [user.email, params.id]);
    if (!data) throw new Error("You can not delete a booked or unknown slot!");
    return { message: "My schedule deleted successfully", data };
  });
}
