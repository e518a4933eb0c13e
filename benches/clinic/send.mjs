// One request over a kept connection. All sidecars stand for one `Host`, as behind a load balancer, so that they share
// answers; `fetch` would name each by its own port.

import { Agent, request } from "node:http";
import { isHit } from "../../deploy/demo/client.mjs";

const HOST = "clinic.example";
const agent = new Agent({ keepAlive: true });

/** Gives `{ status, text, hit, ms }`. */
export function send(server, { method = "GET", path, token, body }) {
  const json = body && JSON.stringify(body);
  const headers = {
    host: HOST,
    ...(token && { cookie: `accessToken=${token}` }),
    ...(json && { "content-type": "application/json", "content-length": Buffer.byteLength(json) }),
  };
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const sent = request(server + path, { agent, method, headers }, (response) => {
      const pieces = [];
      response.on("data", (piece) => pieces.push(piece)).on("error", reject).on("end", () => resolve({
        status: response.statusCode,
        text: Buffer.concat(pieces).toString(),
        hit: isHit(response.headers["cache-status"] ?? ""),
        ms: performance.now() - began,
      }));
    });
    sent.on("error", reject).end(json);
  });
}
