// First act: every read once from the clinic, then from the cache.

import { setTimeout as sleep } from "node:timers/promises";
import { heading, median, ms, row, style } from "./print.mjs";

const WIDTHS = [-24, 9, 9, 8];
const HITS = 15;
// An answer is kept a moment after it was sent, so the first read behind it may come too early.
const TRIES = 20;
const TRY_PAUSE_MS = 25;

/** Prints the table and gives what did not behave. */
export async function showReads(client, reads) {
  heading("Reads: from the clinic, then from sidecache");
  row(WIDTHS, ["target", "miss ms", "hit ms", "times"]);
  const problems = [];
  for (const [name, read] of Object.entries(reads)) problems.push(...(await missThenHit(client, name, read)));
  return problems;
}

async function missThenHit(client, name, read) {
  const { queries: before } = await client.control("GET", "/counts");
  const miss = await client.send(read);
  const { queries: after } = await client.control("GET", "/counts");
  read.queries = after - before;
  if (miss.status !== 200) return [`${name}: the first read was answered ${miss.status} ${miss.text.slice(0, 200)}`];
  if (miss.hit) return [`${name}: the first read was a hit already (${miss.cacheStatus})`];
  if (!(await untilHit(client, read)).hit) return [`${name}: no hit after the miss (${miss.cacheStatus || "no Cache-Status"})`];

  const hits = [];
  for (let i = 0; i < HITS; i++) hits.push(await client.send(read));
  const usual = median(hits.map((hit) => hit.ms));
  row(WIDTHS, [name, ms(miss.ms), ms(usual), style.good(`${Math.round(miss.ms / usual)}×`.padStart(8))]);
  const wrong = hits.find((hit) => !hit.hit || hit.text !== miss.text);
  return wrong ? [`${name}: a later read was not the kept answer (${wrong.cacheStatus})`] : [];
}

/** Reads until the answer comes from the cache; gives the last answer. */
export async function untilHit(client, read) {
  let answer = await client.send(read);
  for (let tries = 1; !answer.hit && tries < TRIES; tries++) {
    await sleep(TRY_PAUSE_MS);
    answer = await client.send(read);
  }
  return answer;
}
