// Dashboards: one answer for all admins of a role, one per doctor and per patient.

import { EVERYONE } from "../api.js";

const BY_STATUS = `select coalesce(json_object_agg(status, n order by status), '{}') statuses
  from (select status, count(*)::int n from appointment a`;

export default function register(api, { db }) {
  const dashboards = { SUPER_ADMIN: admin, ADMIN: admin, DOCTOR: doctor, PATIENT: patient };
  api("GET /meta", EVERYONE, async ({ user }) => ({
    message: "Meta data retrieval successfully!",
    data: await dashboards[user.role](db, user.email),
  }));
}

// Deleted doctors and patients are counted still: nothing that happened is taken back.
async function admin(db) {
  const counts = await db.one(`select (select count(*)::int from patient) "patientCount",
    (select count(*)::int from doctor) "doctorCount", (select count(*)::int from admin) "adminCount",
    (select count(*)::int from appointment) "appointmentCount", (select count(*)::int from payment) "paymentCount",
    (select count(*)::int from prescription) "prescriptionCount", (select count(*)::int from review) "reviewCount",
    (select coalesce(sum(amount), 0)::int from payment where status = 'PAID') "totalRevenue"`);
  const months = await db.query(`select date_trunc('month', "createdAt") "month", count(*)::int count
    from appointment group by 1 order by 1`);
  const { statuses } = await db.one(`${BY_STATUS} group by 1) x`);
  return { ...counts, barChartData: months, pieChartData: statuses };
}

async function doctor(db, email) {
  const counts = await db.one(`select count(distinct a.id)::int "appointmentCount", count(distinct r.id)::int "reviewCount",
    count(distinct x.id)::int "prescriptionCount",
    coalesce(sum(y.amount) filter (where y.status = 'PAID'), 0)::int "totalRevenue"
    from doctor d left join appointment a on a."doctorId" = d.id left join payment y on y."appointmentId" = a.id
    left join review r on r."appointmentId" = a.id left join prescription x on x."appointmentId" = a.id
    where d.email = $1`, [email]);
  // Counted over the whole clinic, as the real service does: a booking changes every doctor's dashboard.
  const clinic = await db.one(`select count(distinct "patientId")::int "patientCount",
    count(*)::int "clinicAppointmentCount" from appointment`);
  const { statuses } = await db.one(
    `${BY_STATUS} join doctor d on d.id = a."doctorId" where d.email = $1 group by 1) x`, [email]);
  return { ...counts, ...clinic, statusDistribution: statuses };
}

async function patient(db, email) {
  const counts = await db.one(`select count(a.id)::int "appointmentCount", count(r.id)::int "reviewCount",
    count(x.id)::int "prescriptionCount", count(a.id) filter (where a."paymentStatus" = 'PAID')::int "paidCount"
    from patient p left join appointment a on a."patientId" = p.id
    left join review r on r."appointmentId" = a.id left join prescription x on x."appointmentId" = a.id
    where p.email = $1`, [email]);
  const { statuses } = await db.one(
    `${BY_STATUS} join patient p on p.id = a."patientId" where p.email = $1 group by 1) x`, [email]);
  return { ...counts, statusDistribution: statuses };
}
