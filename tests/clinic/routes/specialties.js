// Specialties: the list, and changes to those that no doctor carries.

import { randomUUID } from "node:crypto";
import { ADMINS, PUBLIC } from "../api.js";
import { update } from "../db.js";
import { paging } from "../paging.js";

export default function register(api, { db }) {
  api("GET /specialties", PUBLIC, async ({ query }) => {
    const { page, limit, sql } = paging(query, ["createdAt", "title"]);
    const { total } = await db.one(`select count(*)::int total from specialty`);
    const data = await db.query(`select * from specialty ${sql}`);
    return { message: "Specialties data fetched successfully", meta: { total, page, limit }, data };
  });

  api("POST /specialties", ADMINS, async ({ body }) => ({
    status: 201,
    message: "Specialties created successfully!",
    data: await db.one(`insert into specialty (id, title, icon) values ($1, $2, $3) returning *`, [
      randomUUID(), body.title, body.icon ?? "/icons/new.svg",
    ]),
  }));

  // Doctors carry titles, so a title in use stays; an icon may always change.
  api("PATCH /specialties/:id", ADMINS, async ({ params, body }) => {
    const used = await db.one(`select from doctor_specialty where "specialtyId" = $1`, [params.id]);
    if (used && body.title !== undefined) throw new Error("A specialty in use cannot be renamed");
    const data = await update(db.query, "specialty", "id", params.id, body, ["title", "icon"]);
    return { message: "Specialty updated successfully", data };
  });

  api("DELETE /specialties/:id", ADMINS, async ({ params }) => {
    const data = await db.one(`delete from specialty where id = $1 returning *`, [params.id]);
    if (!data) throw new Error("No specialty found");
    return { message: "Specialty deleted successfully", data };
  });
}
