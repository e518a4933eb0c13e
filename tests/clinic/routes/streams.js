// Bodies that must stream: uploads and downloads of any size, and server-sent events.

import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Router } from "express";

const CHUNK = Buffer.from(Array.from({ length: 65_536 }, (_, i) => i % 251));

export default function streams() {
  const router = Router();

  // Any body, multipart or not, counted as it comes.
  router.post("/upload", async (req, res) => {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of req) {
      bytes += chunk.length;
      hash.update(chunk);
    }
    const data = { bytes, sha256: hash.digest("hex"), contentType: req.headers["content-type"] ?? null };
    res.json({ success: true, message: "File uploaded successfully", data });
  });

  // `?bytes=N`, with a Content-Length unless `&chunked=true`.
  router.get("/download", async (req, res) => {
    const bytes = Number(req.query.bytes ?? 1024);
    if (!Number.isInteger(bytes) || bytes < 0) throw new Error("bytes must be a whole number");
    res.type("application/octet-stream");
    if (req.query.chunked !== "true") res.set("Content-Length", String(bytes));
    await pipeline(Readable.from(chunks(bytes)), res).catch(ignoreClosed);
  });

  // `?count=N&interval=MS`; without a count until the client leaves.
  router.get("/events", async (req, res) => {
    const count = Number(req.query.count ?? Infinity);
    const interval = Number(req.query.interval ?? 1000);
    res.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
    for (let i = 1; i <= count && !res.destroyed; i++) {
      res.write(`id: ${i}\ndata: ${JSON.stringify({ tick: i })}\n\n`);
      if (i < count) await sleep(interval);
    }
    res.end();
  });
  return router;
}

function* chunks(bytes) {
  for (let left = bytes; left > 0; left -= CHUNK.length) yield left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
}

function ignoreClosed(error) {
  if (error.code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
}
