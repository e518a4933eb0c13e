// The traps of the real service, which a cache in front of it has to know.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { startClinic } from "./world.mjs";

let clinic, call, seed;
before(async () => {
  clinic = await startClinic({ RATE_LIMIT: "5000" });
  ({ call, seed } = clinic);
});
after(() => clinic.stop());

test("an unknown doctor is answered 200 without data", async () => {
  const { status, json } = await call("GET", "/api/v1/doctor/nobody");
  assert.equal(status, 200);
  assert.ok(json.success && !("data" in json));
});

test("no token, a bad token, a Bearer token, an expired one, a wrong role and bad input are all 500", async () => {
  const expired = (await call("GET", `/__clinic/token?email=${seed.admin.email}&role=ADMIN&ttl=-5`)).json.token;
  for (const as of [undefined, "junk", `Bearer ${seed.admin.token}`, expired, seed.patient.token]) {
    assert.equal((await call("GET", "/api/v1/appointment", { as })).status, 500, String(as));
  }
  assert.equal((await call("GET", "/api/v1/doctor?sortBy=nothing&sortOrder=asc")).status, 500);
  assert.equal((await call("POST", "/api/v1/auth/login", { body: { email: "x", password: "y" } })).status, 500);
});

test("the header comes before the cookie, an empty header falls back, and /auth/me reads the cookie only", async () => {
  const cookie = `accessToken=${seed.patient.token}`;
  const email = async (path, headers) => (await call("GET", path, { headers })).json.data?.email;
  assert.equal(await email("/api/v1/user/me", { cookie, authorization: seed.doctor.token }), seed.doctor.email);
  assert.equal(await email("/api/v1/user/me", { cookie, authorization: "" }), seed.patient.email);
  assert.equal(await email("/api/v1/auth/me", { cookie, authorization: seed.doctor.token }), seed.patient.email);
  assert.equal((await call("GET", "/api/v1/auth/me", { as: seed.doctor.token })).status, 500);
});

test("every answer varies by Origin, and only known origins are let in", async () => {
  const known = await call("GET", "/api/v1/specialties", { headers: { origin: "http://localhost:3000" } });
  assert.equal(known.headers.get("access-control-allow-origin"), "http://localhost:3000");
  assert.equal(known.headers.get("access-control-allow-credentials"), "true");
  const unknown = await call("GET", "/api/v1/specialties", { headers: { origin: "http://elsewhere.example" } });
  assert.equal(unknown.headers.get("access-control-allow-origin"), null);
  for (const path of ["/api/v1/doctor", "/api/v1/meta", "/nowhere"]) {
    assert.equal((await call("GET", path)).headers.get("vary"), "Origin", path);
  }
});

test("answers carry rate limit headers and a weak ETag that answers 304", async () => {
  const first = await call("GET", "/api/v1/specialties");
  assert.equal(first.headers.get("ratelimit-limit"), "5000");
  const etag = first.headers.get("etag");
  assert.match(etag, /^W\//);
  // `no-cache` would be added by fetch itself, and Express then refuses to answer 304.
  const again = await call("GET", "/api/v1/specialties", {
    headers: { "if-none-match": etag, "cache-control": "max-age=0" },
  });
  assert.equal(again.status, 304);
  assert.equal(again.text, "");
});

test("login and refresh-token set two cookies each, and logout clears both", async () => {
  const { email, password } = seed.doctor;
  const login = await call("POST", "/api/v1/auth/login", { body: { email, password } });
  const cookies = login.headers.getSetCookie();
  assert.deepEqual(cookies.map((line) => line.split("=")[0]), ["accessToken", "refreshToken"]);
  const cookie = cookies.map((line) => line.split(";")[0]).join("; ");
  const refreshed = await call("POST", "/api/v1/auth/refresh-token", { headers: { cookie } });
  assert.equal(refreshed.headers.getSetCookie().length, 2);
  const logout = await call("POST", "/api/v1/auth/logout", { headers: { cookie } });
  for (const line of logout.headers.getSetCookie()) assert.match(line, /^\w+=;.*1970/);
});

test("paths match in any case and with a slash at the end, but not with a doubled slash or an encoded letter", async () => {
  const status = async (path) => (await call("GET", path)).status;
  assert.equal(await status("/API/v1/Doctor/"), 200);
  for (const path of ["/api/v1//doctor", "//api/v1/doctor", "/api/v1/%64octor", "/api%2Fv1/doctor"]) {
    assert.equal(await status(path), 404, path);
  }
});

test("repeated specialties mean any of them, a repeated page means the first", async () => {
  const total = async (query) => (await call("GET", `/api/v1/doctor?limit=1&${query}`)).json.meta.total;
  const one = await total("specialties=Cardiology");
  assert.ok(one > 0 && (await total("specialties=Cardiology&specialties=Urology")) > one);
  const { meta } = (await call("GET", "/api/v1/doctor?limit=1&page=2&page=3")).json;
  assert.equal(meta.page, 1);
});

test("limit=300 makes an answer above 1.5 MB", async () => {
  const { text, json } = await call("GET", "/api/v1/doctor?limit=300");
  assert.equal(json.data.length, 300);
  assert.ok(text.length > 1_500_000, `${text.length} characters`);
});

test("a failed model answers 200 with a fallback or an empty list", async () => {
  const suggest = async () => (await call("POST", "/api/v1/doctor/suggestion", { body: { symptoms: "cough" } })).json.data;
  assert.ok((await suggest())[0].specialties.length > 0);
  await call("POST", "/__clinic/ai", { body: { mode: "fallback" } });
  const [fallback] = await suggest();
  assert.ok(fallback.specialty && !fallback.specialties);
  await call("POST", "/__clinic/ai", { body: { mode: "empty" } });
  assert.deepEqual(await suggest(), []);
});

test("the webhook takes exactly the signed bytes and has no prefix", async () => {
  const event = { type: "checkout.session.completed", data: { object: {} }, note: "ä  spaced" };
  const { payload, signature } = (await call("POST", "/__clinic/sign", { body: event })).json;
  const hook = (path, body) => call("POST", path, { body, headers: { "stripe-signature": signature } });
  assert.equal((await hook("/webhook", payload)).status, 200);
  assert.equal((await hook("/webhook", `${payload} `)).status, 400);
  assert.equal((await hook("/api/v1/webhook", payload)).status, 404);
});

test("a slot is booked once", async () => {
  const body = { doctorId: seed.doctor.id, scheduleId: seed.freeSlots[0] };
  const statuses = await Promise.all([1, 2].map(async () =>
    (await call("POST", "/api/v1/appointment", { as: seed.patient.token, body })).status));
  assert.deepEqual(statuses.sort(), [200, 500]);
});

test("uploads and downloads carry every byte", async () => {
  const bytes = "x".repeat(2_000_000);
  const { data } = (await call("POST", "/api/v1/upload", { body: bytes })).json;
  assert.deepEqual([data.bytes, data.sha256], [bytes.length, createHash("sha256").update(bytes).digest("hex")]);
  const download = await call("GET", "/api/v1/download?bytes=150000");
  assert.equal(download.headers.get("content-length"), "150000");
  assert.match((await call("GET", "/api/v1/events?count=2&interval=1")).text, /id: 1\n.*\n\nid: 2\n/);
});

test("requests and queries are counted, and the counters return to nothing", async () => {
  await call("POST", "/__clinic/reset-counts");
  await call("GET", "/api/v1/specialties");
  const counts = (await call("GET", "/__clinic/counts")).json;
  assert.deepEqual(counts.requests, { "GET /api/v1/specialties": 1 });
  assert.equal(counts.queries, 2);
});

test("past the limit the answer is 429 with Retry-After", async () => {
  const strict = await startClinic({ RATE_LIMIT: "1" });
  try {
    assert.equal((await strict.call("GET", "/api/v1/specialties")).status, 200);
    const refused = await strict.call("GET", "/api/v1/specialties");
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    const other = await strict.call("GET", "/api/v1/specialties", { headers: { "x-forwarded-for": "203.0.113.9" } });
    assert.equal(other.status, 200, "loopback is trusted to name another client");
  } finally {
    await strict.stop();
  }
});
