// The demo itself: starts the clinic and the sidecar, sends traffic, says what happened. Started by demo.sh.

import { fileURLToPath } from "node:url";
import { createClient } from "./demo/client.mjs";
import { showWrites } from "./demo/freshness.mjs";
import { showReads } from "./demo/hits.mjs";
import { showMix } from "./demo/mix.mjs";
import { heading, say, style } from "./demo/print.mjs";
import { obituaries, startClinic, startSidecar, stopAll } from "./demo/processes.mjs";
import { createReads } from "./demo/reads.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const once = process.argv.includes("--once");

let interrupted = false;
let finished = false;

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]]) {
  process.on(signal, () => {
    interrupted = true;
    stopAll().finally(() => process.exit(finished ? 0 : status));
  });
}

try {
  const problems = await demonstrate();
  for (const problem of problems) say(`${style.bad("✗")} ${problem}`);
  say(problems.length === 0 ? style.good("\nEverything behaved.") : style.bad(`\nThings that did not behave: ${problems.length}`));
  finished = true;
  if (!once) await untilInterrupted();
  await stopAll();
  process.exit(problems.length === 0 ? 0 : 1);
} catch (error) {
  // Requests that were under way when somebody interrupted fail too; that is not worth a word.
  if (!interrupted) {
    console.error(`demo: ${error.message}${error.cause ? ` (${error.cause.message})` : ""}`);
    for (const line of obituaries()) console.error(line);
    await stopAll();
    process.exit(1);
  }
}

async function demonstrate() {
  const jwtSecret = crypto.randomUUID();
  const clinic = await startClinic(ROOT, jwtSecret);
  const sidecar = await startSidecar(ROOT, clinic.url, jwtSecret, process.env.SIDECACHE_BIN);
  say(`The clinic (Express, PostgreSQL) listens on ${clinic.url}, sidecache on ${sidecar.url}.`);

  const client = createClient(sidecar.url, clinic.url);
  const seed = await client.control("GET", "/seed");
  const reads = createReads(seed);
  await client.control("POST", "/reset-counts");

  const problems = [
    ...(await showReads(client, reads)),
    ...(await showMix(client, reads, seed)),
    ...(await showWrites(client, reads, seed)),
  ];
  await showTotals(client);
  if (!once) await showAddresses(client, sidecar, seed);
  return problems;
}

async function showTotals(client) {
  heading("In all");
  const { queries, requests } = await client.control("GET", "/counts");
  const reached = Object.values(requests).reduce((sum, n) => sum + n, 0);
  const { sent, hits, spared } = client.totals;
  say(`${sent} requests, ${reached} reached the clinic; ${style.good(`${sent - reached} spared`)} (${hits} hits)`);
  say(`${queries} SQL queries done, ${style.good(`${spared} spared`)} by answers from the cache`);
}

async function showAddresses(client, sidecar, seed) {
  const { token } = await client.control("GET", `/token?email=${seed.patient.email}&role=PATIENT&ttl=86400`);
  heading("Try it");
  say(`curl -s -o /dev/null -D - '${sidecar.url}/api/v1/doctor?limit=1' | grep -i -e ^cache-status -e ^age`);
  say(`curl -si '${sidecar.url}/api/v1/appointment/my-appointment' -H 'Authorization: ${token}'`);
  say(`curl -s ${sidecar.admin}/metrics | grep ^sidecache_`);
  say(`curl -si '${sidecar.admin}/api/purge' --json '{"drop": ["doctors:*"]}'`);
}

function untilInterrupted() {
  say("\nBoth run until you press Ctrl-C.");
  return new Promise(() => setInterval(() => {}, 60_000));
}
