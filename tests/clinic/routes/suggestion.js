// "Which doctor for these symptoms?": slow, and when the model fails it answers 200 with a fallback.

import { setTimeout as sleep } from "node:timers/promises";
import { PUBLIC } from "../api.js";
import { TITLES } from "../seed.js";

// Enough to make symptoms matter; anything else goes to a specialty picked by the text itself.
const HINTS = {
  heart: "Cardiology", chest: "Cardiology", skin: "Dermatology", rash: "Dermatology", head: "Neurology",
  child: "Pediatrics", bone: "Orthopedics", knee: "Orthopedics", sleep: "Psychiatry", stomach: "Gastroenterology",
  eye: "Ophthalmology", breath: "Pulmonology", cough: "Pulmonology",
};
const FALLBACK = [
  { id: "fallback-1", name: "General physician", specialty: "General Medicine" },
  { id: "fallback-2", name: "Emergency desk", specialty: "Emergency" },
];

export default function register(api, { db, settings, ai }) {
  api("POST /doctor/suggestion", PUBLIC, async ({ body }) => {
    if (!body?.symptoms || typeof body.symptoms !== "string") throw new Error("Symptoms are required for a suggestion");
    if (settings.aiLatency > 0) await sleep(settings.aiLatency);
    const answers = { ok: () => suggest(db, body.symptoms), fallback: () => FALLBACK, empty: () => [] };
    return { message: "AI suggested doctors fetched successfully", data: await answers[ai.mode]() };
  });
}

// Only facts that never change about a doctor, so that nothing but a removal makes an answer stale.
function suggest(db, symptoms) {
  return db.query(
    `select d.id, d."registrationNumber", array_agg(s.title order by s.title) specialties
      from doctor d join doctor_specialty x on x."doctorId" = d.id join specialty s on s.id = x."specialtyId"
      where not d."isDeleted" group by d.id having $1 = any(array_agg(s.title)) order by d."createdAt" limit 5`,
    [specialtyFor(symptoms)]);
}

function specialtyFor(symptoms) {
  const text = symptoms.toLowerCase();
  const hint = Object.keys(HINTS).find((word) => text.includes(word));
  return HINTS[hint] ?? TITLES[text.length % TITLES.length];
}
