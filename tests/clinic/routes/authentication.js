// Login, tokens, passwords. Tokens travel in cookies as well as in the answer.

import { EVERYONE, PUBLIC } from "../api.js";
import { hashPassword } from "../auth.js";
import { profile } from "../profile.js";

export default function register(api, { db, auth }) {
  api("POST /auth/login", PUBLIC, async ({ body }, res) => {
    const user = await db.one(`select * from "user" where email = $1 and status = 'ACTIVE'`, [body?.email]);
    if (!user || user.passwordHash !== hashPassword(body.password)) throw new Error("Password incorrect!");
    const { accessToken } = auth.setCookies(res, user);
    return { message: "Logged in successfully!", data: { accessToken, needPasswordChange: user.needPasswordChange } };
  });

  api("POST /auth/refresh-token", PUBLIC, async ({ cookies }, res) => {
    const user = auth.verify(cookies.refreshToken);
    auth.setCookies(res, user);
    return { message: "Access token generated successfully!", data: null };
  });

  api("POST /auth/logout", PUBLIC, async (_req, res) => {
    res.clearCookie("accessToken").clearCookie("refreshToken");
    return { message: "Logged out successfully!", data: null };
  });

  // Reads the cookie only, unlike every other route.
  api("GET /auth/me", PUBLIC, async ({ cookies }) => ({
    message: "User retrieved successfully",
    data: await profile(db, auth.verify(cookies.accessToken)),
  }));

  api("POST /auth/change-password", EVERYONE, async ({ user, body }) => {
    const changed = await db.one(
      `update "user" set "passwordHash" = $3, "needPasswordChange" = false, "updatedAt" = now()
        where email = $1 and "passwordHash" = $2 returning email`,
      [user.email, hashPassword(body.oldPassword), hashPassword(body.newPassword)]);
    if (!changed) throw new Error("Password incorrect!");
    return { message: "Password changed successfully", data: { message: "Password changed successfully" } };
  });
}
