// How a route is declared: a pattern, who may use it, and a function from the request to the answer.

import { setTimeout as sleep } from "node:timers/promises";
import { Router } from "express";

const PREFIX = "/api/v1";

export const PUBLIC = null;
export const ADMINS = ["SUPER_ADMIN", "ADMIN"];
export const EVERYONE = ["SUPER_ADMIN", "ADMIN", "DOCTOR", "PATIENT"];

/**
 * `api("GET /doctor/:id", PUBLIC, async (req, res) => ({ message, data }))`. The handler of a route with roles finds
 * the caller's claims in `req.user`. An undefined `data` leaves the answer without that field, with status 200.
 */
export function createApi({ settings, counts, auth }) {
  const router = Router();
  const api = (pattern, roles, handler) => {
    const [method, path] = pattern.split(" ");
    const name = `${method} ${PREFIX}${path}`;
    router[method.toLowerCase()](path, async (req, res) => {
      counts.routes[name] = (counts.routes[name] ?? 0) + 1;
      const latency = settings.routeLatency[name] ?? 0;
      if (latency > 0) await sleep(latency);
      if (roles) req.user = auth.allow(req, roles);
      const { status = 200, message, meta, data } = await handler(req, res);
      res.status(status).json({ success: true, message, meta, data });
    });
  };
  return Object.assign(api, { router });
}
