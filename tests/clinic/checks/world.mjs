// A clinic on a free port for one test file, and a client that speaks to it.

import { createClinic } from "../app.js";
import { readSettings } from "../settings.js";

/** `env` as for the server; `call` gives `{ status, headers, text, json }`. */
export async function startClinic(env = {}) {
  const { app, close } = await createClinic(readSettings({ JWT_SECRET: "test-secret", ...env }));
  const server = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  const base = `http://127.0.0.1:${server.address().port}`;
  const call = (method, path, options) => request(base + path, method, options);
  const seed = (await call("GET", "/__clinic/seed")).json;
  const stop = async () => {
    server.close();
    server.closeAllConnections();
    await close();
  };
  return { base, call, seed, stop };
}

/** `as` is a token for the Authorization header; `body` is sent as JSON unless it is text already. */
async function request(url, method, { as, headers = {}, body } = {}) {
  const sent = typeof body === "object" ? JSON.stringify(body) : body;
  const response = await fetch(url, {
    method,
    headers: {
      ...(as && { authorization: as }),
      ...(typeof body === "object" && { "content-type": "application/json" }),
      ...headers,
    },
    body: sent,
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}
