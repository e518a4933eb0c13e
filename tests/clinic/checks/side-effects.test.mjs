// Proves that the side effects of every write are real, and are those that are documented, no more and no fewer.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { changedGroups, reads, snapshot } from "./reads.mjs";
import { startClinic } from "./world.mjs";
import { WRITES } from "./writes.mjs";

const CREATED = {};
let clinic, list, latest;

before(async () => {
  clinic = await startClinic();
  list = reads(clinic.seed);
  latest = await snapshot(clinic.call, list);
});
after(() => clinic.stop());

async function sign(event) {
  const { json } = await clinic.call("POST", "/__clinic/sign", { body: event });
  return ["POST", "/webhook", { body: json.payload, headers: { "stripe-signature": json.signature } }];
}

test("every read of the table answers 200 with data, and the same twice", async () => {
  assert.ok(list.length >= 34, `only ${list.length} reads`);
  for (const { path, text } of latest.values()) assert.match(text, /"success":true.*"data":/s, path);
  assert.deepEqual(changedGroups(latest, await snapshot(clinic.call, list)), []);
});

for (const [name, stale, describe] of WRITES) {
  test(`${name} changes ${stale.join(", ") || "nothing"}`, async () => {
    const [method, path, options] = await describe(clinic.seed, { created: CREATED, sign });
    const { status, text, json } = await clinic.call(method, path, options);
    assert.ok(status < 300, `${method} ${path}: ${status} ${text}`);
    CREATED[name] = json?.data;

    const earlier = latest;
    latest = await snapshot(clinic.call, list);
    assert.deepEqual(changedGroups(earlier, latest), [...stale].sort());
  });
}
