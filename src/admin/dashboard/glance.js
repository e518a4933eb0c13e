
// What can be seen at a glance, and what cannot be overlooked.

const MINUTE_MS = 60_000;

// Sums of what came within the points.
function summed(points) {
  const names = ["hits", "served", "spared", "bypass", "pass", "writes", "would", "limited", "errors", "origin_5xx", "asked"];
  return Object.fromEntries(names.map((name) => [name, points.reduce((sum, point) => sum + point[name], 0)]));
}

const rate = (hits, served) => (served > 0 ? hits / served : null);
const times = (prefix, quantiles) => ["p50", "p95", "p99"].map((at) => [`${prefix}.${at}`, seconds(quantiles?.[at])]);

function memory(store) {
  if (store.kind === "memory") return "this process's own";
  const most = store.memory_max_bytes ? ` of ${bytes(store.memory_max_bytes)}` : "";
  return `${bytes(store.memory_bytes)}${most}`;
}

function storeErrors(store) {
  const all = Object.entries(store.errors);
  return all.length === 0 ? "none" : all.map(([kind, times]) => `${kind} ${count(times)}`).join(", ");
}

// Every figure by the name that the page has for it.
function figures({ at, process, fleet }) {
  const { points, step_s: step } = process.series;
  const lately = points.filter((point) => point.at > at - MINUTE_MS);
  const [last, hour] = [summed(lately), summed(points)];
  const asked = last.served + last.bypass + last.pass + last.writes + last.would + last.limited + last.errors;
  const { total, store } = process;
  const pair = (name) => [[`minute.${name}`, count(last[name])], [`hour.${name}`, count(hour[name])]];
  return Object.fromEntries([
    ["rate.now", percent(rate(last.hits, last.served))],
    ["rate.hour", percent(rate(hour.hits, hour.served))],
    ["rate.all", percent(total.hit_rate)],
    ["rate.fleet", percent(fleet.total.hit_rate)],
    ["spared.hour", count(hour.spared)],
    ["spared.all", count(total.spared)], ["spared.fleet", count(fleet.total.spared)],
    ["asked.hour", count(hour.asked)],
    ["asked.all", count(total.origin_requests)], ["asked.fleet", count(fleet.total.origin_requests)],
    ["saved.all", seconds(total.seconds_saved)], ["saved.fleet", seconds(fleet.total.seconds_saved)],
    ...times("hit", total.hit_seconds), ...times("origin", total.origin_seconds),
    ...times("unruled.origin", process.unruled.origin_seconds),
    ...times("fleet.hit", fleet.total.hit_seconds), ...times("fleet.origin", fleet.total.origin_seconds),
    ["traffic.now", lately.length === 0 ? NONE : digits(asked / (lately.length * step))],
    ...["served", "bypass", "pass", "writes", "would", "limited", "errors", "origin_5xx"].flatMap(pair),
    ["store.state", store.state], ["store.kind", store.kind === "redis" ? "Redis" : "in memory"],
    ["store.owed", count(store.owed)], ["store.memory", memory(store)],
    ["store.local", `${bytes(store.local_bytes)} in ${plural(store.local_entries, "entry", "entries")}`],
    ["store.errors", storeErrors(store)],
    ["commands.today", count(store.commands_today)],
    ["commands.forecast", count(store.commands_forecast)], ["commands.all", count(store.commands)],
    ["commands.fleet", count(fleet.store.commands_today)],
    ["commands.fleet.forecast", count(fleet.store.commands_forecast)],
    ["budget.level", store.budget ? `level ${store.budget.level}` : NONE],
    ["budget.used", store.budget ? `${count(store.budget.used)} of ${count(store.budget.commands)} this ${store.budget.per}` : NONE],
  ]);
  byId("budget").hidden = !store.budget;
}

// What a store may be good for that is neither up nor down: how bad that is, and what to do.
const LIMITED = {
  quota: ["bad", "The allowance of the store's provider is spent: requests are answered by the origin, and nothing is kept, until it has one again."],
  readonly: ["bad", "The store refuses writes: it cannot be told what a write drops. Point [store] url at the primary."],
  capacity: ["warn", "The store is full: what it keeps is served, but it keeps no new answers. Give it memory or an eviction policy."],
  size: ["warn", "The store refuses large values: such answers are kept by this process alone. Lower [store] max_entry."],
};

function showGlance(stats) {
  const known = figures(stats);
  const { store } = stats.process;
  for (const node of document.querySelectorAll("[data-v]")) say(node, known[node.dataset.v] ?? NONE);
  byId("store-state").className = own(LIMITED, store.state)?.[0] === "warn" ? "limited" : store.state === "up" ? "up" : "down";
  document.querySelector('[data-v="store.owed"]').className = store.owed > 0 ? "loud" : "";
  for (const node of document.querySelectorAll('[data-v$="_5xx"]')) node.className = Number(node.textContent) === 0 ? "" : "answered";
  const up = span(Math.max(0, stats.at - stats.process.since) / 1000);
  say(byId("who"), `${stats.version} at ${location.host}, up ${up}`);
}

function forgetFigures() {
  for (const node of document.querySelectorAll("[data-v]")) say(node, NONE);
  byId("store-state").className = "";
  for (const id of ["writes", "errors", "finding-list", "verified", "explained", "limit-list"]) byId(id).replaceChildren();
  for (const id of ["limits", "verified-panel"]) byId(id).hidden = true;
  forgetAlerts();
  for (const id of ["who", "unruled", "fleet-size", "explain-said", "purge-said", "finding-said"]) say(byId(id), "");
  [latest, trouble, auditedAt] = [null, null, 0];
  forgetRules();
  forgetCharts();
  showNotices();
  tick();
}

// What is wrong, the worst first: how bad, and the words.
function wrongs(stats) {
  if (stats === null) return [];
  const { store, rules, alerts, rules_loaded: loaded, rules_refused: refused } = stats.process;
  const isTold = (kind, rule) => alerts.some((alert) => alert.kind === kind && alert.rule === rule); // among the alerts
  const found = [];
  const limit = own(LIMITED, store.state);
  if (limit) found.push(limit);
  else if (store.state !== "up" && !isTold("store-down", "-")) found.push(["bad", "The store is down: requests are answered by the origin, and nothing is kept."]);
  if (store.owed > 0 && !isTold("owed", "-")) found.push(["bad", `${plural(store.owed, "invalidation is", "invalidations are")} owed to the store: other sidecars may serve answers from before the writes until they are paid.`]);
  if (isNumber(refused)) found.push(["bad", `The rules file was refused at ${moment(refused)}: rules of ${moment(loaded)} are in force. The log says why; so does sidecache check.`]);
  for (const [name, rule] of Object.entries(rules)) {
    if (rule.quarantined && !isTold("quarantined", name)) found.push(["bad", `The rule ${name} is in quarantine: it passes everything. See the audits below.`]);
  }
  if (store.memory_max_bytes > 0 && store.memory_bytes > 0.9 * store.memory_max_bytes) found.push(["warn", `The store's memory is nearly full: ${memory(store)}.`]);
  if (stats.version !== version) found.push(["warn", `This page is of ${version}, and its door of ${stats.version}: load it again.`]);
  if (stats.fleet.only_this_process) found.push(["warn", "The fleet cannot be heard: its figures are those of this process alone."]);
  return found;
}

let shownNotices = "";

function showNotices() {
  const said = wrongs(latest);
  if (trouble !== null && !isLocked) said.unshift(["bad", `${trouble.message}${latest === null ? "" : ` What stands here is from ${moment(latestAt)}.`}`]);
  const text = JSON.stringify(said);
  const isBad = said.some(([how]) => how === "bad") || (latest !== null && latest.process.alerts.length > 0);
  document.title = `${isBad ? "(!) " : ""}sidecache ${location.host}`;
  if (text === shownNotices) return;
  shownNotices = text;
  byId("notices").replaceChildren(...said.map(([how, what]) => make("p", { className: `notice ${how}`, textContent: what })));
}
