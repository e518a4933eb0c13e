// Patients: one patient (a public route, although personal), changes, removal.

import { ADMINS, EVERYONE, PUBLIC } from "../api.js";
import { update } from "../db.js";

export const PATIENT_FIELDS = ["name", "contactNumber", "address", "bloodGroup"];

export default function register(api, { db }) {
  api("GET /patient/:id", PUBLIC, async ({ params }) => ({
    message: "Patient retrieval successfully",
    data: await db.one(`select * from patient where id = $1 and not "isDeleted"`, [params.id]),
  }));

  api("PATCH /patient/:id", EVERYONE, async ({ params, body }) => ({
    message: "Patient updated successfully",
    data: await update(db.query, "patient", "id", params.id, body, PATIENT_FIELDS),
  }));

  api("DELETE /patient/soft/:id", ADMINS, async ({ params }) => {
    const sql = `update patient set "isDeleted" = true where id = $1 and not "isDeleted" returning *`;
    const data = await db.one(sql, [params.id]);
    if (!data) throw new Error("No patient found");
    return { message: "Patient soft deleted successfully", data };
  });
}
