// Plays the visitors' traffic through with nothing but lifetimes and drops, to tell how much of the hit rate is the
// traffic's own:
//
//   node benches/clinic/model.mjs [REQUESTS_PER_SECOND] [REQUESTS_PER_WRITE, 0 for none]

import { createRandom } from "../../tests/clinic/random.js";
import { DOCTORS, SHARE, zipf } from "./traffic.mjs";

const [perSecond = 44, perWrite = 500] = process.argv.slice(2).map(Number);
const COLD = 180; // seconds, as in the benchmark
const STEADY = 90;

// How many ways each target is asked in, and for how many seconds the shipped rules keep it.
const KEPT = {
  "doctor list": [32, 300], "doctor details": [DOCTORS, 300], "appointment list": [200, 60], "patient profile": [200, 600],
  "dashboard": [200, 120], "specialty list": [2, 1800], "reviews": [DOCTORS, 600], "AI suggestion": [40, 86400],
};

// What each kind of write drops of everybody; a single doctor's details are left out.
const DROPS = [
  ["doctor list", "doctor details", "appointment list", "patient profile", "reviews"],
  ["doctor list", "appointment list", "patient profile", "reviews"],
  ["appointment list", "dashboard"],
  ["doctor list", "doctor details", "appointment list", "dashboard"],
  ["specialty list", "doctor list", "doctor details"],
];

const random = createRandom(20261122);
const rank = zipf(DOCTORS);
const bag = Object.entries(SHARE).flatMap(([target, share]) => Array(share).fill(target));
const kept = new Map();
const ended = new Map();
const phases = [{ hits: 0, reads: 0 }, { hits: 0, reads: 0 }];
const misses = { first: 0, expired: 0, dropped: 0 };

for (let now = 0; now < COLD + STEADY; now += 1 / perSecond) {
  if (perWrite > 0 && random.below(perWrite) === 0) {
    drop(random.pick(DROPS));
    continue;
  }
  const target = random.pick(bag);
  const [ways, ttl] = KEPT[target];
  const key = `${target} ${rank(random.below(2 ** 30) / 2 ** 30) % ways}`;
  const phase = phases[now < COLD ? 0 : 1];
  phase.reads += 1;
  if (kept.get(key) > now) {
    phase.hits += 1;
    continue;
  }
  if (phase === phases[1]) misses[kept.has(key) ? "expired" : (ended.get(key) ?? "first")] += 1;
  kept.set(key, now + ttl);
}

function drop(targets) {
  for (const key of [...kept.keys()].filter((key) => targets.some((target) => key.startsWith(target)))) {
    kept.delete(key);
    ended.set(key, "dropped");
  }
}

const [cold, steady] = phases.map(({ hits, reads }) => `${((100 * hits) / reads).toFixed(0)} %`);
console.log(`hit rate ${cold} cold, ${steady} steady; misses of the steady phase: ${JSON.stringify(misses)}`);
