// Assembles the application: what every answer carries, the routes, and what happens to errors.

import cookieParser from "cookie-parser";
import express from "express";
import { createApi } from "./api.js";
import { createAuth } from "./auth.js";
import { cors } from "./cors.js";
import { openDatabase } from "./db.js";
import { mirror } from "./mirror.js";
import { rateLimit } from "./rate-limit.js";
import appointments from "./routes/appointments.js";
import authentication from "./routes/authentication.js";
import control from "./routes/control.js";
import dashboards from "./routes/dashboards.js";
import doctors from "./routes/doctors.js";
import patients from "./routes/patients.js";
import prescriptions from "./routes/prescriptions.js";
import reviews from "./routes/reviews.js";
import schedules from "./routes/schedules.js";
import specialties from "./routes/specialties.js";
import streams from "./routes/streams.js";
import suggestion from "./routes/suggestion.js";
import users from "./routes/users.js";
import webhook from "./routes/webhook.js";
import { seed } from "./seed.js";

const ROUTES = [
  doctors, suggestion, specialties, reviews, patients, users, authentication, appointments, dashboards,
  prescriptions, schedules,
];

/** A seeded clinic that does not listen yet. */
export async function createClinic(settings) {
  const counts = { queries: 0, requests: {}, routes: {} };
  const db = await openDatabase(settings, counts);
  await seed(db);
  counts.queries = 0;

  const clinic = { settings, counts, db, auth: createAuth(settings), ai: { mode: settings.aiMode } };
  return { app: assemble(clinic), close: db.close };
}

function assemble(clinic) {
  const app = express();
  app.set("trust proxy", clinic.settings.trustProxy);
  app.use("/__clinic", express.json(), control(clinic));
  app.use(countRequests(clinic.counts));
  app.use(cors(clinic.settings.origins));
  if (clinic.settings.mirror) app.use(mirror);
  // The signature covers the exact bytes, so the webhook stands before the parsers and has no prefix.
  app.use(webhook(clinic));
  app.use(rateLimit(clinic.settings.rateLimit));
  app.use("/api/v1", streams(clinic));
  app.use(express.json({ limit: "1mb" }), express.urlencoded({ extended: true }), cookieParser());
  const api = createApi(clinic);
  for (const register of ROUTES) register(api, clinic);
  app.use("/api/v1", api.router);
  app.use(notFound);
  app.use(failure);
  return app;
}

function countRequests(counts) {
  return (req, _res, next) => {
    const name = `${req.method} ${req.path}`;
    counts.requests[name] = (counts.requests[name] ?? 0) + 1;
    next();
  };
}

function notFound(req, res) {
  res.status(404).json({
    success: false,
    message: "API NOT FOUND!",
    error: { path: req.originalUrl, message: "Your requested path is not found!" },
  });
}

// Every refusal is a 500: bad tokens, wrong roles, invalid input. A habit of the real service that caches must know.
function failure(error, _req, res, _next) {
  if (res.headersSent) return res.destroy(error);
  res.status(500).json({ success: false, message: error.message || "Something went wrong!", error: { name: error.name } });
}
