// The clinic with and without sidecache: prints the user's table as Markdown. Started by benches/clinic.sh.

import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../../deploy/demo/client.mjs";
import { startClinic, startSidecar, stopAll } from "../../deploy/demo/processes.mjs";
import { WANTED, createTargets, createTraffic, meetPeople } from "./traffic.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const VISITORS = 64;
// Between an answer and the same visitor's next request, in the mean.
const THINK_MS = 100;
const SEED = 20261122;
const AT_ONCE = 100;
const JSON_BODY = { "content-type": "application/json" };
const quick = process.argv.includes("--quick");
const SECONDS = quick ? 15 : 90;

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]]) {
  process.on(signal, () => stopAll().finally(() => process.exit(status)));
}
try {
  await measure();
} finally {
  await stopAll();
}
process.exit(0);

async function measure() {
  const secret = crypto.randomUUID();
  const clinic = await startClinic(ROOT, secret);
  const sidecars = [];
  for (let n = 0; n < 2; n++) sidecars.push(await startSidecar(ROOT, clinic.url, secret, process.env.SIDECACHE_BIN));
  const [one, other] = sidecars.map(({ url }) => createClient(url, clinic.url));
  const people = await meetPeople(one, clinic.url);
  const direct = await visit([createClient(clinic.url, clinic.url)], people);
  const cached = await visit([one, other], people);
  printTargets(direct, cached);
  printSums(direct, cached);
  await printStampede([one, other], createTargets(people), sidecars[0].admin);
}

/** Everybody visits for a while. Gives all answers, and what they cost the clinic. */
async function visit(clients, people) {
  const { control } = clients[0];
  const next = createTraffic(people, SEED);
  const answers = [];
  await control("POST", "/reset-counts");
  const end = performance.now() + SECONDS * 1000;
  const visitor = async (client) => {
    while (performance.now() < end) {
      const { target, request } = next();
      const { status, hit, ms } = await client.send(request);
      if (status >= 400) throw new Error(`${request.method ?? "GET"} ${request.path} was answered ${status}`);
      answers.push({ target, hit, ms });
      await sleep(2 * THINK_MS * Math.random());
    }
  };
  await Promise.all(Array.from({ length: VISITORS }, (_, n) => visitor(clients[n % clients.length])));
  const { queries } = await control("GET", "/counts");
  return { reads: answers.filter(({ target }) => target), writes: answers.filter(({ target }) => !target), queries };
}

function printTargets(direct, cached) {
  row("target", "a hit, wanted", "hit p50", "p95", "p99", "origin p50", "p95", "p99");
  row("---", ...Array(7).fill("--:"));
  for (const [target, wanted] of Object.entries(WANTED)) {
    const hits = cached.reads.filter((read) => read.target === target && read.hit);
    row(target, `< ${wanted} ms`, ...spread(hits), ...spread(direct.reads.filter((read) => read.target === target)));
  }
  console.log("\nMilliseconds, as the client sees them.\n");
}

function printSums(direct, cached) {
  const hits = cached.reads.filter(({ hit }) => hit);
  const mean = ({ reads }) => reads.reduce((sum, { ms }) => sum + ms, 0) / reads.length;
  const perRead = ({ queries, reads }) => queries / reads.length;
  const less = (of) => percent(1 - of(cached) / of(direct));
  row("of everything", "wanted", "measured");
  row("---", "--:", "--:");
  row("hit rate", "> 70 %", percent(hits.length / cached.reads.length));
  row("SQL queries for a read, fewer by", "> 50 %", less(perRead));
  row("mean response time, down by", "> 60 %", less(mean));
  row("p99 of hits beside writes", "< 100 ms", `${spread(hits)[2]} ms`);
  row("p50, p95, p99 of all reads, hits or not", "", `${spread(cached.reads).join(", ")} ms`);
  row("reads and writes, through sidecache", "", `${cached.reads.length} and ${cached.writes.length}`);
  row("reads and writes, without it, in the same time", "", `${direct.reads.length} and ${direct.writes.length}`);
}

/** A hundred requests for one answer that nobody has, half of them through each sidecar. */
async function printStampede(clients, targets, admin) {
  console.log(`\n${AT_ONCE} requests at once for a cold key, over two sidecars:\n`);
  row("target", "answered", "origin requests");
  row("---", "--:", "--:");
  const { control } = clients[0];
  for (const [target, request] of Object.entries(targets)) {
    await fetch(`${admin}/api/purge`, { method: "POST", body: JSON.stringify({ drop: ["*"] }), headers: JSON_BODY });
    await control("POST", "/reset-counts");
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => clients[n % 2].send(request(0))));
    const { requests } = await control("GET", "/counts");
    const reached = Object.values(requests).reduce((sum, n) => sum + n, 0);
    row(target, answers.filter(({ status }) => status === 200).length, reached);
  }
}

const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
const percent = (share) => `${Math.round(100 * share)} %`;

/** The median, the 95th and the 99th percentile. */
function spread(answers) {
  const sorted = answers.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return [0.5, 0.95, 0.99].map((share) => (sorted.length === 0 ? "–" : at(share).toFixed(at(share) < 10 ? 1 : 0)));
}
