
// The page lives: it asks every few seconds while somebody can see it, and says when it could not.

const EVERY_MS = 3000;
const STALE_MS = 15_000;

let latest = null;
let latestAt = 0;
let trouble = null;
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
    [latest, latestAt, trouble] = [stats, Date.now(), null];
    unlocked();
    show();
    await askAudit(false);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble = error;
    waitsUntil = Date.now() + error.wait * 1000;
  }
}

// Not while it waits for a token, nor while nobody looks.
function again() {
  clearTimeout(timer);
  if (isLocked || document.hidden) return;
  timer = setTimeout(poll, Math.max(EVERY_MS, waitsUntil - Date.now()));
}

function show() {
  showGlance(latest);
  showAlerts(latest);
  showCharts(latest);
  showRules(latest);
  showLately(latest);
}

// How old what stands here is.
function tick() {
  const node = byId("updated");
  const age = Date.now() - latestAt;
  const isLate = latest !== null && age > STALE_MS;
  node.className = isLate || (trouble !== null && !isLocked) ? "late" : "";
  if (isLocked) say(node, "Waiting for the token");
  else if (latest === null) say(node, trouble === null ? "Not updated yet" : "No figures");
  else say(node, `${isLate ? "Stale: " : ""}updated ${clock(latestAt)}${age > 2 * EVERY_MS ? `, ${ago(latestAt, Date.now())}` : ""}`);
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : isLocked || poll()));
setInterval(tick, 1000);
poll();
