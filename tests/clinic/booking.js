// What books, pays for and cancels an appointment; shared by the routes, the webhook and the cron job.

import { randomUUID } from "node:crypto";

/** Marks the slot booked and makes an unpaid appointment; throws where the slot is not free. */
export async function book(query, email, { doctorId, scheduleId }) {
  const [slot] = await query(
    `update doctor_schedule x set "isBooked" = true from doctor d
      where x."doctorId" = $1 and x."scheduleId" = $2 and not x."isBooked" and d.id = $1 and not d."isDeleted"
      returning d."appointmentFee"`, [doctorId, scheduleId]);
  if (!slot) throw new Error("This slot is not available");
  const [appointment] = await query(
    `insert into appointment (id, "patientId", "doctorId", "scheduleId", "videoCallingId")
      select $1, p.id, $3, $4, $5 from patient p where p.email = $2 and not p."isDeleted" returning *`,
    [randomUUID(), email, doctorId, scheduleId, randomUUID()]);
  if (!appointment) throw new Error("No patient found");
  await query(`insert into payment (id, "appointmentId", amount, "transactionId") values ($1, $2, $3, $4)`,
    [randomUUID(), appointment.id, slot.appointmentFee, randomUUID()]);
  return appointment;
}

export const initiatePayment = ({ id }) => ({ paymentUrl: `https://checkout.example/pay/${id}` });

export async function markPaid(query, appointmentId) {
  await query(`update appointment set "paymentStatus" = 'PAID', "updatedAt" = now() where id = $1`, [appointmentId]);
  await query(`update payment set status = 'PAID' where "appointmentId" = $1`, [appointmentId]);
}

/** Cancels what stayed unpaid for `minutes` and frees the slots; gives the ids. */
export async function cancelUnpaid(query, minutes) {
  const canceled = await query(
    `update appointment set status = 'CANCELED', "updatedAt" = now()
      where "paymentStatus" = 'UNPAID' and status = 'SCHEDULED' and "createdAt" <= now() - make_interval(mins => $1)
      returning id, "doctorId", "scheduleId"`, [minutes]);
  await query(
    `update doctor_schedule x set "isBooked" = false from appointment a
      where a.id = any($1) and a."doctorId" = x."doctorId" and a."scheduleId" = x."scheduleId"`,
    [canceled.map(({ id }) => id)]);
  return canceled.map(({ id }) => id);
}
