// Appointments: lists per caller, booking, payment, status.

import { ADMINS } from "../api.js";
import { book, initiatePayment } from "../booking.js";
import { conditions, paging } from "../paging.js";

const STATUSES = ["SCHEDULED", "INPROGRESS", "COMPLETED", "CANCELED"];
const FROM = `from appointment a join doctor d on d.id = a."doctorId" join patient p on p.id = a."patientId"
  join schedule s on s.id = a."scheduleId" left join payment y on y."appointmentId" = a.id
  left join prescription x on x."appointmentId" = a.id left join review r on r."appointmentId" = a.id`;
const COLUMNS = `a.*, row_to_json(s) schedule, row_to_json(y) payment, row_to_json(x) prescription,
  json_build_object('id', d.id, 'name', d.name, 'email', d.email, 'designation', d.designation,
    'contactNumber', d."contactNumber", 'appointmentFee', d."appointmentFee", 'bio', left(d.bio, 80),
    'experience', d.experience, 'averageRating', d."averageRating", 'isDeleted', d."isDeleted") doctor,
  row_to_json(p) patient, case when r.id is null then null else json_build_object('rating', r.rating) end review`;

export default function register(api, { db }) {
  api("GET /appointment/my-appointment", ["PATIENT", "DOCTOR"], async ({ user, query }) => {
    const where = filter(query);
    where.add((p) => `${user.role === "DOCTOR" ? "d" : "p"}.email = ${p}`, user.email);
    return { message: "My Appointment retrieve successfully", ...(await list(db, where, query)) };
  });

  api("GET /appointment", ADMINS, async ({ query }) => {
    const where = filter(query);
    where.add((p) => `p.email = ${p}`, query.patientEmail);
    where.add((p) => `d.email = ${p}`, query.doctorEmail);
    return { message: "Appointment retrieval successfully", ...(await list(db, where, query)) };
  });

  api("POST /appointment", ["PATIENT"], async ({ user, body }) => {
    const appointment = await db.transaction((query) => book(query, user.email, body));
    return { message: "Appointment booked successfully!", data: { ...appointment, ...initiatePayment(appointment) } };
  });

  api("POST /appointment/pay-later", ["PATIENT"], async ({ user, body }) => ({
    message: "Appointment booked successfully! You can pay later.",
    data: await db.transaction((query) => book(query, user.email, body)),
  }));

  api("POST /appointment/:id/initiate-payment", ["PATIENT"], async ({ user, params }) => {
    const appointment = await db.one(
      `select a.id from appointment a join patient p on p.id = a."patientId"
        where a.id = $1 and p.email = $2 and a."paymentStatus" = 'UNPAID'`, [params.id, user.email]);
    if (!appointment) throw new Error("Nothing to pay");
    return { message: "Payment session created successfully", data: initiatePayment(appointment) };
  });

  api("PATCH /appointment/status/:id", [...ADMINS, "DOCTOR"], async ({ user, params, body }) => {
    if (!STATUSES.includes(body.status)) throw new Error(`Invalid status ${body.status}`);
    const data = await db.one(
      `update appointment a set status = $2, "updatedAt" = now() from doctor d
        where a.id = $1 and d.id = a."doctorId" and ($3 <> 'DOCTOR' or d.email = $4) returning a.*`,
      [params.id, body.status, user.role, user.email]);
    if (!data) throw new Error("This is not your appointment!");
    return { message: "Appointment status changed successfully", data };
  });
}

function filter(query) {
  const where = conditions();
  where.add((p) => `a.status = ${p}`, query.status);
  where.add((p) => `a."paymentStatus" = ${p}`, query.paymentStatus);
  return where;
}

async function list(db, where, query) {
  const { page, limit, sql } = paging(query, ["createdAt", "updatedAt", "status", "paymentStatus"]);
  const { total } = await db.one(`select count(*)::int total ${FROM} ${where.sql}`, where.params);
  const data = await db.query(`select * from (select ${COLUMNS} ${FROM} ${where.sql}) listed ${sql}`, where.params);
  return { meta: { total, page, limit }, data };
}
