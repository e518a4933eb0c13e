// The payment provider's call: no prefix, a raw body, a signature over its exact bytes, no ids in the answer.

import { createHmac, timingSafeEqual } from "node:crypto";
import express, { Router } from "express";
import { markPaid } from "../booking.js";

const TOLERANCE_S = 300;

export default function webhook({ db, settings }) {
  const router = Router();
  router.post("/webhook", express.raw({ type: () => true, limit: "1mb" }), async (req, res) => {
    if (!isSigned(req.body, req.headers["stripe-signature"], settings.webhookSecret)) {
      return res.status(400).send("Webhook Error: signature does not match the payload");
    }
    const event = JSON.parse(req.body.toString("utf8"));
    const session = event.data?.object;
    if (event.type === "checkout.session.completed" && session?.metadata?.appointmentId) {
      await db.transaction((query) => markPaid(query, session.metadata.appointmentId));
    }
    res.json({ success: true, message: "Webhook req send successfully" });
  });
  return router;
}

/** `t=1700000000,v1=<hex HMAC-SHA256 of "t.body">`, as Stripe signs. */
export function signature(body, secret, seconds = Math.floor(Date.now() / 1000)) {
  const digest = createHmac("sha256", secret).update(`${seconds}.`).update(body).digest("hex");
  return `t=${seconds},v1=${digest}`;
}

function isSigned(body, header = "", secret) {
  const seconds = Number(/(?:^|,)t=(\d+)/.exec(header)?.[1]);
  if (!Buffer.isBuffer(body) || !(Math.abs(Date.now() / 1000 - seconds) <= TOLERANCE_S)) return false;
  const expected = Buffer.from(signature(body, secret, seconds));
  const given = Buffer.from(header);
  return expected.length === given.length && timingSafeEqual(expected, given);
}
