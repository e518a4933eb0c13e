// Doctors: the list, one doctor, changes, removal.

import { ADMINS, PUBLIC } from "../api.js";
import { update } from "../db.js";
import { conditions, paging } from "../paging.js";

const SORTABLE = ["createdAt", "updatedAt", "name", "email", "experience", "appointmentFee", "averageRating"];
const SEARCHED = ["name", "email", "address", "qualification", "designation"];
export const DOCTOR_FIELDS = [
  "name", "contactNumber", "address", "gender", "experience", "appointmentFee", "qualification", "designation",
  "currentWorkingPlace", "bio",
];

export default function register(api, { db }) {
  api("GET /doctor", PUBLIC, async ({ query }) => {
    const where = filter(query);
    // Without sortBy, ties in the rating leave the order to the database.
    const { page, limit, sql } = paging(query, SORTABLE, `"averageRating" desc`);
    const [{ total }] = await db.query(`select count(*)::int total from doctor d ${where.sql}`, where.params);
    const doctors = await db.query(`select * from doctor d ${where.sql} ${sql}`, where.params);
    const specialties = await db.query(`select id, title, icon from specialty order by title`);
    const data = await withDetails(db, doctors);
    return { message: "Doctors retrieval successfully", meta: { total, page, limit, specialties }, data };
  });

  api("GET /doctor/:id", PUBLIC, async ({ params }) => {
    const doctors = await db.query(`select * from doctor where id = $1 and not "isDeleted"`, [params.id]);
    const [data] = await withDetails(db, doctors);
    if (data) data.reviews = await reviewsOf(db, params.id);
    return { message: "Doctor retrieval successfully", data };
  });

  api("PATCH /doctor/:id", ADMINS, async ({ params, body }) => ({
    message: "Doctor data updated!",
    data: await update(db.query, "doctor", "id", params.id, body, DOCTOR_FIELDS),
  }));

  // Appointments and payments refer to a doctor for ever, so both ways of deleting only mark the row.
  for (const path of ["/doctor/soft/:id", "/doctor/:id"]) {
    api(`DELETE ${path}`, ADMINS, async ({ params }) => {
      const sql = `update doctor set "isDeleted" = true where id = $1 and not "isDeleted" returning *`;
      const data = await db.one(sql, [params.id]);
      if (!data) throw new Error("No doctor found");
      return { message: "Doctor deleted successfully", data };
    });
  }
}

function filter(query) {
  const where = conditions();
  where.add((p) => `"isDeleted" = ${p}`, false);
  const text = (value) => (value ? `%${value}%` : undefined);
  where.add((p) => `(${SEARCHED.map((name) => `${name} ilike ${p}`).join(" or ")} or ${carries(`ilike ${p}`)})`,
    text(query.searchTerm));
  for (const name of ["email", "contactNumber", "gender"]) where.add((p) => `"${name}" = ${p}`, query[name]);
  // One name or several; several mean any of them.
  const titles = query.specialties && [query.specialties].flat().map((title) => title.toLowerCase());
  where.add((p) => carries(`= any(${p})`, "lower(s.title)"), titles);
  return where;
}

const carries = (condition, title = "s.title") =>
  `exists (select from doctor_specialty x join specialty s on s.id = x."specialtyId"
    where x."doctorId" = d.id and ${title} ${condition})`;

async function withDetails(db, doctors) {
  if (doctors.length === 0) return [];
  const ids = [doctors.map((doctor) => doctor.id)];
  const specialties = await db.query(
    `select x."doctorId", s.id, s.title from doctor_specialty x join specialty s on s.id = x."specialtyId"
      where x."doctorId" = any($1) order by s.title`, ids);
  const slots = await db.query(
    `select x."doctorId", x."scheduleId", x."isBooked", s."startDateTime", s."endDateTime"
      from doctor_schedule x join schedule s on s.id = x."scheduleId"
      where x."doctorId" = any($1) order by s."startDateTime"`, ids);
  const specialtiesOf = byDoctor(specialties);
  const slotsOf = byDoctor(slots);
  return doctors.map((doctor) => ({
    ...doctor,
    doctorSpecialties: (specialtiesOf.get(doctor.id) ?? []).map(({ id, title }) => ({ id, title })),
    doctorSchedules: slotsOf.get(doctor.id) ?? [],
  }));
}

function byDoctor(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.doctorId)) groups.set(row.doctorId, []);
    groups.get(row.doctorId).push(row);
  }
  return groups;
}

const reviewsOf = (db, doctorId) =>
  db.query(`select id, rating, comment, "createdAt" from review where "doctorId" = $1 order by "createdAt" desc, id`,
    [doctorId]);
