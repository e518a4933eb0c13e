
// The page lives: it asks every few seconds while somebody can see it, and says when it could not.

const EVERY_MS = 3000;
const STALE_MS = 15_000;

let latest = null;
let latestAt = 0;
let trouble = null;
let version = null; // of the door that this page was loaded from
let waitsUntil = 0;
let asking = null;
let timer = 0;

// Asks, unless that is under way.
function poll() {
  clearTimeout(timer);
  asking ??= update().finally(() => {
    asking = null;
    showNotices();
    tick();
    again();
  });
  return asking;
}

async function update() {
  try {
    const stats = await ask("GET", "api/stats");
    if (isLocked) return; // the token was taken back meanwhile
    unlocked();
    show(stats);
    version ??= stats.version;
    [latest, latestAt, trouble] = [stats, Date.now(), null];
    askAudit(false);
  } catch (error) {
    const isRefused = error instanceof Refused;
    if (!isRefused) console.error(error);
    trouble = isRefused ? error : new Refused(0, "This page does not understand its door: load it again.");
    waitsUntil = Date.now() + trouble.wait * 1000;
  }
}

// Not while it waits for a token, nor while nobody looks.
function again() {
  clearTimeout(timer);
  if (isLocked || document.hidden) return;
  timer = setTimeout(poll, Math.max(EVERY_MS, waitsUntil - Date.now()));
}

function show(stats) {
  for (const shown of [showGlance, showAlerts, showCharts, showRules, showLimits, showLately]) shown(stats);
}

// How old what stands here is.
function tick() {
  const node = byId("updated");
  const age = Date.now() - latestAt;
  const isLate = latest !== null && age > STALE_MS;
  node.className = isLate || (trouble !== null && !isLocked) ? "late" : "";
  if (isLocked) say(node, "Waiting for the token");
  else if (latest === null) say(node, trouble === null ? "Not updated yet" : "No figures");
  else say(node, `${isLate ? "Stale: " : ""}updated ${moment(latestAt)}${age > 2 * EVERY_MS ? `, ${ago(latestAt, Date.now())}` : ""}`);
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : isLocked || poll()));
setInterval(tick, 1000);
forgetFigures();
poll();
