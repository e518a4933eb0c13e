// The clinic with and without sidecache: prints the user's table as Markdown. Started by benches/clinic.sh.

import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../../deploy/demo/client.mjs";
import { startClinic, startSidecar, stopAll } from "../../deploy/demo/processes.mjs";
import { send } from "./send.mjs";
import { WANTED, createTargets, createTraffic, meetPeople } from "./traffic.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
// So few that the clinic, whose database runs in its own process, has time to spare: else the machine is measured.
const VISITORS = 16;
// Between an answer and the same visitor's next request, in the mean.
const THINK_MS = 100;
const AT_ONCE = 100;
// Longer than what a visit leaves behind: an audit asks the clinic twice after its answer.
const SETTLED_MS = 5000;
const quick = process.argv.includes("--quick");
const SECONDS = quick ? 15 : 90;
// From empty caches: by then whatever is asked once in a while has been asked.
const COLD_SECONDS = quick ? 15 : 180;

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
  const direct = await visit([clinic], SECONDS, control, createTraffic(people, { doctor, slots: freeSlots }));
  const next = createTraffic(people, { doctor: otherDoctor, slots: otherFreeSlots });
  say("the clinic behind two sidecars that have nothing yet");
  const cold = await visit(sidecars, COLD_SECONDS, control, next);
  say("the same, going on");
  const steady = await visit(sidecars, SECONDS, control, next);
  printTargets(direct, steady);
  printSums(direct, cold, steady);
  await sleep(SETTLED_MS);
  await printStampede(sidecars, control, createTargets(people));
}

/** Everybody visits for a while. Gives all answers, and what they cost the clinic. */
async function visit(servers, seconds, control, next) {
  const answers = [];
  await control("POST", "/reset-counts");
  const end = performance.now() + seconds * 1000;
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

function printTargets(direct, steady) {
  console.log(`${VISITORS} visitors: ${SECONDS} s at the clinic itself; then through two sidecars ${COLD_SECONDS} s from empty caches
(cold), and ${SECONDS} s more (steady). Every read of each phase is counted. Hits are those of the steady phase:\n`);
  row("target", "a hit, wanted", "hit p50", "p95", "p99", "origin p50", "p95", "p99");
  row("---", ...Array(7).fill("--:"));
  for (const [target, wanted] of Object.entries(WANTED)) {
    const of = (reads) => spread(reads.filter((read) => read.target === target));
    row(target, `< ${wanted} ms`, ...of(hitsOf(steady)), ...of(direct.reads));
  }
  console.log("\nMilliseconds, as the client sees them.\n");
}

function printSums(direct, cold, steady) {
  const each = (of) => [of(steady), of(cold)];
  const mean = ({ reads }) => reads.reduce((sum, { ms }) => sum + ms, 0) / reads.length;
  const perRead = ({ queries, reads }) => queries / reads.length;
  const less = (of) => each((phase) => percent(1 - of(phase) / of(direct)));
  const counts = ({ reads, writes }) => `${reads.length} and ${writes.length}`;
  row("of everything", "wanted", "steady", "cold");
  row("---", "--:", "--:", "--:");
  row("hit rate", "> 70 %", ...each((phase) => percent(hitsOf(phase).length / phase.reads.length)));
  row("SQL queries for a read, fewer by", "> 50 %", ...less(perRead));
  row("mean response time, down by", "> 60 %", ...less(mean));
  row("p99 of hits beside writes", "< 100 ms", ...each((phase) => `${spread(hitsOf(phase))[2]} ms`));
  row("p50, p95, p99 of all reads, hits or not", "", ...each(({ reads }) => `${spread(reads).join(", ")} ms`));
  row("reads and writes", "", ...each(counts));
  console.log(`\nWithout sidecache: ${counts(direct)}, p50, p95, p99 of all reads ${spread(direct.reads).join(", ")} ms.`);
}

function hitsOf({ reads }) {
  return reads.filter(({ hit }) => hit);
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
