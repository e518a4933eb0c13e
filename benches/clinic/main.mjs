// The clinic with and without sidecache: prints the user's table as Markdown. Started by benches/clinic.sh.

import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../../deploy/demo/client.mjs";
import { startClinic, startSidecar, stopAll } from "../../deploy/demo/processes.mjs";
import { send } from "./send.mjs";
import { WANTED, createTargets, createTraffic, meetPeople } from "./traffic.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const VISITORS = 24;
// Between an answer and the same visitor's next request, in the mean.
const THINK_MS = 100;
const AT_ONCE = 100;
// Longer than what a visit leaves behind: an audit asks the clinic twice after its answer.
const SETTLED_MS = 5000;
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
  const { control } = createClient(sidecars[0].url, clinic.url);
  const people = await meetPeople(control, clinic.url);
  const { doctor, freeSlots, otherDoctor, otherFreeSlots } = people;

  say("the clinic alone");
  const direct = await visit([clinic], control, createTraffic(people, { doctor, slots: freeSlots }));
  say("the clinic behind two sidecars");
  const cached = await visit(sidecars, control, createTraffic(people, { doctor: otherDoctor, slots: otherFreeSlots }));
  printTargets(direct, cached);
  printSums(direct, cached);
  await sleep(SETTLED_MS);
  await printStampede(sidecars, control, createTargets(people));
}

/** Everybody visits for a while. Gives all answers, and what they cost the clinic. */
async function visit(servers, control, next) {
  const answers = [];
  await control("POST", "/reset-counts");
  const end = performance.now() + SECONDS * 1000;
  const visitor = async ({ url }) => {
    while (performance.now() < end) {
      const { target, request } = next();
      const { status, hit, ms, text } = await send(url, request);
      if (status >= 400) throw new Error(`${request.method ?? "GET"} ${request.path} was answered ${status}: ${text}`);
      answers.push({ target, hit, ms });
      await sleep(2 * THINK_MS * Math.random());
    }
  };
  await Promise.all(Array.from({ length: VISITORS }, (_, n) => visitor(servers[n % servers.length])));
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
async function printStampede(sidecars, control, targets) {
  console.log(`\n${AT_ONCE} requests at once for a cold key, over two sidecars:\n`);
  row("target", "answered", "origin requests");
  row("---", "--:", "--:");
  for (const [target, request] of Object.entries(targets)) {
    await dropEverything(sidecars[0]);
    await control("POST", "/reset-counts");
    const all = Array.from({ length: AT_ONCE }, (_, n) => send(sidecars[n % 2].url, request(0)));
    const answered = (await Promise.all(all)).filter(({ status }) => status === 200);
    const { requests } = await control("GET", "/counts");
    row(target, answered.length, Object.values(requests).reduce((sum, n) => sum + n, 0));
  }
}

async function dropEverything({ admin }) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${admin}/api/purge`, { method: "POST", headers, body: JSON.stringify({ drop: ["*"] }) });
  if (!answer.ok) throw new Error(`the purge was answered ${answer.status}`);
}

function say(text) {
  console.error(`clinic.sh: ${text}`);
}

function row(...cells) {
  console.log(`| ${cells.join(" | ")} |`);
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** The median, the 95th and the 99th percentile. */
function spread(answers) {
  const sorted = answers.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return [0.5, 0.95, 0.99].map((share) => (sorted.length === 0 ? "–" : at(share).toFixed(at(share) < 10 ? 1 : 0)));
}
