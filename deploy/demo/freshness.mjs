// Third act: writes, and the reads that must be fresh the moment the write is answered.

import { untilHit } from "./hits.mjs";
import { heading, ms, row, style } from "./print.mjs";
import { createWrites } from "./writes.mjs";

const WIDTHS = [-22, 8];

/** Prints the table and gives what did not behave. */
export async function showWrites(client, reads, seed) {
  heading("Writes: each makes fresh at once what it changed");
  row(WIDTHS, ["write", "ms", "fresh at the next read"]);
  const made = {};
  const problems = [];
  for (const write of createWrites(seed, made, (id) => payment(client, id))) {
    problems.push(...(await writeThenRead(client, reads, write, made)));
  }
  return problems;
}

async function writeThenRead(client, reads, { name, fresh, request }, made) {
  const kept = await Promise.all(fresh.map((target) => untilHit(client, reads[target])));
  const answer = await client.send(await request());
  if (answer.status >= 300) return [`${name}: answered ${answer.status} ${answer.text.slice(0, 200)}`];
  made[name] = JSON.parse(answer.text).data;

  const now = await Promise.all(fresh.map((target) => client.send(reads[target])));
  const problems = fresh.flatMap((target, i) => judge(name, target, kept[i], now[i]));
  const marks = fresh.map((target) => (problems.some(({ of }) => of === target) ? style.bad : style.good)(target));
  row(WIDTHS, [name, ms(answer.ms), marks.join(", ")]);
  return problems.map(({ text }) => text);
}

function judge(write, target, kept, now) {
  const problem = (text) => [{ of: target, text: `${write} → ${target}: ${text}` }];
  if (!kept.hit) return problem(`was not in the cache before (${kept.cacheStatus || "no Cache-Status"})`);
  if (now.hit) return problem(`was still answered from the cache (${now.cacheStatus})`);
  if (now.text === kept.text) return problem("was asked again but did not change");
  return [];
}

// What the payment provider would send; the clinic signs it for us.
async function payment(client, appointmentId) {
  const { payload, signature } = await client.control("POST", "/sign", {
    type: "checkout.session.completed",
    data: { object: { payment_status: "paid", metadata: { appointmentId } } },
  });
  const headers = { "content-type": "application/json", "stripe-signature": signature };
  return { method: "POST", path: "/webhook", body: payload, headers };
}
