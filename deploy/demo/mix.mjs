// Second act: many visitors at once, mostly reading, sometimes booking.

import { heading, median, ms, say, style } from "./print.mjs";

const VISITORS = 16;
const READS_PER_VISITOR = 150;
// One booking in so many reads: a clinic's ordinary day is far calmer.
const READS_PER_WRITE = 800;

/** Prints what came of the mix and gives what did not behave. */
export async function showMix(client, reads, seed) {
  heading(`${VISITORS} visitors at once`);
  const slots = [...seed.otherFreeSlots];
  const popular = Object.values(reads);
  const answers = [];
  let asked = 0;
  const began = performance.now();
  const visit = async (visitor) => {
    for (let i = 0; i < READS_PER_VISITOR; i++) {
      asked += 1;
      if (asked % READS_PER_WRITE === 0 && slots.length > 0) await client.send(booking(seed, slots.pop()));
      answers.push(await client.send(popular[(visitor * 7 + i * 5) % popular.length]));
    }
  };
  await Promise.all(Array.from({ length: VISITORS }, (_, visitor) => visit(visitor)));
  return report(answers, performance.now() - began);
}

const booking = ({ patient, otherDoctor }, scheduleId) => ({
  method: "POST",
  path: "/api/v1/appointment/pay-later",
  token: patient.token,
  body: { doctorId: otherDoctor.id, scheduleId },
});

function report(answers, duration) {
  const hits = answers.filter((answer) => answer.hit);
  const rate = Math.round((100 * hits.length) / answers.length);
  say(`${answers.length} reads in ${(duration / 1000).toFixed(1)} s, ${style.good(`${rate} % hits`)}, ` +
    `the usual hit ${ms(median(hits.map((hit) => hit.ms)) ?? 0)} ms`);
  const failed = answers.filter((answer) => answer.status !== 200);
  const problems = failed.length > 0 ? [`${failed.length} reads of the mix failed, first ${failed[0].status}`] : [];
  if (hits.length === 0) problems.push("no read of the mix was a hit");
  return problems;
}
