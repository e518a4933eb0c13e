// Who is asking: a token in the raw Authorization header, else in the accessToken cookie.

import { createHash } from "node:crypto";
import jwt from "jsonwebtoken";

const ACCESS_TTL_S = 60 * 60;
const REFRESH_TTL_S = 90 * 24 * 60 * 60;
// One salt for all is enough for made-up people.
const SALT = "clinic";

export const hashPassword = (password) => createHash("sha256").update(`${SALT}:${password}`).digest("hex");

/** Throws where a token is missing or bad; the error handler makes a 500 of that. */
export function createAuth({ jwtSecret }) {
  const sign = (email, role, expiresIn) => jwt.sign({ email, role }, jwtSecret, { algorithm: "HS256", expiresIn });
  const verify = (token) => {
    if (!token) throw new Error("You are not authorized!");
    return jwt.verify(token, jwtSecret, { algorithms: ["HS256"] });
  };
  const allow = (req, roles) => {
    // An empty header falls back to the cookie; "Bearer x" is not a token and fails.
    const user = verify(req.headers.authorization || req.cookies.accessToken);
    if (!roles.includes(user.role)) throw new Error("Forbidden!");
    return user;
  };
  const setCookies = (res, { email, role }) => {
    const tokens = { accessToken: sign(email, role, ACCESS_TTL_S), refreshToken: sign(email, role, REFRESH_TTL_S) };
    res.cookie("accessToken", tokens.accessToken, cookieOptions(ACCESS_TTL_S));
    res.cookie("refreshToken", tokens.refreshToken, cookieOptions(REFRESH_TTL_S));
    return tokens;
  };
  return { sign, verify, allow, setCookies };
}

const cookieOptions = (seconds) => ({ httpOnly: true, sameSite: "lax", path: "/", maxAge: seconds * 1000 });
